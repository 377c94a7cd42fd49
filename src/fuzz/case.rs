//! One case: a small world with its policies, and what changes in it.
//!
//! A case is written in names and addresses of its own, those of its [`Layout`]. Put on a cluster, every namespace gets
//! its real name, and every block of addresses that is drawn around a pod of the layout is drawn around the real one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::oracle::network_policy::{NamedPort, Protocol, Scene, SceneNamespace, ScenePod};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The label by which every namespace can be selected by its name.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The namespaces and pods of a world that do not change while cases come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The namespaces.
    pub namespaces: Vec<String>,
    /// The pods, by place: `x/a`.
    pub pods: BTreeMap<String, LayoutPod>,
}

/// A pod of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutPod {
    /// The address by which cases mean it.
    pub nominal: IpAddr,
    /// Where it listens.
    pub ports: Vec<LayoutPort>,
}

/// A port that a pod of a layout listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutPort {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

impl LayoutPort {
    /// A port with a name.
    pub fn named(name: &str, protocol: Protocol, number: u16) -> Self {
        Self { name: Some(name.to_owned()), protocol, number }
    }

    /// A port without one.
    pub const fn bare(protocol: Protocol, number: u16) -> Self {
        Self { name: None, protocol, number }
    }
}

/// The world at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stage {
    /// Labels of namespaces, besides that of the name.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Labels>,
    /// Labels of pods, by place.
    #[serde(default)]
    pub pods: BTreeMap<String, Labels>,
    /// The policies.
    #[serde(default)]
    pub policies: Vec<NetworkPolicy>,
}

/// A world that goes through stages; it is measured in each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called in reports.
    pub name: String,
    /// The stages, one after the other.
    pub stages: Vec<Stage>,
}

impl Case {
    /// The most policies of a stage, and the most rules of a policy.
    pub fn size(&self) -> (usize, usize) {
        let policies = self.stages.iter().map(|stage| stage.policies.len()).max().unwrap_or_default();
        let rules = self.stages.iter().flat_map(|stage| &stage.policies).map(rules).max().unwrap_or_default();
        (policies, rules)
    }
}

/// How many rules a policy has, both ways together.
pub fn rules(policy: &NetworkPolicy) -> usize {
    policy.spec.as_ref().map_or(0, |spec| {
        spec.ingress.as_ref().map_or(0, Vec::len) + spec.egress.as_ref().map_or(0, Vec::len)
    })
}

/// Where the world of a layout stands on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Real names of namespaces.
    pub namespaces: BTreeMap<String, String>,
    /// Real labels that every namespace has besides those of the stage: whatever the platform and the run put there.
    pub namespace_labels: BTreeMap<String, Labels>,
    /// The pods, by place.
    pub pods: BTreeMap<String, GroundPod>,
}

/// A pod that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroundPod {
    /// All its addresses; the first is the one that is dialled.
    pub addresses: Vec<IpAddr>,
    /// Labels that it has besides those of the stage.
    pub labels: Labels,
}

/// A stage in the cluster's own names.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// What the oracle is asked about.
    pub scene: Scene,
    /// Place of each pod of the scene, in its order.
    pub places: Vec<String>,
}

impl Layout {
    /// The pods of a stage: those of the layout, and those that it has besides with the ports of the first.
    pub fn ports_of(&self, place: &str) -> &[LayoutPort] {
        let pod = self.pods.get(place).or_else(|| self.pods.values().next());
        pod.map_or(&[], |pod| &pod.ports)
    }

    /// Puts a stage on the ground.
    pub fn place(&self, stage: &Stage, ground: &Ground) -> Placed {
        let namespaces = ground.namespaces.iter().map(|(name, real)| {
            let mut labels = ground.namespace_labels.get(name).cloned().unwrap_or_default();
            labels.extend(stage.namespaces.get(name).cloned().unwrap_or_default());
            labels.insert(NAME_LABEL.to_owned(), real.clone());
            SceneNamespace { name: real.clone(), labels }
        });
        let mut pods = Vec::new();
        let mut places = Vec::new();
        for (place, standing) in &ground.pods {
            let Some((namespace, name)) = place.split_once('/') else { continue };
            let Some(real) = ground.namespaces.get(namespace) else { continue };
            let mut labels = standing.labels.clone();
            labels.extend(stage.pods.get(place).cloned().unwrap_or_default());
            let ports = self.ports_of(place).iter().filter_map(|port| {
                let name = port.name.clone()?;
                Some(NamedPort { name, protocol: port.protocol, number: port.number })
            });
            pods.push(ScenePod {
                namespace: real.clone(),
                name: name.to_owned(),
                labels,
                addresses: standing.addresses.clone(),
                ports: ports.collect(),
                host_network: false,
            });
            places.push(place.clone());
        }
        let policies = stage.policies.iter().map(|policy| self.place_policy(policy, ground)).collect();
        Placed { scene: Scene { namespaces: namespaces.collect(), pods, policies }, places }
    }

    fn place_policy(&self, policy: &NetworkPolicy, ground: &Ground) -> NetworkPolicy {
        let mut placed = policy.clone();
        if let Some(namespace) = &mut placed.metadata.namespace
            && let Some(real) = ground.namespaces.get(namespace)
        {
            namespace.clone_from(real);
        }
        if let Some(spec) = &mut placed.spec {
            let ingress = spec.ingress.iter_mut().flatten().flat_map(|rule| rule.from.iter_mut().flatten());
            let egress = spec.egress.iter_mut().flatten().flat_map(|rule| rule.to.iter_mut().flatten());
            for peer in ingress.chain(egress) {
                self.place_peer(peer, ground);
            }
        }
        placed
    }

    fn place_peer(&self, peer: &mut NetworkPolicyPeer, ground: &Ground) {
        if let Some(selector) = &mut peer.namespace_selector {
            place_names(selector, ground);
        }
        if let Some(block) = &mut peer.ip_block {
            block.cidr = self.place_block(&block.cidr, ground);
            let within: Option<IpNet> = block.cidr.parse().ok();
            if let Some(except) = &mut block.except {
                for hole in except.iter_mut() {
                    *hole = self.place_block(hole, ground);
                }
                // Where pods have other addresses, a hole may lie elsewhere than in its block, or fill it.
                except.retain(|hole| {
                    within.zip(hole.parse::<IpNet>().ok()).is_some_and(|(within, hole)| {
                        within.contains(&hole) && hole.prefix_len() > within.prefix_len()
                    })
                });
            }
        }
    }

    /// A block whose address is that of a pod means the block of that size around the pod.
    fn place_block(&self, text: &str, ground: &Ground) -> String {
        let Ok(block) = text.parse::<IpNet>() else { return text.to_owned() };
        let real = self
            .pods
            .iter()
            .find(|(_, pod)| pod.nominal == block.addr())
            .and_then(|(place, _)| ground.pods.get(place)?.addresses.first().copied());
        let around = real.and_then(|address| IpNet::new(address, block.prefix_len()).ok());
        around.unwrap_or(block).trunc().to_string()
    }
}

/// Names of namespaces in a selector become the real ones.
fn place_names(selector: &mut LabelSelector, ground: &Ground) {
    let place = |value: &mut String| {
        if let Some(real) = ground.namespaces.get(value) {
            value.clone_from(real);
        }
    };
    if let Some(value) = selector.match_labels.as_mut().and_then(|labels| labels.get_mut(NAME_LABEL)) {
        place(value);
    }
    for expression in selector.match_expressions.iter_mut().flatten() {
        if expression.key == NAME_LABEL {
            expression.values.iter_mut().flatten().for_each(place);
        }
    }
}
