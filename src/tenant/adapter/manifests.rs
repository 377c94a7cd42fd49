//! A directory of manifests with placeholders.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};
use kube::api::{DeleteParams, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::Scope;
use kube::{Api, ResourceExt as _};

use super::Case;
use crate::cluster::{self, ApplyError, parse_manifests};
use crate::profile::ManifestsAdapter;
use crate::tenant::TenantError;

/// The blueprint that the lab brings, by the name `@lab/tenant`.
static LAB_TENANT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/lab/manifests/tenant");
const LAB_TENANT_NAME: &str = "@lab/tenant";

pub async fn onboard(adapter: &ManifestsAdapter, case: &Case<'_>) -> Result<(), TenantError> {
    let objects = objects(adapter, case)?;
    cluster::apply(case.cluster, &case.cluster.client(), Some(case.ownership), objects)
        .await
        .map(drop)
        .map_err(TenantError::cluster(format!("onboard tenant {}", case.name)))
}

/// Deletes what the manifests made: namespaces take their content along, what is outside them goes one by one.
pub async fn offboard(adapter: &ManifestsAdapter, case: &Case<'_>) -> Result<(), TenantError> {
    let doing = || TenantError::cluster(format!("remove tenant {}", case.name));
    let discovery = case.cluster.discovery().await.map_err(doing())?;
    let mut outside = Vec::new();
    for object in objects(adapter, case)? {
        let namespaced = object.metadata.namespace.as_ref().is_some_and(|ns| case.namespaces.contains(ns));
        if !namespaced {
            outside.push(object);
        }
    }
    // Access outside goes first, the namespaces last.
    outside.sort_by_key(|object| object.types.as_ref().is_some_and(|types| types.kind == "Namespace"));
    for object in outside {
        let Some((resource, capabilities)) = object
            .types
            .as_ref()
            .and_then(|types| GroupVersionKind::try_from(types).ok())
            .and_then(|gvk| discovery.resolve_gvk(&gvk))
        else {
            continue;
        };
        let client = case.cluster.client();
        let api: Api<DynamicObject> = match (&capabilities.scope, object.metadata.namespace.as_deref()) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client, namespace, &resource),
            _ => Api::all_with(client, &resource),
        };
        let name = object.name_any();
        match api.delete(&name, &DeleteParams::background()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => {
                return Err(doing()(case.cluster.error(format!("delete {}/{name}", resource.kind), error)));
            }
        }
    }
    Ok(())
}

fn objects(adapter: &ManifestsAdapter, case: &Case<'_>) -> Result<Vec<DynamicObject>, TenantError> {
    let mut values = adapter.values.clone();
    values.extend(case.placeholders.clone());
    let mut objects = Vec::new();
    let directory = adapter.instead.get(case.name).unwrap_or(&adapter.directory);
    for (file, text) in files(directory, &case.settings.platform.directory)? {
        objects.extend(parse_manifests(&file, &text, &values).map_err(manifests)?);
    }
    let namespaces: Vec<String> = objects
        .iter()
        .filter(|object| object.types.as_ref().is_some_and(|types| types.kind == "Namespace"))
        .map(kube::ResourceExt::name_any)
        .collect();
    if let Some(missing) = case.namespaces.iter().find(|name| !namespaces.contains(name)) {
        return Err(TenantError::NotOnboarded {
            tenant: case.name.to_owned(),
            adapter: "manifests",
            missing: format!("`{directory}` makes no namespace `{missing}`"),
        });
    }
    Ok(objects)
}

fn manifests(source: ApplyError) -> TenantError {
    TenantError::Manifests { source: std::sync::Arc::new(source) }
}

/// Name and text of every manifest, sorted by name.
pub fn files(directory: &str, base: &Path) -> Result<Vec<(String, String)>, TenantError> {
    if directory == LAB_TENANT_NAME {
        let mut files: Vec<_> = LAB_TENANT
            .files()
            .filter_map(|file| {
                let name = file.path().file_name()?.to_str()?;
                Some((format!("{LAB_TENANT_NAME}/{name}"), file.contents_utf8()?.to_owned()))
            })
            .collect();
        files.sort();
        return Ok(files);
    }
    let directory = base.join(directory);
    let unreadable = |place: &Path, error: &std::io::Error| TenantError::Files {
        place: place.display().to_string(),
        why: error.to_string(),
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| unreadable(&directory, &error))?;
    paths.retain(|path| {
        path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json")
    });
    paths.sort();
    if paths.is_empty() {
        return Err(TenantError::Files {
            place: directory.display().to_string(),
            why: "there is no manifest in it (*.yaml, *.yml, *.json)".to_owned(),
        });
    }
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}
