//! Policies with their defaults filled in. What the API server would refuse is refused here, too.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use thiserror::Error;

use super::scene::{Direction, Protocol};
use super::selector::Selector;

/// An object that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Nonsense {
    /// Where in the object: `x/web: spec.ingress[0].ports[1]`.
    pub place: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl Nonsense {
    pub(super) fn new(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self { place: place.into(), why: why.into() }
    }
}

/// Why the API server would not take this policy, if it would not.
pub fn policy_violations(policy: &NetworkPolicy) -> Option<Nonsense> {
    Policy::read(policy).err()
}

/// A policy, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    pub namespace: String,
    pub name: String,
    pods: Selector,
    /// `None` where it does not isolate.
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

/// What one entry of `ingress` or `egress` lets through: a peer and a port must both match.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    /// `None` is everybody.
    pub peers: Option<Vec<Peer>>,
    /// `None` is everything.
    pub ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Peer {
    /// Pods of the policy's own namespace.
    Neighbours(Selector),
    /// Pods of the namespaces that the first selects, among them those that the second selects.
    Pods(Selector, Selector),
    /// Addresses.
    Addresses { within: IpNet, except: Vec<IpNet> },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    pub protocol: Protocol,
    pub which: Which,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Which {
    Every,
    Between(u16, u16),
    Called(String),
}

impl Policy {
    pub(super) fn read(object: &NetworkPolicy) -> Result<Self, Nonsense> {
        let namespace = object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let name = object.metadata.name.clone().unwrap_or_default();
        let located =
            |error: Nonsense| Nonsense::new(format!("{namespace}/{name}: {}", error.place), error.why);
        let (pods, ingress, egress) = read_spec(object).map_err(located)?;
        Ok(Self { namespace, name, pods, ingress, egress })
    }

    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The rules for one direction, if the policy applies to such a pod and isolates that direction.
    pub(super) fn rules_for(
        &self,
        namespace: &str,
        labels: &std::collections::BTreeMap<String, String>,
        direction: Direction,
    ) -> Option<&[Rule]> {
        let rules = match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }?;
        (self.namespace == namespace && self.pods.selects(labels)).then_some(rules)
    }
}

type ReadSpec = (Selector, Option<Vec<Rule>>, Option<Vec<Rule>>);

fn read_spec(object: &NetworkPolicy) -> Result<ReadSpec, Nonsense> {
    let Some(spec) = &object.spec else { return Err(Nonsense::new("spec", "it is missing")) };
    let everything = LabelSelector::default();
    let pods = Selector::read(spec.pod_selector.as_ref().unwrap_or(&everything), "spec.podSelector")?;
    let ingress: Vec<Rule> = spec
        .ingress
        .iter()
        .flatten()
        .enumerate()
        .map(|(at, rule)| {
            read_rule(rule.from.as_deref(), rule.ports.as_deref(), &format!("spec.ingress[{at}]"), "from")
        })
        .collect::<Result<_, _>>()?;
    let egress: Vec<Rule> = spec
        .egress
        .iter()
        .flatten()
        .enumerate()
        .map(|(at, rule)| {
            read_rule(rule.to.as_deref(), rule.ports.as_deref(), &format!("spec.egress[{at}]"), "to")
        })
        .collect::<Result<_, _>>()?;
    let kinds = spec.policy_types.as_deref().unwrap_or_default();
    if let Some((at, kind)) =
        kinds.iter().enumerate().find(|(_, kind)| !matches!(kind.as_str(), "Ingress" | "Egress"))
    {
        return Err(Nonsense::new(format!("spec.policyTypes[{at}]"), format!("there is no type `{kind}`")));
    }
    // Not said: ingress in any case, and egress where there is a rule for it.
    let of = |kind: &str, unsaid: bool| {
        if kinds.is_empty() { unsaid } else { kinds.iter().any(|it| it == kind) }
    };
    let isolates_egress = of("Egress", !egress.is_empty());
    Ok((pods, of("Ingress", true).then_some(ingress), isolates_egress.then_some(egress)))
}

