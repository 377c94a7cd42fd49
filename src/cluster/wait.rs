//! Waiting for a condition, by watch, with a deadline, ending with what was last seen.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::Instant;

use super::{Cluster, ClusterError, pods};
use crate::engine::waiting_for;

/// A watch that brings nothing but errors for that long is given up before its deadline.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// A wait that passed its deadline, or that can no longer succeed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("waited {} for {what}: {last}", crate::profile::Timespan::from_millis(within.as_millis() as u64))]
pub struct WaitError {
    /// What was waited for: `3 pods in plim-x7k2-alpha to be Ready`.
    pub what: String,
    /// How long.
    pub within: Duration,
    /// What was last seen, in one line.
    pub last: String,
    /// More of the same, one line an object.
    pub details: Vec<String>,
}

/// How far a wait is.
pub(super) enum Progress<T> {
    /// The condition holds.
    Done(T),
    /// Not yet; what is seen, one line an object.
    Waiting(Vec<String>),
    /// It can no longer hold.
    Hopeless(Vec<String>),
}

/// Watches a set of objects until `look` says that the wait is over. `look` gets all of them by
/// `namespace/name`, and is asked once the first listing is complete and then after each change.
pub(super) async fn watch_until<K, T>(
    cluster: &Cluster,
    api: Api<K>,
    config: watcher::Config,
    what: &str,
    within: Duration,
    mut look: impl FnMut(&BTreeMap<String, K>) -> Progress<T>,
) -> Result<T, ClusterError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let waiting = waiting_for(what);
    let deadline = Instant::now() + within;
    let mut stream = pin!(watcher(api, config).default_backoff());
    let mut seen: BTreeMap<String, K> = BTreeMap::new();
    let mut fresh: BTreeMap<String, K> = BTreeMap::new();
    let mut listed = false;
    let mut last = vec!["nothing was seen yet".to_owned()];
    let mut trouble: Option<(Instant, ClusterError)> = None;

    loop {
        let until = match &trouble {
            Some((since, _)) => deadline.min(*since + GIVE_UP_AFTER),
            None => deadline,
        };
        let Ok(event) = tokio::time::timeout_at(until, stream.next()).await else {
            return Err(match trouble {
                Some((_, error)) => error,
                None => ended(what, within, last).into(),
            });
        };
        match event {
            Some(Ok(event)) => {
                trouble = None;
                match event {
                    Event::Init => fresh.clear(),
                    Event::InitApply(object) => {
                        fresh.insert(key(&object), object);
                    }
                    Event::InitDone => {
                        seen = std::mem::take(&mut fresh);
                        listed = true;
                    }
                    Event::Apply(object) => {
                        seen.insert(key(&object), object);
                    }
                    Event::Delete(object) => {
                        seen.remove(&key(&object));
                    }
                }
            }
            Some(Err(error)) => {
                let error = watch_error(cluster, what, error);
                // Nobody gets better credentials by waiting, but of a server that has just come back.
                if matches!(error, ClusterError::Credentials { .. } | ClusterError::Forbidden { .. })
                    && trouble.is_none()
                    && !cluster.is_starting().await
                {
                    return Err(error);
                }
                let since = trouble.map_or_else(Instant::now, |(since, _)| since);
                trouble = Some((since, error));
                continue;
            }
            None => return Err(ended(what, within, vec!["the watch ended".to_owned()]).into()),
        }
        if listed {
            match look(&seen) {
                Progress::Done(value) => return Ok(value),
                Progress::Waiting(lines) => {
                    if let Some(first) = lines.first() {
                        waiting.saw(first.clone());
                    }
                    last = lines;
                }
                Progress::Hopeless(lines) => return Err(ended(what, within, lines).into()),
            }
        }
    }
}

fn ended(what: &str, within: Duration, mut lines: Vec<String>) -> WaitError {
    let last = if lines.is_empty() { "nothing was seen".to_owned() } else { lines.remove(0) };
    WaitError { what: what.to_owned(), within, last, details: lines }
}

