//! A platform whose blueprint has been edited: a copy beside the real one.

use std::{path::Path, sync::Arc};

use futures::FutureExt as _;
use serde::Deserialize as _;
use serde_json::Value;

use super::{Edit, Of, Sabotage, SabotageError, edit::identify, ledger};
use crate::{
    cluster::Cluster,
    profile::{LoadedPlatform, Onboarding},
    tenant::{Inspector, Newcomer, manifest_files},
};

/// The same platform, onboarding by a copy of its blueprint with a sabotage's edits. The copy lies in a directory.
pub(super) fn edited(
    platform: &LoadedPlatform,
    sabotage: &Sabotage,
    directory: &Path,
) -> Result<LoadedPlatform, SabotageError> {
    if sabotage.blueprint.is_empty() {
        return Ok(platform.clone());
    }
    let onboarding = &platform.platform.spec.tenancy.onboarding;
    let Onboarding::Manifests(adapter) = onboarding else {
        return Err(SabotageError::NoBlueprint { adapter: onboarding.name() });
    };
    let mut objects = Vec::new();
    let files = manifest_files(&adapter.directory, &platform.directory)
        .map_err(|error| SabotageError::Edit { what: "the blueprint".to_owned(), why: error.to_string() })?;
    for (file, text) in files {
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document)
                .map_err(|error| SabotageError::Data { file: file.clone(), why: error.to_string() })?;
            if !object.is_null() {
                objects.push(object);
            }
        }
    }
    for edit in &sabotage.blueprint {
        apply(edit, &mut objects)?;
    }
    let blueprint = directory.join("blueprint");
    std::fs::create_dir_all(&blueprint)
        .map_err(SabotageError::file(format!("make {}", blueprint.display())))?;
    // A relative one would be looked for beside the profile.
    let blueprint =
        blueprint.canonicalize().map_err(SabotageError::file(format!("find {}", blueprint.display())))?;
    for (index, object) in objects.iter().enumerate() {
        put(&blueprint.join(format!("{index:03}.json")), object)?;
    }
    let place = blueprint.display().to_string();
    let mut adapter = adapter.clone();
    if sabotage.tenants.is_empty() {
        adapter.directory = place;
    } else {
        adapter.instead = sabotage.tenants.iter().map(|name| (name.clone(), place.clone())).collect();
    }
    let mut edited = platform.clone();
    edited.platform.spec.tenancy.onboarding = Onboarding::Manifests(adapter);
    Ok(edited)
}

/// Looks whether a tenant that has just been onboarded shows the edits of the blueprint.
pub(super) fn inspector(sabotage: &Sabotage) -> Option<Inspector> {
    if sabotage.blueprint.is_empty() {
        return None;
    }
    let sabotage = Arc::new(sabotage.clone());
    Some(Inspector::new(move |cluster, newcomer| {
        let sabotage = Arc::clone(&sabotage);
        async move {
            if !sabotage.tenants.is_empty() && !sabotage.tenants.contains(&newcomer.name) {
                return Ok(());
            }
            shows(&cluster, &sabotage.blueprint, &newcomer)
                .await
                .map_err(|why| format!("the sabotage is not in effect: {why}"))
        }
        .boxed()
    }))
}

async fn shows(cluster: &Cluster, edits: &[Edit], newcomer: &Newcomer) -> Result<(), String> {
    for edit in edits {
        let edit = edit.filled(&newcomer.placeholders).map_err(|error| error.to_string())?;
        let of = edit.of().map_err(|error| error.to_string())?;
        // In a blueprint a name is enough; on the cluster it lies in the tenant's namespaces, or in none.
        let spread = of.namespace.is_none()
            && ledger::is_namespaced(cluster, &of).await.map_err(|error| error.to_string())?;
        let places: Vec<Of> = if spread {
            let inside = newcomer.namespaces.iter().cloned();
            inside.map(|namespace| Of { namespace: Some(namespace), ..of.clone() }).collect()
        } else {
            vec![of.clone()]
        };
        let mut shown = Vec::new();
        for place in places {
            let seen = ledger::read(cluster, &place).await.map_err(|error| error.to_string())?;
            shown.push(edit.shows(seen.as_ref()));
        }
        // Something that is gone is gone everywhere; something that is there is there once.
        let gone = matches!(edit, Edit::Remove { .. });
        let fine = if gone { shown.iter().all(|shown| *shown) } else { shown.iter().any(|shown| *shown) };
        if !fine {
            return Err(format!("{of} does not show its edit"));
        }
    }
    Ok(())
}

fn apply(edit: &Edit, objects: &mut Vec<Value>) -> Result<(), SabotageError> {
    let of = edit.of()?;
    // In a blueprint a name is enough: where it lies is the blueprint's own business.
    let same = |object: &Value| {
        identify(object).is_some_and(|known| {
            (known.api_version, known.kind, known.name)
                == (of.api_version.clone(), of.kind.clone(), of.name.clone())
        })
    };
    let place = objects.iter().position(same);
    let after = edit.apply(place.and_then(|index| objects.get(index)))?;
    match (place, after) {
        (Some(index), Some(object)) => {
            if let Some(slot) = objects.get_mut(index) {
                *slot = object;
            }
        }
        (Some(index), None) => {
            objects.remove(index);
        }
        (None, Some(object)) => objects.push(object),
        (None, None) => {}
    }
    Ok(())
}

fn put(file: &Path, value: &Value) -> Result<(), SabotageError> {
    let doing = format!("write {}", file.display());
    std::fs::write(file, format!("{value:#}\n")).map_err(SabotageError::file(doing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;
    use crate::sabotage::embedded;

    #[test]
    fn every_edit_fits_the_labs_blueprint() {
        let platform = profile::load_lab().unwrap();
        for sabotage in embedded().unwrap() {
            let directory = tempfile::tempdir().unwrap();
            let edited = edited(&platform, &sabotage, directory.path())
                .unwrap_or_else(|error| panic!("{}: {error}", sabotage.name));
            let changed = edited.platform != platform.platform;
            assert_eq!(changed, !sabotage.blueprint.is_empty(), "{}", sabotage.name);
        }
    }
}
