//! Standing pods on a real cluster, and how a stage is put upon them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::case::{Ground, GroundPod, Labels, Layout, LayoutPort, Placed, Stage};
use super::run::Made;
use crate::cluster::{
    Cluster, ClusterError, FIELD_MANAGER, ImageDelivery, MANAGED_BY, MANAGED_BY_VALUE, Ownership, doing,
    wait_for, wait_namespaces_gone, wait_pods_ready,
};
use crate::oracle::network_policy::Protocol;
use crate::probe::{AgentPod, Fleet};
use crate::profile::Deadlines;

/// The label by which the pods of a namespace are waited for. No case selects by it.
const STANDING: &str = "plimsoll.dev/standing";

/// What worlds are set up with.
#[derive(Clone, Debug)]
pub struct Equipment {
    /// The cluster.
    pub cluster: Cluster,
    /// Whose everything is.
    pub ownership: Ownership,
    /// The agent's image, as in a pod.
    pub image: String,
    /// Whether the nodes have it.
    pub delivery: ImageDelivery,
    /// Values of `kubernetes.io/hostname` of the nodes that pods are spread over.
    pub hostnames: Vec<String>,
    /// How long a pod may take to be Ready.
    pub pod_ready: Duration,
    /// How long a namespace may take to be gone.
    pub namespace_removed: Duration,
    /// The namespaces that were made.
    pub made: Made,
}

impl Equipment {
    /// For everything that a run makes, spread over the first two nodes that take pods.
    ///
    /// # Errors
    /// The nodes cannot be looked at, or none takes pods.
    pub async fn new(
        cluster: Cluster,
        ownership: Ownership,
        image: String,
        delivery: ImageDelivery,
        deadlines: &Deadlines,
    ) -> Result<Self, ClusterError> {
        let nodes = cluster.nodes().await?;
        let hostnames: Vec<String> =
            nodes.into_iter().filter(|node| node.schedulable).take(2).map(|node| node.hostname).collect();
        if hostnames.is_empty() {
            let message = "no node takes pods".to_owned();
            return Err(ClusterError::Api { doing: "choose nodes".to_owned(), code: 0, message });
        }
        Ok(Self {
            cluster,
            ownership,
            image,
            delivery,
            hostnames,
            pod_ready: deadlines.pod_ready.get(),
            namespace_removed: deadlines.namespace_removed.get(),
            made: Made::default(),
        })
    }
}

/// A world that stands: its namespaces and pods, and the stage that it is in.
#[derive(Debug)]
pub struct World {
    equipment: Equipment,
    layout: Layout,
    prefix: String,
    ground: Ground,
    now: Stage,
    /// Policies as they were sent, by namespace and name.
    sent: BTreeMap<(String, String), NetworkPolicy>,
    fleet: Fleet,
}

/// Which of the kinds of events a step caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// A policy was created, changed or deleted.
    pub policies: bool,
    /// A pod's labels were changed.
    pub pods: bool,
    /// A namespace's labels were changed.
    pub namespaces: bool,
}

impl Moved {
    /// Whether anything was.
    pub const fn any(self) -> bool {
        self.policies || self.pods || self.namespaces
    }
}

impl World {
    /// Makes namespaces and pods and waits until every agent answers.
    pub async fn set_up(equipment: Equipment, layout: Layout, prefix: String) -> Result<Self, ClusterError> {
        let mut world = Self {
            equipment,
            layout,
            prefix,
            ground: Ground::default(),
            now: Stage::default(),
            sent: BTreeMap::new(),
            fleet: Fleet::default(),
        };
        let names = world.layout.namespaces.clone();
        let made = try_join_all(names.iter().map(|name| world.make_namespace(name))).await?;
        for (name, (real, labels)) in names.into_iter().zip(made) {
            world.ground.namespaces.insert(name.clone(), real);
            world.ground.namespace_labels.insert(name, labels);
        }
        let places: Vec<String> = world.layout.pods.keys().cloned().collect();
        world.add_pods(places).await?;
        Ok(world)
    }

    /// The layout.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where it stands.
    pub const fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Its agents.
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The namespaces that it has made.
    pub fn namespaces(&self) -> Vec<String> {
        self.ground.namespaces.values().cloned().collect()
    }

    /// The stage in the cluster's own names.
    pub fn placed(&self, stage: &Stage) -> Placed {
        self.layout.place(stage, &self.ground)
    }

    fn client(&self) -> kube::Client {
        self.equipment.cluster.client()
    }

