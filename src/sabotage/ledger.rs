//! Objects of the cluster as they were, recorded on the cluster itself before they are changed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lab_edit::{self, Files};
use super::{Edit, LabEdit, Of, Sabotage, SabotageError};
use crate::cluster::{Cluster, ClusterError, MANAGED_BY, MANAGED_BY_VALUE};

/// The config map that holds the originals of what is broken just now.
pub const RECORD_NAME: &str = "plimsoll-sabotage";
/// Its namespace.
pub const RECORD_NAMESPACE: &str = "default";
const KEY: &str = "originals.json";
const FILES_KEY: &str = "files.json";

/// An object as it was; none where there was none.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Original {
    of: Of,
    object: Option<Value>,
}

fn records(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client(), RECORD_NAMESPACE)
}

async fn api(cluster: &Cluster, of: &Of) -> Result<Api<DynamicObject>, SabotageError> {
    let discovery = cluster.discovery().await?;
    let found = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::resources_by_stability)
        .find(|(resource, _)| resource.api_version == of.api_version && resource.kind == of.kind);
    let (resource, _) = found.ok_or_else(|| SabotageError::Edit {
        what: of.to_string(),
        why: "the cluster does not serve this kind".to_owned(),
    })?;
    Ok(in_scope(cluster.client(), of, &resource))
}

fn in_scope(client: Client, of: &Of, resource: &ApiResource) -> Api<DynamicObject> {
    match &of.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

async fn read(cluster: &Cluster, of: &Of) -> Result<Option<Value>, SabotageError> {
    let object = api(cluster, of)
        .await?
        .get_opt(&of.name)
        .await
        .map_err(|error| trouble(cluster, "read", of, error))?;
    Ok(object.and_then(|object| serde_json::to_value(object).ok()).map(|mut object| {
        object["apiVersion"] = of.api_version.clone().into();
        object["kind"] = of.kind.clone().into();
        object
    }))
}

fn trouble(cluster: &Cluster, doing: &str, of: &Of, error: kube::Error) -> SabotageError {
    cluster.error(format!("{doing} {of}"), error).into()
}

/// What an object says, apart from what the cluster itself keeps in it.
fn substance(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for kept in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
            metadata.remove(kept);
        }
    }
    object
}

/// Records the originals, then breaks.
pub(super) async fn break_cluster(
    cluster: &Cluster,
    edits: &[&Edit],
    lab_edits: &[&LabEdit],
) -> Result<(), SabotageError> {
    let (files, broken_files) = lab_edit::edited(cluster, lab_edits)?;
    let mut originals: BTreeMap<Of, Option<Value>> = BTreeMap::new();
    let mut broken: BTreeMap<Of, Option<Value>> = BTreeMap::new();
    for edit in edits {
        let of = edit.of()?;
        if !originals.contains_key(&of) {
            let object = read(cluster, &of).await?;
            originals.insert(of.clone(), object.as_ref().map(substance));
            broken.insert(of.clone(), object.as_ref().map(substance));
        }
        let after = edit.apply(broken.get(&of).and_then(Option::as_ref))?;
        broken.insert(of, after);
    }
    if originals.is_empty() && files.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = originals.into_iter().map(|(of, object)| Original { of, object }).collect();
    record(cluster, &list, &files).await?;
    for (of, object) in broken {
        put(cluster, &of, object.as_ref()).await?;
    }
    lab_edit::put(cluster, &broken_files).await
}

async fn record(cluster: &Cluster, originals: &[Original], files: &Files) -> Result<(), SabotageError> {
    let unwritable = |error: serde_json::Error| SabotageError::Edit {
        what: "the record".to_owned(),
        why: error.to_string(),
    };
    let text = serde_json::to_string(originals).map_err(unwritable)?;
    let files = serde_json::to_string(files).map_err(unwritable)?;
    let record = ConfigMap {
        metadata: ObjectMeta { name: Some(RECORD_NAME.to_owned()), ..ObjectMeta::default() },
        data: Some([(KEY.to_owned(), text), (FILES_KEY.to_owned(), files)].into()),
        ..ConfigMap::default()
    };
    // A record that is there already would be of somebody who is at work just now.
    records(cluster)
        .create(&PostParams::default(), &record)
        .await
        .map(drop)
        .map_err(|error| cluster.error("record the originals", error).into())
}

