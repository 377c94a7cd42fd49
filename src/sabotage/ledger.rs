//! Objects of the cluster as they were, recorded on the cluster itself before they are changed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, PostParams},
    discovery::{ApiCapabilities, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::condition::{self, until};
use super::lab_edit::{self, Files};
use super::witness::{self, Rollout};
use super::{Edit, Of, Sabotage, SabotageError};
use crate::cluster::{Cluster, ClusterError, PeerConnection};

/// The config map that holds the originals of what is broken just now.
pub const RECORD_NAME: &str = "plimsoll-sabotage";
/// Its namespace.
pub const RECORD_NAMESPACE: &str = "default";
const KEY: &str = "record.json";

/// What is broken just now, as the record on the cluster has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    /// The sabotage.
    sabotage: String,
    /// Each object that it touches, as it was.
    originals: Vec<Original>,
    /// Each file of a lab's configuration that it touches, as it was.
    #[serde(default)]
    files: Files,
}

/// An object as it was; none where there was none.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Original {
    of: Of,
    object: Option<Value>,
}

fn records(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client(), RECORD_NAMESPACE)
}

fn place() -> String {
    format!("{RECORD_NAMESPACE}/{RECORD_NAME}")
}

/// Whether objects of that kind lie in namespaces.
pub(super) async fn is_namespaced(cluster: &Cluster, of: &Of) -> Result<bool, SabotageError> {
    let (_, capabilities) = kind(cluster, of).await?;
    Ok(capabilities.scope == Scope::Namespaced)
}

async fn kind(cluster: &Cluster, of: &Of) -> Result<(ApiResource, ApiCapabilities), SabotageError> {
    let discovery = cluster.discovery().await?;
    let found = discovery
        .groups()
        .flat_map(kube::discovery::ApiGroup::resources_by_stability)
        .find(|(resource, _)| resource.api_version == of.api_version && resource.kind == of.kind);
    found.ok_or_else(|| SabotageError::Edit {
        what: of.to_string(),
        why: "the cluster does not serve this kind".to_owned(),
    })
}

async fn api(cluster: &Cluster, of: &Of) -> Result<Api<DynamicObject>, SabotageError> {
    let (resource, _) = kind(cluster, of).await?;
    Ok(in_scope(cluster.client(), of, &resource))
}

fn in_scope(client: Client, of: &Of, resource: &ApiResource) -> Api<DynamicObject> {
    match &of.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

pub(super) async fn read(cluster: &Cluster, of: &Of) -> Result<Option<Value>, SabotageError> {
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
    /// Counters that controllers keep in annotations.
    const COUNTERS: [&str; 2] =
        ["deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation"];
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for kept in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
            metadata.remove(kept);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            for counter in COUNTERS {
                annotations.remove(counter);
            }
        }
    }
    object
}

