//! A reproduction: one YAML file that says what disagreed, and from which it can be tried again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::case::{Case, Layout, LayoutPod, LayoutPort};
use super::measure::Deviation;
use crate::oracle::network_policy::Protocol;

const API_VERSION: &str = "plimsoll.dev/v1alpha1";
const KIND: &str = "NetworkPolicyReproduction";

/// What such a file holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reproduction {
    /// `plimsoll.dev/v1alpha1`.
    pub api_version: String,
    /// `NetworkPolicyReproduction`.
    pub kind: String,
    /// Where the case came from.
    pub origin: Origin,
    /// What disagreed.
    pub deviations: Vec<Deviation>,
    /// The world: pods with the addresses by which blocks mean them, and the ports that they serve.
    pub world: FileWorld,
    /// The smallest case that disagrees.
    pub case: Case,
}

/// Where a case came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Origin {
    /// The seed of the run, if the case was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The number of the case in its run, from 1.
    pub number: usize,
    /// How often something smaller was tried.
    pub tries: usize,
    /// Whether nothing smaller disagrees.
    pub smallest: bool,
    /// Version of the program that wrote the file.
    pub version: String,
    /// What was planted on purpose, where it was known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planted: Vec<String>,
}

/// A layout in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileWorld {
    /// The namespaces.
    pub namespaces: Vec<String>,
    /// The pods, by place.
    pub pods: BTreeMap<String, FilePod>,
}

/// A pod in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilePod {
    /// Its address in the words of the case.
    pub address: IpAddr,
    /// The ports that it serves: `web 8080/TCP`, `8081/UDP`.
    pub ports: Vec<String>,
}

impl Reproduction {
    /// Of a case of this layout.
    pub fn new(origin: Origin, layout: &Layout, case: Case, deviations: Vec<Deviation>) -> Self {
        let port = |port: &LayoutPort| match &port.name {
            Some(name) => format!("{name} {}/{}", port.number, port.protocol),
            None => format!("{}/{}", port.number, port.protocol),
        };
        let pods = layout.pods.iter().map(|(place, pod)| {
            let ports = pod.ports.iter().map(port).collect();
            (place.clone(), FilePod { address: pod.nominal, ports })
        });
        let world = FileWorld { namespaces: layout.namespaces.clone(), pods: pods.collect() };
        Self { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), origin, deviations, world, case }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// The text is no such file; the message says where it is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let read: Self = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        if read.api_version != API_VERSION || read.kind != KIND {
            return Err(format!(
                "it is a {} of {}, not a {KIND} of {API_VERSION}",
                read.kind, read.api_version
            ));
        }
        if read.case.stages.is_empty() || read.world.pods.is_empty() {
            return Err("it has no case".to_owned());
        }
        for policy in read.case.stages.iter().flat_map(|stage| &stage.policies) {
            if let Some(nonsense) = crate::oracle::network_policy::policy_violations(policy) {
                return Err(nonsense.to_string());
            }
        }
        read.layout().map(|_| read)
    }

    /// The layout that its case lives in.
    ///
    /// # Errors
    /// A port cannot be read.
    pub fn layout(&self) -> Result<Layout, String> {
        let pods = self.world.pods.iter().map(|(place, pod)| {
            let ports = pod.ports.iter().map(|text| {
                read_port(text)
                    .ok_or_else(|| format!("world.pods.{place}: `{text}` is no port such as `web 8080/TCP`"))
            });
            Ok((
                place.clone(),
                LayoutPod { nominal: pod.address, ports: ports.collect::<Result<_, String>>()? },
            ))
        });
        Ok(Layout { namespaces: self.world.namespaces.clone(), pods: pods.collect::<Result<_, String>>()? })
    }

    /// The file's text. Comments say how to use it: by the command that is given.
    ///
    /// # Errors
    /// It cannot be written as YAML, which is not expected.
    pub fn text(&self, again: &str) -> Result<String, String> {
        let body = serde_yaml::to_string(self).map_err(|error| error.to_string())?;
        let mut head = format!(
            "# A case in which the network policies of a cluster do not do what networking.k8s.io/v1 says.\n\
             # Try it again: {again}\n"
        );
        for deviation in self.deviations.iter().take(3) {
            head.push_str(&format!("# {deviation}\n"));
        }
        if let Some(more) = self.deviations.len().checked_sub(3).filter(|more| *more > 0) {
            head.push_str(&format!("# and {more} more paths\n"));
        }
        Ok(head + &body)
    }
}

fn read_port(text: &str) -> Option<LayoutPort> {
    let (name, rest) = match text.split_once(' ') {
        Some((name, rest)) => (Some(name.to_owned()), rest),
        None => (None, text),
    };
    let (number, protocol) = rest.split_once('/')?;
    Some(LayoutPort { name, number: number.parse().ok()?, protocol: Protocol::parse(protocol)? })
}
