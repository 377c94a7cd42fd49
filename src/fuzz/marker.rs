//! Markers: how it is known that the dataplane has come to what was just sent.
//!
//! Kubernetes does not tell when a policy is in force. So after each step one more change of the same kind is made whose
//! effect is known and cannot be missed: a path that was closed opens, on every node. A dataplane that takes changes in
//! the order in which they came has then taken those before it, too. This is a hint for *when to look*, no more: whether
//! a path is as it should be is decided by looking, and what is not is looked at until the policy deadline has passed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::case::{Layout, LayoutPod, LayoutPort};
use super::ground::{Equipment, Moved, World};
use crate::cluster::ClusterError;
use crate::oracle::network_policy::Protocol;
use crate::probe::{AddressKind, Fleet, MatrixPlan, Pace, Source, Target, Transport, VerdictKind};

/// The first port of markers; each world has four of them.
const FIRST_PORT: u16 = 7000;
const PORTS: u16 = 4;

/// The pods that markers are seen at: one that calls, and one a node that is called.
#[derive(Debug)]
pub struct Watchtower {
    world: World,
    equipment: Equipment,
}

/// The markers of one world.
#[derive(Debug)]
pub struct Marker {
    number: u16,
    /// Which of the two policies' ports is open now; none before the first time.
    policy: Option<bool>,
    label: Option<bool>,
}

impl Watchtower {
    /// Sets it up for so many worlds.
    pub async fn set_up(equipment: Equipment, prefix: &str, worlds: u16) -> Result<Self, ClusterError> {
        let nodes = equipment.hostnames.len().max(1);
        let ports: Vec<_> =
            (0..worlds * PORTS).map(|port| LayoutPort::bare(Protocol::Tcp, FIRST_PORT + port)).collect();
        let pod = |ports: Vec<LayoutPort>| LayoutPod { nominal: [192, 0, 2, 254].into(), ports };
        // Placed by their order: one on each node, and the one that calls after them.
        let mut pods: BTreeMap<String, LayoutPod> =
            (0..nodes).map(|node| (format!("marks/called-{node:03}"), pod(ports.clone()))).collect();
        pods.insert("marks/calling".to_owned(), pod(vec![LayoutPort::bare(Protocol::Tcp, FIRST_PORT)]));
        let layout = Layout { namespaces: vec!["marks".to_owned()], pods };
        let world = World::set_up(equipment.clone(), layout, prefix.to_owned()).await?;
        let tower = Self { world, equipment };
        let closed = json!({"podSelector": {"matchExpressions": [{"key": CALLING, "operator": "DoesNotExist"}]},
                            "policyTypes": ["Ingress"]});
        tower.send("closed", closed, true).await?;
        tower.label("calling", json!({CALLING: "true"})).await?;
        try_join_all((0..worlds).map(|number| tower.prepare(number))).await?;
        Ok(tower)
    }

    /// The namespaces that it has made.
    pub fn namespaces(&self) -> Vec<String> {
        self.world.namespaces()
    }

    /// Its agents.
    pub const fn fleet(&self) -> &Fleet {
        self.world.fleet()
    }

    /// The markers of a world.
    pub const fn marker(number: u16) -> Marker {
        Marker { number, policy: None, label: None }
    }

    /// What the markers of a world need: a policy whose port moves, and one for each value of a label.
    async fn prepare(&self, number: u16) -> Result<(), ClusterError> {
        self.send(&format!("policy-{number}"), opening(number, None, None), true).await?;
        for side in [false, true] {
            let spec = opening(number, Some(2 + u16::from(side)), Some(side));
            self.send(&format!("label-{number}-{side}"), spec, true).await?;
        }
        Ok(())
    }

