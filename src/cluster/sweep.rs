//! Finding and removing what runs left behind, whoever died.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::time::Instant;

use super::listing::{self, Listable};
use super::objects::reference_in;
use super::{Cluster, ClusterError, EXPIRES_AT, RUN_LABEL, TENANT_LABEL, wait_namespaces_gone};

/// The finalizer by which a sabotage holds back an object that its own run made.
pub const HELD_BACK: &str = "plimsoll.dev/sabotage";

/// How long a server that says that it is starting is waited for before it is asked.
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// Which leftovers are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of these runs, expired or not.
    Runs(BTreeSet<String>),
    /// Those whose time is up, of any run.
    Expired,
    /// All, even those of runs that may be alive.
    All,
}

impl Selection {
    fn takes(&self, leftover: &Leftover, now: Timestamp) -> bool {
        match self {
            Self::Runs(runs) => runs.contains(&leftover.run),
            // What has lost its date is nobody's to guess about: it must be named.
            Self::Expired => leftover.expires.is_some_and(|expires| expires <= now),
            Self::All => true,
        }
    }
}

/// An object that a run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// `v1/Namespace plim-x7k2-alpha`.
    pub reference: String,
    /// The run.
    pub run: String,
    /// The tenant.
    pub tenant: Option<String>,
    /// When anybody may remove it; none where that is not on it or cannot be read.
    pub expires: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Set where it is already being deleted, but still there: what it waits for.
    pub stuck: Option<String>,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource: ApiResource,
    pub(super) deletable: bool,
}

/// What was found, or what is still there after removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// The objects meant. What lies in a namespace of the list is not listed itself, since it goes with it.
    pub meant: Vec<Leftover>,
    /// Those of the meant that a sabotage holds back, in namespaces too: nobody else will let them go.
    pub held_back: Vec<Leftover>,
    /// Objects of ours that are not meant, by run.
    pub others: BTreeMap<String, usize>,
    /// Kinds that could not be looked at, one line each: there may be more.
    pub unseen: Vec<String>,
}

impl Sweep {
    /// What could not be looked at, in a line however much it is; none where everything could.
    pub fn blind_spots(&self) -> Option<String> {
        let (first, rest) = self.unseen.split_first()?;
        let more = match rest.len() {
            0 => String::new(),
            1 => " (and one kind more)".to_owned(),
            more => format!(" (and {more} kinds more)"),
        };
        Some(format!("there may be more than was found: {first}{more}"))
    }
}

/// Finds what runs left behind, of every kind that can be listed.
pub async fn find(cluster: &Cluster, selection: &Selection) -> Result<Sweep, ClusterError> {
    cluster.started(STARTS_WITHIN).await;
    let discovery = cluster.discovery().await?;
    let kinds = listing::kinds(&discovery);
    let selector = match selection {
        Selection::Runs(runs) => {
            format!("{RUN_LABEL} in ({})", runs.iter().cloned().collect::<Vec<_>>().join(","))
        }
        Selection::Expired | Selection::All => RUN_LABEL.to_owned(),
    };
    let listing = listing::list(cluster, kinds, None, Some(&selector), true).await?;
    let now = Timestamp::now();
    let mut sweep = Sweep { unseen: listing.unseen, ..Sweep::default() };
    for (kind, object) in listing.objects {
        // What another object owns goes with it.
        if object.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty()) {
            continue;
        }
        let leftover = leftover(&kind, &object);
        if selection.takes(&leftover, now) {
            if object.finalizers().iter().any(|name| name == HELD_BACK) {
                sweep.held_back.push(leftover.clone());
            }
            sweep.meant.push(leftover);
        } else {
            *sweep.others.entry(leftover.run).or_default() += 1;
        }
    }
    let going: BTreeSet<String> = sweep
        .meant
        .iter()
        .filter(|leftover| leftover.is_namespace())
        .map(|leftover| leftover.name.clone())
        .collect();
    sweep.meant.retain(|leftover| leftover.namespace.as_ref().is_none_or(|name| !going.contains(name)));
    sweep.meant.sort_by(|a, b| (&a.run, &a.reference).cmp(&(&b.run, &b.reference)));
    explain_namespaces(cluster, &mut sweep.meant).await?;
    Ok(sweep)
}

fn leftover(kind: &Listable, object: &DynamicObject) -> Leftover {
    let metadata = &object.metadata;
    let label = |key: &str| metadata.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
    let finalizers = metadata.finalizers.clone().unwrap_or_default();
    Leftover {
        reference: reference_in(&kind.resource, metadata.namespace.as_deref(), &object.name_any()),
        run: label(RUN_LABEL).unwrap_or_default(),
        tenant: label(TENANT_LABEL),
        expires: metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(EXPIRES_AT))
            .and_then(|text| text.parse().ok()),
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        stuck: metadata.deletion_timestamp.as_ref().map(|_| match finalizers.as_slice() {
            [] => "it is being deleted".to_owned(),
            some => format!("it is being deleted and waits for its finalizers {}", some.join(", ")),
        }),
        name: object.name_any(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource: kind.resource.clone(),
        deletable: kind.deletable,
    }
}

impl Leftover {
    fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.kind == "Namespace"
    }
}

/// A namespace that is on its way out says itself what it waits for; metadata alone does not hold that.
async fn explain_namespaces(cluster: &Cluster, leftovers: &mut [Leftover]) -> Result<(), ClusterError> {
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    for leftover in
        leftovers.iter_mut().filter(|leftover| leftover.is_namespace() && leftover.stuck.is_some())
    {
        let doing = format!("read namespace {}", leftover.name);
        let found = namespaces.get_opt(&leftover.name).await.map_err(|error| cluster.error(doing, error))?;
        if let Some(namespace) = found {
            leftover.stuck = Some(super::namespace_blockers(&namespace));
        }
    }
    Ok(())
}