fn read_rule(
    peers: Option<&[NetworkPolicyPeer]>,
    ports: Option<&[NetworkPolicyPort]>,
    place: &str,
    word: &str,
) -> Result<Rule, Nonsense> {
    // Missing and empty mean the same: no restriction.
    let peers = match peers {
        None | Some([]) => None,
        Some(peers) => Some(
            peers
                .iter()
                .enumerate()
                .map(|(at, peer)| read_peer(peer, &format!("{place}.{word}[{at}]")))
                .collect::<Result<_, _>>()?,
        ),
    };
    let ports = match ports {
        None | Some([]) => None,
        Some(ports) => Some(
            ports
                .iter()
                .enumerate()
                .map(|(at, port)| read_port(port, &format!("{place}.ports[{at}]")))
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Rule { peers, ports })
}

fn read_peer(peer: &NetworkPolicyPeer, place: &str) -> Result<Peer, Nonsense> {
    let pods = |selector: &LabelSelector| Selector::read(selector, &format!("{place}.podSelector"));
    let namespaces =
        |selector: &LabelSelector| Selector::read(selector, &format!("{place}.namespaceSelector"));
    match (&peer.ip_block, &peer.namespace_selector, &peer.pod_selector) {
        (Some(block), None, None) => read_block(block, &format!("{place}.ipBlock")),
        (Some(_), ..) => Err(Nonsense::new(place, "`ipBlock` goes with no selector")),
        (None, None, None) => Err(Nonsense::new(place, "it names nobody")),
        (None, None, Some(selector)) => Ok(Peer::Neighbours(pods(selector)?)),
        (None, Some(selector), None) => Ok(Peer::Pods(namespaces(selector)?, Selector::default())),
        (None, Some(outer), Some(inner)) => Ok(Peer::Pods(namespaces(outer)?, pods(inner)?)),
    }
}

fn read_block(block: &IPBlock, place: &str) -> Result<Peer, Nonsense> {
    let network = |text: &str, place: String| {
        text.parse::<IpNet>().map_err(|_| Nonsense::new(place, format!("`{text}` is no block of addresses")))
    };
    let within = network(&block.cidr, format!("{place}.cidr"))?;
    let except = block
        .except
        .iter()
        .flatten()
        .enumerate()
        .map(|(at, text)| {
            let place = format!("{place}.except[{at}]");
            let hole = network(text, place.clone())?;
            // The API server wants it inside and smaller.
            if within.contains(&hole) && hole.prefix_len() > within.prefix_len() {
                Ok(hole)
            } else {
                Err(Nonsense::new(place, format!("`{text}` is no real part of `{}`", block.cidr)))
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Peer::Addresses { within, except })
}

fn read_port(port: &NetworkPolicyPort, place: &str) -> Result<Port, Nonsense> {
    let word = port.protocol.as_deref().unwrap_or("TCP");
    let protocol = Protocol::parse(word).ok_or_else(|| {
        Nonsense::new(format!("{place}.protocol"), format!("there is no protocol `{word}`"))
    })?;
    let number = |number: i32, field: &str| {
        u16::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| Nonsense::new(format!("{place}.{field}"), format!("{number} is no port")))
    };
    let which = match (&port.port, port.end_port) {
        (None, None) => Which::Every,
        (Some(IntOrString::Int(first)), end) => {
            let first = number(*first, "port")?;
            let last = end.map_or(Ok(first), |end| number(end, "endPort"))?;
            if last < first {
                return Err(Nonsense::new(format!("{place}.endPort"), "it lies before `port`"));
            }
            Which::Between(first, last)
        }
        (Some(IntOrString::String(name)), None) => Which::Called(name.clone()),
        (None, Some(_)) => return Err(Nonsense::new(format!("{place}.endPort"), "it needs `port`")),
        (Some(IntOrString::String(_)), Some(_)) => {
            return Err(Nonsense::new(format!("{place}.endPort"), "it needs a number as `port`"));
        }
    };
    Ok(Port { protocol, which })
}

impl Peer {
    /// Whether the block has one of the addresses outside of its exceptions.
    pub(super) fn covers(within: &IpNet, except: &[IpNet], addresses: &[IpAddr]) -> bool {
        addresses
            .iter()
            .any(|address| within.contains(address) && !except.iter().any(|hole| hole.contains(address)))
    }
}