    async fn send(&self, name: &str, spec: serde_json::Value, fresh: bool) -> Result<(), ClusterError> {
        let cluster = &self.equipment.cluster;
        let namespace = self.namespace();
        let wrong = |message: String| ClusterError::Api {
            doing: format!("send policy {namespace}/{name}"),
            code: 0,
            message,
        };
        let mut policy: NetworkPolicy =
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec}))
                .map_err(|error| wrong(error.to_string()))?;
        self.equipment.ownership.stamp(&mut policy.metadata);
        let api = Api::<NetworkPolicy>::namespaced(cluster.client(), &namespace);
        let sent = if fresh {
            api.create(&PostParams::default(), &policy).await
        } else {
            api.replace(name, &PostParams::default(), &policy).await
        };
        sent.map(drop).map_err(|error| cluster.error(format!("send policy {namespace}/{name}"), error))
    }

    async fn label(&self, pod: &str, labels: serde_json::Value) -> Result<(), ClusterError> {
        let cluster = &self.equipment.cluster;
        let namespace = self.namespace();
        let patch = json!({"metadata": {"labels": labels}});
        Api::<Pod>::namespaced(cluster.client(), &namespace)
            .patch(pod, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
            .map_err(|error| cluster.error(format!("label pod {namespace}/{pod}"), error))
    }

    fn namespace(&self) -> String {
        self.world.namespaces().into_iter().next().unwrap_or_default()
    }

    /// Makes one more change of each kind that a step made, and waits until it is in force on every node. Returns how
    /// long that took, or none if it did not come to pass in time.
    pub async fn mark(
        &self,
        marker: &mut Marker,
        moved: Moved,
        within: Duration,
    ) -> Result<Option<Duration>, ClusterError> {
        let number = marker.number;
        let mut ports = Vec::new();
        // Labels of namespaces come on a stream of their own; that of pods is the nearest there is.
        if moved.pods || moved.namespaces {
            let side = !marker.label.unwrap_or(true);
            marker.label = Some(side);
            self.label("calling", json!({label(number): side.to_string()})).await?;
            ports.push(2 + u16::from(side));
        }
        if moved.policies {
            let side = !marker.policy.unwrap_or(true);
            marker.policy = Some(side);
            self.send(&format!("policy-{number}"), opening(number, Some(u16::from(side)), None), false)
                .await?;
            ports.push(u16::from(side));
        }
        if ports.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        let began = Instant::now();
        loop {
            let plan = self.plan(number, &ports, within.saturating_sub(began.elapsed()));
            let result = self.world.fleet().run(plan).await;
            let seen = |kind| result.tally().get(&kind).copied().unwrap_or_default();
            if seen(VerdictKind::Open) == result.probes() {
                return Ok(Some(began.elapsed()));
            }
            if began.elapsed() >= within {
                return Ok(None);
            }
        }
    }

    fn plan(&self, number: u16, ports: &[u16], left: Duration) -> MatrixPlan {
        let namespace = self.namespace();
        let source = Source { agent: format!("{namespace}/calling"), place: "marks/calling".to_owned() };
        let called = self.world.ground().pods.iter().filter(|(place, _)| place.starts_with("marks/called-"));
        let targets = called.flat_map(|(place, pod)| {
            let name = place.trim_start_matches("marks/").to_owned();
            let host = pod.addresses.first().map(ToString::to_string).unwrap_or_default();
            let namespace = namespace.clone();
            ports.iter().map(move |port| Target {
                place: place.clone(),
                by: AddressKind::PodAddress,
                transport: Transport::Tcp,
                host: host.clone(),
                port: FIRST_PORT + number * PORTS + port,
                expect: vec![format!("{namespace}/{name}")],
                question: None,
            })
        });
        // Dialled again and again: an open path is known as soon as it opens.
        let deadline = u32::try_from(left.as_millis()).unwrap_or(u32::MAX).clamp(200, 1_500);
        let pace =
            Pace { deadline_ms: deadline, attempts_ms: (0..deadline / 30).map(|at| at * 30).collect() };
        MatrixPlan::all_pairs(vec![source], targets.collect()).with_pace(pace)
    }
}

/// The label of the pod that calls.
const CALLING: &str = "plimsoll.dev/calling";

fn label(number: u16) -> String {
    format!("plimsoll.dev/mark-{number}")
}

/// A policy that opens one of a world's ports for the pod that calls; to all of its labels, or to one value only.
fn opening(number: u16, port: Option<u16>, side: Option<bool>) -> serde_json::Value {
    let mut caller = json!({CALLING: "true"});
    if let Some(side) = side {
        caller[label(number)] = json!(side.to_string());
    }
    let rules = port.map(|port| {
        json!({"from": [{"podSelector": {"matchLabels": caller}}],
               "ports": [{"protocol": "TCP", "port": FIRST_PORT + number * PORTS + port}]})
    });
    json!({"podSelector": {"matchExpressions": [{"key": CALLING, "operator": "DoesNotExist"}]},
           "policyTypes": ["Ingress"], "ingress": rules.into_iter().collect::<Vec<_>>()})
}
