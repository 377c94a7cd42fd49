//! Cases that somebody else made, as a file of answers holds them (`tests/fixtures/cyclonus`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde::Deserialize;

use super::case::{Case, Labels, Layout, LayoutPod, LayoutPort, NAME_LABEL, Stage};
use crate::oracle::network_policy::Protocol;

/// A file of cases with the answers of another simulator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Version of the program that made the cases.
    pub version: String,
    /// The ports that every pod serves.
    pub ports: Vec<u16>,
    /// The states of the world, each once.
    pub states: Vec<RecordedState>,
    /// The policies, each once.
    pub policies: Vec<NetworkPolicy>,
    /// Who reaches whom, one row a caller, one column a called pod.
    pub tables: Vec<Vec<String>>,
    /// The cases.
    pub cases: Vec<RecordedCase>,
}

/// A state of the world.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedState {
    /// Labels of the namespaces.
    pub namespaces: BTreeMap<String, Labels>,
    /// The pods, sorted by place.
    pub pods: Vec<RecordedPod>,
}

/// A pod of such a state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedPod {
    /// `x/a`.
    pub place: String,
    /// Its labels.
    pub labels: Labels,
    /// Its address.
    pub ip: IpAddr,
}

/// A case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCase {
    /// What it is called.
    pub description: String,
    /// What it is about.
    pub tags: Vec<String>,
    /// Whether the program runs it if nobody says otherwise.
    pub default: bool,
    /// What is done, one after the other.
    pub steps: Vec<RecordedStep>,
}

/// A step of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedStep {
    /// What was done, for those who read it.
    pub actions: Vec<String>,
    /// The state afterwards.
    pub state: usize,
    /// The policies afterwards.
    pub policies: Vec<usize>,
    /// By `TCP/80` and so on, the number of the table.
    pub tables: BTreeMap<String, usize>,
}

impl Recorded {
    /// Reads a file's text.
    ///
    /// # Errors
    /// The text is no such file, or names what it does not have.
    pub fn read(text: &str) -> Result<Self, String> {
        let recorded: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (at, case) in recorded.cases.iter().enumerate() {
            for step in &case.steps {
                let lost = step.state >= recorded.states.len()
                    || step.policies.iter().any(|policy| *policy >= recorded.policies.len())
                    || step.tables.values().any(|table| *table >= recorded.tables.len());
                if lost {
                    return Err(format!(
                        "case {} ({}) names what the file does not have",
                        at + 1,
                        case.description
                    ));
                }
            }
        }
        if recorded.states.is_empty() || recorded.cases.is_empty() {
            return Err("the file has no cases".to_owned());
        }
        Ok(recorded)
    }

    /// The world that the cases live in: the first state's. Every pod serves every port over TCP and UDP, and each port
    /// has a name; those of SCTP are left to clusters that have it.
    pub fn layout(&self) -> Layout {
        let ports: Vec<LayoutPort> = [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .flat_map(|protocol| {
                self.ports.iter().map(move |number| {
                    let name = format!("serve-{number}-{}", protocol.word().to_lowercase());
                    LayoutPort::named(&name, protocol, *number)
                })
            })
            .collect();
        let state = &self.states[0];
        Layout {
            namespaces: state.namespaces.keys().cloned().collect(),
            pods: state
                .pods
                .iter()
                .map(|pod| (pod.place.clone(), LayoutPod { nominal: pod.ip, ports: ports.clone() }))
                .collect(),
        }
    }

    /// One of the cases, to be put on a cluster.
    pub fn case(&self, number: usize) -> Option<Case> {
        let case = self.cases.get(number)?;
        let stages = case.steps.iter().map(|step| {
            let state = &self.states[step.state];
            let mut namespaces = state.namespaces.clone();
            for labels in namespaces.values_mut() {
                labels.remove(NAME_LABEL);
            }
            Stage {
                namespaces,
                pods: state.pods.iter().map(|pod| (pod.place.clone(), pod.labels.clone())).collect(),
                policies: step
                    .policies
                    .iter()
                    .map(|policy| self.around(self.policies[*policy].clone()))
                    .collect(),
            }
        });
        Some(Case { name: format!("{} ({})", case.description, number + 1), stages: stages.collect() })
    }

    /// Blocks are drawn around the last pod of the first state: its address stands for them, so that they can be drawn
    /// around the real one.
    fn around(&self, mut policy: NetworkPolicy) -> NetworkPolicy {
        let Some(middle) = self.states[0].pods.last().map(|pod| pod.ip) else { return policy };
        let Some(spec) = &mut policy.spec else { return policy };
        let ingress = spec.ingress.iter_mut().flatten().flat_map(|rule| rule.from.iter_mut().flatten());
        let egress = spec.egress.iter_mut().flatten().flat_map(|rule| rule.to.iter_mut().flatten());
        for block in ingress.chain(egress).filter_map(|peer| peer.ip_block.as_mut()) {
            for text in std::iter::once(&mut block.cidr).chain(block.except.iter_mut().flatten()) {
                if let Ok(network) = text.parse::<IpNet>()
                    && network.contains(&middle)
                    && network.prefix_len() > 0
                {
                    *text = format!("{middle}/{}", network.prefix_len());
                }
            }
        }
        policy.metadata.creation_timestamp = None;
        policy
    }
}