fn watch_error(cluster: &Cluster, what: &str, error: watcher::Error) -> ClusterError {
    let doing = format!("watch for {what}");
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => cluster.error(doing, error),
        watcher::Error::WatchError(status) => cluster.error(doing, kube::Error::Api(status)),
        watcher::Error::NoResourceVersion => {
            ClusterError::Api { doing, code: 0, message: "the server sends no resource version".to_owned() }
        }
    }
}

fn key<K: Resource>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}

/// Waits until one object (or its absence) fulfils a condition. `describe` says in one line what is seen.
pub async fn wait_for<K>(
    cluster: &Cluster,
    api: Api<K>,
    name: &str,
    what: &str,
    within: Duration,
    holds: impl Fn(Option<&K>) -> bool,
    describe: impl Fn(Option<&K>) -> String,
) -> Result<Option<K>, ClusterError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watch_until(cluster, api, config, what, within, |seen| {
        let object = seen.values().next();
        if holds(object) {
            Progress::Done(object.cloned())
        } else {
            Progress::Waiting(vec![describe(object)])
        }
    })
    .await
}

/// Waits until every object of a set fulfils a condition; none at all is fine. `describe` says in one line why one
/// does not.
pub async fn wait_all<K>(
    cluster: &Cluster,
    api: Api<K>,
    what: &str,
    within: Duration,
    holds: impl Fn(&K) -> bool,
    describe: impl Fn(&K) -> String,
) -> Result<(), ClusterError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watch_until(cluster, api, watcher::Config::default(), what, within, |seen| {
        let waiting: Vec<String> = seen.values().filter(|object| !holds(object)).map(&describe).collect();
        if waiting.is_empty() { Progress::Done(()) } else { Progress::Waiting(waiting) }
    })
    .await
}

/// Waits until the authorizer lets somebody create pods in a namespace: the sign that a role binding has reached
/// it. There is nothing to watch, so it is asked again and again, ever more slowly.
pub async fn wait_allowed(
    cluster: &Cluster,
    client: &Client,
    namespace: &str,
    within: Duration,
) -> Result<(), ClusterError> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(namespace.to_owned()),
                verb: Some("create".to_owned()),
                resource: Some("pods".to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let deadline = Instant::now() + within;
    let mut pause = Duration::from_millis(10);
    loop {
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| cluster.error(format!("ask about rights in {namespace}"), error))?;
        let status = answer.status.unwrap_or_default();
        if status.allowed {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let what = format!("the right to create pods in {namespace}");
            let reason = status.reason.filter(|reason| !reason.is_empty());
            let last =
                reason.map_or_else(|| "no rule grants it".to_owned(), |reason| format!("refused: {reason}"));
            return Err(ended(&what, within, vec![last]).into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}

/// Waits by one watch until all named pods of a namespace are Ready.
pub async fn wait_pods_ready(
    cluster: &Cluster,
    client: kube::Client,
    namespace: &str,
    selector: &str,
    names: &[String],
    within: Duration,
) -> Result<Vec<Pod>, ClusterError> {
    let what = match names {
        [only] => format!("pod {namespace}/{only} to be Ready"),
        many => format!("{} pods in {namespace} to be Ready", many.len()),
    };
    let config = watcher::Config::default().labels(selector);
    watch_until(cluster, Api::<Pod>::namespaced(client, namespace), config, &what, within, |seen| {
        let mut ready = Vec::new();
        let mut waiting = Vec::new();
        let mut hopeless = false;
        for name in names {
            match seen.get(&format!("{namespace}/{name}")) {
                Some(pod) if pods::is_ready(pod) => ready.push(pod.clone()),
                Some(pod) => {
                    hopeless |= pods::is_hopeless(pod);
                    waiting.push(pods::explain(pod));
                }
                None => waiting.push(format!("pod {namespace}/{name} is not there")),
            }
        }
        match (waiting.is_empty(), hopeless) {
            (true, _) => Progress::Done(ready),
            (false, true) => Progress::Hopeless(waiting),
            (false, false) => Progress::Waiting(waiting),
        }
    })
    .await
}

/// Waits by one watch until none of the pods that the selector finds is left.
pub async fn wait_pods_gone(
    cluster: &Cluster,
    namespace: &str,
    selector: &str,
    within: Duration,
) -> Result<(), ClusterError> {
    let what = format!("the pods of {namespace} to be gone");
    let config = watcher::Config::default().labels(selector);
    watch_until(cluster, Api::<Pod>::namespaced(cluster.client(), namespace), config, &what, within, |seen| {
        if seen.is_empty() {
            Progress::Done(())
        } else {
            Progress::Waiting(seen.keys().map(|key| format!("pod {key} is still there")).collect())
        }
    })
    .await
}

/// A namespace that is still there, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckNamespace {
    /// Its name.
    pub name: String,
    /// Its uid, since a namespace of the same name may be another one.
    pub uid: Option<String>,
    /// One line: what it waits for.
    pub why: String,
}

/// Waits by one watch until none of the named namespaces is left. Those that are when the time is up come back
/// with what they wait for.
pub async fn wait_namespaces_gone(
    cluster: &Cluster,
    names: &[String],
    selector: Option<&str>,
    within: Duration,
) -> Result<Vec<StuckNamespace>, ClusterError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let what = format!("{} to be gone", names.join(", "));
    let mut config = watcher::Config::default();
    if let Some(selector) = selector {
        config = config.labels(selector);
    } else if let [only] = names {
        config = config.fields(&format!("metadata.name={only}"));
    }
    let mut stuck = Vec::new();
    let result =
        watch_until(cluster, Api::<Namespace>::all(cluster.client()), config, &what, within, |seen| {
            stuck = names
                .iter()
                .filter_map(|name| seen.get(name))
                .map(|namespace| StuckNamespace {
                    name: namespace.name_any(),
                    uid: namespace.uid(),
                    why: namespace_blockers(namespace),
                })
                .collect();
            if stuck.is_empty() {
                Progress::Done(())
            } else {
                Progress::Waiting(
                    stuck.iter().map(|stuck| format!("{}: {}", stuck.name, stuck.why)).collect(),
                )
            }
        })
        .await;
    match result {
        Ok(()) => Ok(Vec::new()),
        Err(ClusterError::Wait(_)) => Ok(stuck),
        Err(other) => Err(other),
    }
}