/// Records the originals, breaks, and proves that it is broken: every edit is read back, whoever acts upon the kind is
/// seen to act upon it, and the sabotage's own conditions hold. Says what showed it. Whatever this comes to,
/// [`restore`] is to follow.
pub(super) async fn break_cluster(
    cluster: &Cluster,
    sabotage: &Sabotage,
) -> Result<Vec<String>, SabotageError> {
    let mut originals: BTreeMap<Of, Option<Value>> = BTreeMap::new();
    let mut broken: BTreeMap<Of, Option<Value>> = BTreeMap::new();
    for edit in &sabotage.cluster {
        let of = edit.of()?;
        if !originals.contains_key(&of) {
            let object = read(cluster, &of).await?;
            originals.insert(of.clone(), object.as_ref().map(substance));
            broken.insert(of.clone(), object.as_ref().map(substance));
        }
        let after = edit.apply(broken.get(&of).and_then(Option::as_ref))?;
        broken.insert(of, after);
    }
    let (files, broken_files) = lab_edit::edited(cluster, sabotage, None)?;
    if originals.is_empty() && files.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<Of> = originals.keys().cloned().collect();
    let mut list: Vec<_> = originals.into_iter().map(|(of, object)| Original { of, object }).collect();
    // The witnesses are made later, and must go whoever dies.
    list.extend(witness::objects(&kinds).into_iter().map(|of| Original { of, object: None }));
    record(cluster, &Record { sabotage: sabotage.name.clone(), originals: list, files }).await?;
    for (of, object) in &broken {
        put(cluster, of, object.as_ref()).await?;
    }
    let mut shown = lab_edit::put(cluster, &broken_files).await?;
    for edit in &sabotage.cluster {
        let of = edit.of()?;
        // Taken away to be put back as another: some fields cannot be changed otherwise. The putting back is read.
        if matches!(edit, Edit::Remove { .. }) && broken.get(&of).is_some_and(Option::is_some) {
            continue;
        }
        until(&format!("the change of {of}"), async || {
            let seen = read(cluster, &of).await?;
            Ok(if edit.shows(seen.as_ref()) { Ok(()) } else { Err("it does not stand there".to_owned()) })
        })
        .await?;
    }
    if broken.is_empty() {
        return Ok(shown);
    }
    shown.push(format!("read back: {}", listed(broken.keys())));
    shown.extend(witness::act(cluster, &kinds).await?);
    shown.extend(witness::rolled_out(cluster, &kinds, Rollout::Replaced).await?);
    shown.extend(condition::wait_for_all(cluster, &sabotage.effective).await?);
    Ok(shown)
}

/// Records the files of a peer's lab, and breaks those. Says what showed it. Whatever this comes to, [`restore`] is to
/// follow, there too.
pub(super) async fn break_peer(
    peer: &PeerConnection,
    sabotage: &Sabotage,
) -> Result<Vec<String>, SabotageError> {
    let (files, broken) = lab_edit::edited(&peer.cluster, sabotage, Some(&peer.name))?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let original = Record { sabotage: sabotage.name.clone(), originals: Vec::new(), files };
    record(&peer.cluster, &original).await?;
    lab_edit::put(&peer.cluster, &broken).await
}

fn listed<'a>(objects: impl Iterator<Item = &'a Of>) -> String {
    objects.map(Of::to_string).collect::<Vec<_>>().join(", ")
}

async fn record(cluster: &Cluster, record: &Record) -> Result<(), SabotageError> {
    let text = serde_json::to_string(record)
        .map_err(|error| SabotageError::Edit { what: "the record".to_owned(), why: error.to_string() })?;
    let record = ConfigMap {
        metadata: ObjectMeta { name: Some(RECORD_NAME.to_owned()), ..ObjectMeta::default() },
        data: Some([(KEY.to_owned(), text)].into()),
        ..ConfigMap::default()
    };
    // A record that is there already would be of somebody who is at work just now.
    records(cluster)
        .create(&PostParams::default(), &record)
        .await
        .map(drop)
        .map_err(|error| cluster.error("record the originals", error).into())
}

/// Brings one object to a state. Controllers may write to it meanwhile.
pub(super) async fn put(cluster: &Cluster, of: &Of, wanted: Option<&Value>) -> Result<(), SabotageError> {
    const TRIES: usize = 5;
    let api = api(cluster, of).await?;
    let typed = |value: &Value| {
        serde_json::from_value::<DynamicObject>(value.clone())
            .map_err(|error| SabotageError::Edit { what: of.to_string(), why: error.to_string() })
    };
    for attempt in 1.. {
        let now = read(cluster, of).await?;
        let (doing, done) = match (wanted, now) {
            (Some(wanted), Some(now)) if substance(&now) == *wanted => return Ok(()),
            (None, None) => return Ok(()),
            (Some(wanted), Some(now)) => {
                let mut object = typed(wanted)?;
                object.metadata.resource_version =
                    now["metadata"]["resourceVersion"].as_str().map(str::to_owned);
                ("replace", api.replace(&of.name, &PostParams::default(), &object).await.map(drop))
            }
            (Some(wanted), None) => {
                ("create", api.create(&PostParams::default(), &typed(wanted)?).await.map(drop))
            }
            (None, Some(_)) => ("delete", api.delete(&of.name, &DeleteParams::default()).await.map(drop)),
        };
        match done {
            Err(kube::Error::Api(status)) if doing == "delete" && status.is_not_found() => return Ok(()),
            // Some kinds cannot be changed where it matters, such as the parameters of a storage class: made anew.
            Err(kube::Error::Api(status)) if attempt < TRIES && doing == "replace" && status.is_invalid() => {
                match api.delete(&of.name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => {}
                    done => done.map(drop).map_err(|error| trouble(cluster, "delete", of, error))?,
                }
            }
            Err(kube::Error::Api(status))
                if attempt < TRIES
                    && (status.is_conflict() || status.is_not_found() || status.is_already_exists()) => {}
            done => return done.map_err(|error| trouble(cluster, doing, of, error)),
        }
    }
    Ok(())
}