    fn policies(&self, namespace: &str) -> Api<NetworkPolicy> {
        Api::namespaced(self.client(), namespace)
    }

    async fn make_namespace(&self, name: &str) -> Result<(String, Labels), ClusterError> {
        let cluster = &self.equipment.cluster;
        let real = format!("{}-{name}", self.prefix);
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(real.clone());
        self.equipment.ownership.stamp(&mut namespace.metadata);
        self.equipment.made.note(&real);
        let made = Api::<Namespace>::all(self.client())
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(|error| cluster.error(format!("create namespace {real}"), error))?;
        // Pods are refused until the namespace's controller has made it.
        let accounts = Api::<ServiceAccount>::namespaced(self.client(), &real);
        let what = format!("the service account of namespace {real}");
        let there = |account: Option<&ServiceAccount>| account.is_some();
        wait_for(cluster, accounts, "default", &what, self.equipment.pod_ready, there, |_| {
            "it is not there".to_owned()
        })
        .await?;
        let mut labels: Labels = made.labels().clone();
        labels.remove(super::case::NAME_LABEL);
        Ok((real, labels))
    }

    async fn add_pods(&mut self, places: Vec<String>) -> Result<(), ClusterError> {
        let mut by_namespace: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for place in places {
            let Some((namespace, name)) = place.split_once('/') else { continue };
            let Some(real) = self.ground.namespaces.get(namespace) else { continue };
            by_namespace.entry(real.clone()).or_default().push((place.clone(), name.to_owned()));
        }
        let ready = try_join_all(by_namespace.iter().map(|(real, pods)| self.make_pods(real, pods))).await?;
        for (place, pod) in ready.into_iter().flatten() {
            self.fleet.enlist(
                &self.equipment.cluster.client(),
                &pod.namespace().unwrap_or_default(),
                &pod.name_any(),
            );
            self.ground.pods.insert(place, standing(&pod));
        }
        self.fleet.open().await.map_err(|errors| {
            let why = errors.first().map(ToString::to_string).unwrap_or_default();
            ClusterError::Api { doing: "open the agents' streams".to_owned(), code: 0, message: why }
        })?;
        Ok(())
    }

    async fn make_pods(
        &self,
        namespace: &str,
        pods: &[(String, String)],
    ) -> Result<Vec<(String, Pod)>, ClusterError> {
        let cluster = &self.equipment.cluster;
        let api = Api::<Pod>::namespaced(self.client(), namespace);
        try_join_all(pods.iter().map(|(place, name)| {
            let (api, pod) = (api.clone(), self.pod(namespace, place, name));
            async move {
                api.create(&PostParams::default(), &pod)
                    .await
                    .map_err(|error| cluster.error(format!("create pod {namespace}/{name}"), error))
            }
        }))
        .await?;
        let names: Vec<String> = pods.iter().map(|(_, name)| name.clone()).collect();
        let (selector, within) = (format!("{STANDING}=true"), self.equipment.pod_ready);
        let ready = wait_pods_ready(cluster, self.client(), namespace, &selector, &names, within).await?;
        Ok(pods.iter().map(|(place, _)| place.clone()).zip(ready).collect())
    }

    fn pod(&self, namespace: &str, place: &str, name: &str) -> Pod {
        // By the place in the layout, so that neighbours stand on one node and on two.
        let index = self.layout.pods.keys().position(|it| it == place).unwrap_or_default();
        let hostnames = &self.equipment.hostnames;
        let node = hostnames.get(index % hostnames.len().max(1)).cloned();
        agent(&self.equipment, namespace, name, self.layout.ports_of(place), node)
    }

    /// Puts the world into a stage: labels, then policies, each only where it differs from what is there.
    pub async fn enter(&mut self, stage: &Stage) -> Result<Moved, ClusterError> {
        self.populate(stage).await?;
        let moved = try_join(self.label_namespaces(stage), self.label_pods(stage)).await?;
        let placed = self.placed(stage);
        let policies = self.send_policies(placed.scene.policies).await?;
        self.now = stage.clone();
        Ok(Moved { policies, namespaces: moved.0, pods: moved.1 })
    }

