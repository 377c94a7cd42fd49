//! A platform whose blueprint has been edited: a copy beside the real one.

use std::path::Path;

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{Edit, SabotageError, edit::identify};
use crate::{
    profile::{LoadedPlatform, Onboarding},
    tenant::manifest_files,
};

/// Writes a profile that onboards by an edited copy of the blueprint, and returns its file. Without edits the profile is
/// a plain copy.
pub(super) fn write(
    platform: &LoadedPlatform,
    edits: &[&Edit],
    directory: &Path,
) -> Result<std::path::PathBuf, SabotageError> {
    let Onboarding::Manifests(adapter) = &platform.platform.spec.tenancy.onboarding else {
        return Err(SabotageError::NoBlueprint { adapter: platform.platform.spec.tenancy.onboarding.name() });
    };
    let mut objects = Vec::new();
    let files = manifest_files(adapter, &platform.directory)
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
    for edit in edits {
        apply(edit, &mut objects)?;
    }
    let blueprint = directory.join("blueprint");
    std::fs::create_dir_all(&blueprint)
        .map_err(SabotageError::file(format!("make {}", blueprint.display())))?;
    for (index, object) in objects.iter().enumerate() {
        put(&blueprint.join(format!("{index:03}.json")), object)?;
    }
    let mut profile = serde_json::to_value(&platform.platform)
        .map_err(|error| SabotageError::Data { file: platform.file.clone(), why: error.to_string() })?;
    profile["spec"]["tenancy"]["onboarding"]["manifests"]["directory"] =
        json!(blueprint.display().to_string());
    // JSON is YAML, and nobody edits this file by hand.
    let file = directory.join("profile.yaml");
    put(&file, &profile)?;
    Ok(file)
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
            let edits: Vec<_> = sabotage.blueprint.iter().collect();
            let file = write(&platform, &edits, directory.path())
                .unwrap_or_else(|error| panic!("{}: {error}", sabotage.name));
            profile::load(&file).unwrap_or_else(|error| panic!("{}: {error:?}", sabotage.name));
        }
    }
}