/// Lets go of what a sabotage holds back, and removes as [`remove`] does. Only for runs of which nobody is at work any
/// more.
pub async fn remove_of_dead(
    cluster: &Cluster,
    sweep: &Sweep,
    within: Duration,
) -> Result<Vec<Leftover>, ClusterError> {
    let_go(cluster, &sweep.held_back).await?;
    remove(cluster, &sweep.meant, within).await
}

/// Lets go of what a sabotage holds back. Only where its scenarios are over.
pub async fn let_go(cluster: &Cluster, held_back: &[Leftover]) -> Result<(), ClusterError> {
    for held in held_back {
        let doing = || format!("let go of {}", held.reference);
        let api = api(cluster, held);
        let found = api.get_metadata_opt(&held.name).await.map_err(|error| cluster.error(doing(), error))?;
        let Some(found) = found.filter(|found| found.metadata.uid == held.uid) else { continue };
        let others: Vec<_> = found.finalizers().iter().filter(|name| *name != HELD_BACK).collect();
        let patch = Patch::Merge(json!({"metadata": {"uid": held.uid, "finalizers": others}}));
        match api.patch_metadata(&held.name, &PatchParams::default(), &patch).await {
            Ok(_) => {}
            // Gone in the meantime, or replaced by another of the same name.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => return Err(cluster.error(doing(), error)),
        }
    }
    Ok(())
}

/// Removes what was found and waits until it is gone. What is still there when the time is up comes back, each
/// with its reason.
pub async fn remove(
    cluster: &Cluster,
    leftovers: &[Leftover],
    within: Duration,
) -> Result<Vec<Leftover>, ClusterError> {
    let deadline = Instant::now() + within;
    let mut remaining: Vec<Leftover> = Vec::new();
    // Cluster-scoped rights and policies first, so that nobody acts by them on half a tenant; namespaces last.
    let (namespaces, others): (Vec<_>, Vec<_>) =
        leftovers.iter().partition(|leftover| leftover.is_namespace());
    for leftover in others.into_iter().chain(namespaces) {
        if let Err(why) = delete(cluster, leftover).await? {
            remaining.push(Leftover { stuck: Some(why), ..leftover.clone() });
        }
    }
    let asked: Vec<&Leftover> = leftovers
        .iter()
        .filter(|leftover| !remaining.iter().any(|kept| kept.reference == leftover.reference))
        .collect();

    let names: Vec<String> = asked
        .iter()
        .filter(|leftover| leftover.is_namespace())
        .map(|leftover| leftover.name.clone())
        .collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let stuck = wait_namespaces_gone(cluster, &names, Some(RUN_LABEL), left).await?;
    for leftover in asked.iter().filter(|leftover| leftover.is_namespace()) {
        // A namespace of the same name with another uid is a new one.
        if let Some(stuck) =
            stuck.iter().find(|stuck| stuck.name == leftover.name && stuck.uid == leftover.uid)
        {
            remaining.push(Leftover { stuck: Some(stuck.why.clone()), ..(*leftover).clone() });
        }
    }
    for leftover in asked.into_iter().filter(|leftover| !leftover.is_namespace()) {
        if let Some(why) = wait_gone(cluster, leftover, deadline).await? {
            remaining.push(Leftover { stuck: Some(why), ..leftover.clone() });
        }
    }
    Ok(remaining)
}

/// Asks for the removal of exactly this object. The inner error says why the server refused.
async fn delete(cluster: &Cluster, leftover: &Leftover) -> Result<Result<(), String>, ClusterError> {
    if !leftover.deletable {
        return Ok(Err("objects of this kind cannot be deleted".to_owned()));
    }
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: leftover.uid.clone(), resource_version: None }),
        ..DeleteParams::background()
    };
    match api(cluster, leftover).delete(&leftover.name, &parameters).await {
        Ok(_) => Ok(Ok(())),
        // Gone already, or replaced by a new one of the same name.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(Ok(())),
        Err(error) => match cluster.error(format!("delete {}", leftover.reference), error) {
            error @ (ClusterError::Forbidden { .. } | ClusterError::Api { .. }) => Ok(Err(error.to_string())),
            error => Err(error),
        },
    }
}

/// Waits until one object is gone; else what it waits for.
async fn wait_gone(
    cluster: &Cluster,
    leftover: &Leftover,
    deadline: Instant,
) -> Result<Option<String>, ClusterError> {
    let api = api(cluster, leftover);
    let mut pause = Duration::from_millis(20);
    loop {
        let doing = format!("read {}", leftover.reference);
        let found =
            api.get_metadata_opt(&leftover.name).await.map_err(|error| cluster.error(doing, error))?;
        let Some(found) = found.filter(|found| found.metadata.uid == leftover.uid) else {
            return Ok(None);
        };
        if Instant::now() >= deadline {
            let finalizers = found.metadata.finalizers.unwrap_or_default();
            return Ok(Some(match finalizers.as_slice() {
                [] => "it is still there".to_owned(),
                some => format!("it waits for its finalizers {}", some.join(", ")),
            }));
        }
        // Kinds without `watch` are among these, so each is asked again, ever more slowly.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

fn api(cluster: &Cluster, leftover: &Leftover) -> Api<DynamicObject> {
    match &leftover.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client(), namespace, &leftover.resource),
        None => Api::all_with(cluster.client(), &leftover.resource),
    }
}