    /// Makes namespaces and pods that the stage has and the layout has not, and removes those that it has no more.
    async fn populate(&mut self, stage: &Stage) -> Result<(), ClusterError> {
        let wanted = |place: &String| self.layout.pods.contains_key(place) || stage.pods.contains_key(place);
        let gone: Vec<String> = self.ground.pods.keys().filter(|place| !wanted(place)).cloned().collect();
        let kept =
            |name: &String| self.layout.namespaces.contains(name) || stage.namespaces.contains_key(name);
        let empty: Vec<String> = self.ground.namespaces.keys().filter(|name| !kept(name)).cloned().collect();
        for place in gone {
            self.remove_pod(&place).await?;
        }
        for name in empty {
            if let Some(real) = self.ground.namespaces.remove(&name) {
                self.ground.namespace_labels.remove(&name);
                self.sent.retain(|(namespace, _), _| *namespace != real);
                remove_namespaces(&self.equipment, &[real], None).await?;
            }
        }
        let missing: Vec<String> = stage
            .namespaces
            .keys()
            .filter(|name| !self.ground.namespaces.contains_key(*name))
            .cloned()
            .collect();
        for name in missing {
            let (real, labels) = self.make_namespace(&name).await?;
            self.ground.namespaces.insert(name.clone(), real);
            self.ground.namespace_labels.insert(name, labels);
        }
        let absent: Vec<String> =
            stage.pods.keys().filter(|place| !self.ground.pods.contains_key(*place)).cloned().collect();
        if absent.is_empty() { Ok(()) } else { self.add_pods(absent).await }
    }

    async fn remove_pod(&mut self, place: &str) -> Result<(), ClusterError> {
        self.ground.pods.remove(place);
        self.now.pods.remove(place);
        let Some((namespace, name)) = place.split_once('/') else { return Ok(()) };
        let Some(real) = self.ground.namespaces.get(namespace) else { return Ok(()) };
        let api = Api::<Pod>::namespaced(self.client(), real);
        let cluster = &self.equipment.cluster;
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(cluster.error(format!("delete pod {real}/{name}"), error)),
        }
        let what = format!("pod {real}/{name} to be gone");
        let within = self.equipment.pod_ready;
        wait_for(cluster, api, name, &what, within, |pod| pod.is_none(), |_| "it is still there".to_owned())
            .await
            .map(drop)
    }

    async fn label_namespaces(&self, stage: &Stage) -> Result<bool, ClusterError> {
        let api = Api::<Namespace>::all(self.client());
        let changes = self.ground.namespaces.iter().filter_map(|(name, real)| {
            let patch = relabelling(self.now.namespaces.get(name), stage.namespaces.get(name))?;
            Some((real.clone(), patch))
        });
        self.relabel(api, "namespace", changes.collect()).await
    }

    async fn label_pods(&self, stage: &Stage) -> Result<bool, ClusterError> {
        let mut any = false;
        let mut requests = Vec::new();
        for place in self.ground.pods.keys() {
            let Some((namespace, name)) = place.split_once('/') else { continue };
            let Some(real) = self.ground.namespaces.get(namespace) else { continue };
            let Some(patch) = relabelling(self.now.pods.get(place), stage.pods.get(place)) else { continue };
            any = true;
            let api = Api::<Pod>::namespaced(self.client(), real);
            requests.push(self.relabel(api, "pod", vec![(name.to_owned(), patch)]));
        }
        try_join_all(requests).await?;
        Ok(any)
    }

    async fn relabel<K>(
        &self,
        api: Api<K>,
        kind: &str,
        changes: Vec<(String, Value)>,
    ) -> Result<bool, ClusterError>
    where
        K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let cluster = &self.equipment.cluster;
        let requests = changes.iter().map(|(name, labels)| {
            let (api, patch) = (api.clone(), json!({"metadata": {"labels": labels}}));
            async move {
                api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
                    .await
                    .map_err(|error| cluster.error(format!("label {kind} {name}"), error))
            }
        });
        try_join_all(requests).await?;
        Ok(!changes.is_empty())
    }

    async fn send_policies(&mut self, policies: Vec<NetworkPolicy>) -> Result<bool, ClusterError> {
        let key = |policy: &NetworkPolicy| (policy.namespace().unwrap_or_default(), policy.name_any());
        let wanted: BTreeMap<_, _> = policies.into_iter().map(|policy| (key(&policy), policy)).collect();
        let gone: Vec<_> = self.sent.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        let changed: Vec<_> =
            wanted.iter().filter(|(key, policy)| self.sent.get(*key) != Some(policy)).collect();
        let known: BTreeSet<_> = self.sent.keys().cloned().collect();
        let puts = changed.iter().map(|(key, policy)| self.send_policy(key, policy, known.contains(*key)));
        let deletes = gone.iter().map(|key| self.delete_policy(key));
        try_join(try_join_all(puts), try_join_all(deletes)).await?;
        let any = !changed.is_empty() || !gone.is_empty();
        self.sent = wanted;
        Ok(any)
    }

    async fn send_policy(
        &self,
        (namespace, name): &(String, String),
        policy: &NetworkPolicy,
        known: bool,
    ) -> Result<(), ClusterError> {
        let mut policy = policy.clone();
        self.equipment.ownership.stamp(&mut policy.metadata);
        let api = self.policies(namespace);
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let sent = if known {
            api.replace(name, &parameters, &policy).await
        } else {
            api.create(&parameters, &policy).await
        };
        let cluster = &self.equipment.cluster;
        sent.map(drop).map_err(|error| cluster.error(format!("send policy {namespace}/{name}"), error))
    }

    async fn delete_policy(&self, (namespace, name): &(String, String)) -> Result<(), ClusterError> {
        match self.policies(namespace).delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(doing(
                self.equipment.cluster.server(),
                format!("delete policy {namespace}/{name}"),
                error,
            )),
        }
    }
}