/// Brings one object to a state.
async fn put(cluster: &Cluster, of: &Of, wanted: Option<&Value>) -> Result<(), SabotageError> {
    let api = api(cluster, of).await?;
    let now = read(cluster, of).await?;
    let typed = |value: &Value| {
        serde_json::from_value::<DynamicObject>(value.clone())
            .map_err(|error| SabotageError::Edit { what: of.to_string(), why: error.to_string() })
    };
    match (wanted, now) {
        (Some(wanted), Some(now)) if substance(&now) == *wanted => Ok(()),
        (Some(wanted), Some(now)) => {
            let mut object = typed(wanted)?;
            object.metadata.resource_version = now["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            let done = api.replace(&of.name, &PostParams::default(), &object).await;
            done.map(drop).map_err(|error| trouble(cluster, "replace", of, error))
        }
        (Some(wanted), None) => {
            let done = api.create(&PostParams::default(), &typed(wanted)?).await;
            done.map(drop).map_err(|error| trouble(cluster, "create", of, error))
        }
        (None, Some(_)) => match api.delete(&of.name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(trouble(cluster, "delete", of, error)),
        },
        (None, None) => Ok(()),
    }
}

/// Restores what a record on the cluster holds, proves it, and only then removes the record. Returns what was restored:
/// nothing, where nobody had broken anything.
pub async fn restore_leftovers(cluster: &Cluster) -> Result<Vec<String>, SabotageError> {
    let record = records(cluster)
        .get_opt(RECORD_NAME)
        .await
        .map_err(|error| cluster.error("look for a record of sabotage", error))?;
    let Some(record) = record else { return Ok(Vec::new()) };
    let place = format!("{RECORD_NAMESPACE}/{RECORD_NAME}");
    let mut data = record.data.unwrap_or_default();
    let unreadable = |error: serde_json::Error| SabotageError::NotRestored {
        what: "the cluster".to_owned(),
        why: format!("the record cannot be read: {error}"),
        record: place.clone(),
    };
    let text = data.remove(KEY).unwrap_or_default();
    let originals: Vec<Original> = serde_json::from_str(&text).map_err(unreadable)?;
    // Records of earlier versions have none.
    let files = data.remove(FILES_KEY).unwrap_or_else(|| "{}".to_owned());
    let files: Files = serde_json::from_str(&files).map_err(unreadable)?;
    for Original { of, object } in &originals {
        put(cluster, of, object.as_ref()).await?;
    }
    lab_edit::put(cluster, &files).await?;
    if let Some(file) = lab_edit::first_differing(cluster, &files)? {
        return Err(SabotageError::NotRestored {
            what: file.to_string(),
            why: "it differs from its original".to_owned(),
            record: place,
        });
    }
    for Original { of, object } in &originals {
        let now = read(cluster, of).await?.as_ref().map(substance);
        if now != *object {
            return Err(SabotageError::NotRestored {
                what: of.to_string(),
                why: "it differs from its original".to_owned(),
                record: place,
            });
        }
    }
    records(cluster)
        .delete(RECORD_NAME, &DeleteParams::default())
        .await
        .map_err(|error| -> ClusterError { cluster.error("remove the record of sabotage", error) })?;
    let objects = originals.into_iter().map(|original| original.of.to_string());
    Ok(objects.chain(files.into_keys().map(|file| file.to_string())).collect())
}

/// The finalizer by which a sabotage holds an object back that is to go.
const HOLD: &str = "plimsoll.dev/sabotage";

/// Lets go of what sabotages of the blueprint hold back. Only what a run of ours made is looked at.
pub(super) async fn release(cluster: &Cluster, sabotages: &[&Sabotage]) -> Result<(), SabotageError> {
    let added = sabotages.iter().flat_map(|one| &one.blueprint).filter_map(|edit| match edit {
        Edit::Add { object } => Some(object),
        _ => None,
    });
    for object in added.filter(|object| object["metadata"]["finalizers"].to_string().contains(HOLD)) {
        let Some(mut of) = super::edit::identify(object) else { continue };
        of.namespace = None;
        let everywhere = api(cluster, &of).await?;
        let ours = ListParams::default().labels(&format!("{MANAGED_BY}={MANAGED_BY_VALUE}"));
        let list = everywhere.list(&ours).await.map_err(|error| trouble(cluster, "look for", &of, error))?;
        for held in list.items.iter().filter(|held| held.finalizers().iter().any(|name| name == HOLD)) {
            of.name = held.name_any();
            of.namespace = held.namespace();
            let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            let freed = api(cluster, &of).await?.patch(&of.name, &PatchParams::default(), &patch).await;
            match freed {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(trouble(cluster, "let go of", &of, error)),
            }
        }
    }
    Ok(())
}