/// Why a namespace is still there, in one line: the conditions that the namespace controller sets, the
/// finalizers, or that nobody has asked for its removal.
pub fn namespace_blockers(namespace: &Namespace) -> String {
    if namespace.metadata.deletion_timestamp.is_none() {
        return "it is Active: nobody has asked for its removal".to_owned();
    }
    let conditions =
        namespace.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    // A condition that is False says that this is *not* what it waits for.
    let mut reasons: Vec<String> = conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .map(|condition| {
            condition
                .message
                .clone()
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| condition.type_.clone())
        })
        .collect();
    if let Some(finalizers) = namespace.metadata.finalizers.as_ref().filter(|list| !list.is_empty()) {
        reasons.push(format!("its own finalizers {} remain", finalizers.join(", ")));
    }
    if reasons.is_empty() {
        let finalizers =
            namespace.spec.as_ref().and_then(|spec| spec.finalizers.clone()).unwrap_or_default().join(", ");
        return format!("it is Terminating, and its finalizer `{finalizers}` has not been worked on yet");
    }
    format!("it is Terminating: {}", reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stuck_namespace_says_what_it_waits_for() {
        let namespace = |value| namespace_blockers(&serde_json::from_value::<Namespace>(value).unwrap());
        let lines = [
            namespace(json!({"metadata": {"name": "a"}, "status": {"phase": "Active"}})),
            namespace(json!({
                "metadata": {"name": "a", "deletionTimestamp": "2026-11-23T10:00:00Z"},
                "spec": {"finalizers": ["kubernetes"]},
            })),
            namespace(json!({
                "metadata": {"name": "a", "deletionTimestamp": "2026-11-23T10:00:00Z"},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"conditions": [
                    {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "all well"},
                    {"type": "NamespaceContentRemaining", "status": "True",
                     "message": "Some resources are remaining: configmaps. has 1 resource instances"},
                    {"type": "NamespaceFinalizersRemaining", "status": "True",
                     "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"},
                ]},
            })),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        it is Active: nobody has asked for its removal
        it is Terminating, and its finalizer `kubernetes` has not been worked on yet
        it is Terminating: Some resources are remaining: configmaps. has 1 resource instances; Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances
        ");
    }
}