/// What a record on the cluster says is broken, and by which sabotage.
pub(super) async fn recorded(cluster: &Cluster) -> Result<Option<(String, Vec<String>)>, SabotageError> {
    Ok(found(cluster).await?.map(|record| (record.sabotage, touched(&record.originals, &record.files))))
}

fn touched(originals: &[Original], files: &Files) -> Vec<String> {
    let all = originals.iter().map(|original| &original.of);
    let objects = all.filter(|of| !witness::is_one(of)).map(Of::to_string);
    objects.chain(files.keys().map(ToString::to_string)).collect()
}

async fn found(cluster: &Cluster) -> Result<Option<Record>, SabotageError> {
    let record = records(cluster)
        .get_opt(RECORD_NAME)
        .await
        .map_err(|error| cluster.error("look for a record of sabotage", error))?;
    let Some(record) = record else { return Ok(None) };
    let text = record.data.and_then(|mut data| data.remove(KEY)).unwrap_or_default();
    let record = serde_json::from_str(&text).map_err(|error| SabotageError::NotRestored {
        what: "the cluster".to_owned(),
        why: format!("the record cannot be read: {error}"),
        record: place(),
    })?;
    Ok(Some(record))
}

/// Restores what a record on the cluster holds, proves that it stands there and is acted upon, and only then removes
/// the record. Returns what was restored: nothing, where nobody had broken anything.
pub(super) async fn restore(cluster: &Cluster) -> Result<Vec<String>, SabotageError> {
    let Some(Record { originals, files, .. }) = found(cluster).await? else { return Ok(Vec::new()) };
    for Original { of, object } in &originals {
        put(cluster, of, object.as_ref()).await?;
    }
    lab_edit::put(cluster, &files).await?;
    as_it_was(cluster, &originals).await?;
    let kinds: Vec<Of> =
        originals.iter().map(|original| original.of.clone()).filter(|of| !witness::is_one(of)).collect();
    let not_restored = |what: String, why: String| SabotageError::NotRestored { what, why, record: place() };
    let acted = async {
        witness::act(cluster, &kinds).await?;
        witness::rolled_out(cluster, &kinds, Rollout::Available).await
    };
    acted.await.map_err(|error| match error {
        SabotageError::NotEffective { what, why, .. } => not_restored(what, why),
        other => other,
    })?;
    as_it_was(cluster, &originals).await?;
    if let Some(file) = lab_edit::first_differing(cluster, &files)? {
        return Err(not_restored(file.to_string(), "it differs from its original".to_owned()));
    }
    records(cluster)
        .delete(RECORD_NAME, &DeleteParams::default())
        .await
        .map_err(|error| -> ClusterError { cluster.error("remove the record of sabotage", error) })?;
    Ok(touched(&originals, &files))
}

/// Proves that every object equals its original.
async fn as_it_was(cluster: &Cluster, originals: &[Original]) -> Result<(), SabotageError> {
    for Original { of, object } in originals {
        let what = of.to_string();
        let same = until(&what, async || {
            let now = read(cluster, of).await?.as_ref().map(substance);
            Ok(if now == *object { Ok(()) } else { Err("it differs from its original".to_owned()) })
        });
        same.await.map_err(|error| match error {
            SabotageError::NotEffective { what, why, .. } => {
                SabotageError::NotRestored { what, why, record: place() }
            }
            other => other,
        })?;
    }
    Ok(())
}