/// Removes namespaces and waits until they are gone; what stays comes back with its reason.
pub async fn remove_namespaces(
    equipment: &Equipment,
    names: &[String],
    within: Option<Duration>,
) -> Result<Vec<(String, String)>, ClusterError> {
    let api = Api::<Namespace>::all(equipment.cluster.client());
    try_join_all(names.iter().map(|name| {
        let api = api.clone();
        async move {
            match api.delete(name, &DeleteParams::background()).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
                Err(error) => Err(equipment.cluster.error(format!("delete namespace {name}"), error)),
            }
        }
    }))
    .await?;
    let within = within.unwrap_or(equipment.namespace_removed);
    let owned = format!("{MANAGED_BY}={MANAGED_BY_VALUE}");
    let stuck = wait_namespaces_gone(&equipment.cluster, names, Some(&owned), within).await?;
    Ok(stuck.into_iter().map(|stuck| (stuck.name, stuck.why)).collect())
}

/// An agent that serves these ports, by their names.
pub(super) fn agent(
    equipment: &Equipment,
    namespace: &str,
    name: &str,
    ports: &[LayoutPort],
    node: Option<String>,
) -> Pod {
    let of = |protocol: Protocol| {
        let ports = ports.iter().filter(|port| port.protocol == protocol);
        ports.map(|port| port.number).collect::<Vec<_>>()
    };
    let mut pod = AgentPod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        image: equipment.image.clone(),
        image_pull_policy: Some(match equipment.delivery {
            ImageDelivery::Loaded => "Never".to_owned(),
            ImageDelivery::ByReference => "IfNotPresent".to_owned(),
        }),
        labels: Labels::from([(STANDING.to_owned(), "true".to_owned())]),
        tcp: of(Protocol::Tcp),
        udp: of(Protocol::Udp),
        node,
        ..AgentPod::default()
    }
    .pod();
    equipment.ownership.stamp(&mut pod.metadata);
    let containers = pod.spec.iter_mut().flat_map(|spec| &mut spec.containers);
    for port in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
        let same = |known: &&LayoutPort| {
            i32::from(known.number) == port.container_port
                && port.protocol.as_deref() == Some(known.protocol.word())
        };
        port.name = ports.iter().find(same).and_then(|known| known.name.clone());
    }
    pod
}

fn standing(pod: &Pod) -> GroundPod {
    let status = pod.status.as_ref();
    let first = status.and_then(|status| status.pod_ip.clone());
    let all = status.and_then(|status| status.pod_ips.clone()).into_iter().flatten().map(|ip| ip.ip);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in first.into_iter().chain(all).filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    GroundPod { addresses, labels: pod.labels().clone() }
}

/// The merge patch from some labels to others; none if they are the same.
fn relabelling(before: Option<&Labels>, after: Option<&Labels>) -> Option<Value> {
    let (none, mut patch) = (Labels::new(), serde_json::Map::new());
    let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
        patch.insert(key.clone(), json!(value));
    }
    // The name's label is the API server's own.
    patch.remove(super::case::NAME_LABEL);
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_differs_is_patched() {
        let (red, blue) = (labels(&[("app", "red"), ("tier", "front")]), labels(&[("app", "blue")]));
        assert_eq!(relabelling(Some(&red), Some(&red)), None);
        assert_eq!(relabelling(None, Some(&Labels::new())), None);
        assert_eq!(relabelling(Some(&red), Some(&blue)), Some(json!({"tier": null, "app": "blue"})));
        assert_eq!(relabelling(Some(&blue), None), Some(json!({"app": null})));
    }
}
