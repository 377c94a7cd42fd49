//! NetworkPolicies, pods and namespaces as the compiler sees them: resolved defaults, no API types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;

use super::Cidr;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// All that decides which packets may pass, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every namespace of the cluster.
    pub namespaces: Vec<Namespace>,
    /// Every pod of the cluster, whatever its state.
    pub pods: Vec<Pod>,
    /// Every NetworkPolicy.
    pub policies: Vec<Policy>,
    /// Every policy of the whole cluster.
    pub cluster_policies: Vec<ClusterPolicy>,
}

/// A namespace, for `namespaceSelector`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// A pod, as selected by policies and as peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Unique over time, unlike the name.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node that it was scheduled to.
    pub node: Option<String>,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses; empty until it has any.
    pub addresses: Vec<IpAddr>,
    /// It shares the node's network: no policy selects it, no pod selector matches it.
    pub host_network: bool,
    /// Phase Succeeded or Failed: its addresses may belong to another pod by now.
    pub finished: bool,
    /// Ports with names, of all its long-running containers.
    pub ports: Vec<NamedPort>,
}

impl Pod {
    /// True if its addresses are its own and in use.
    pub fn has_own_network(&self) -> bool {
        !self.host_network && !self.finished
    }
}

/// A container port that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPort {
    /// The name.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// A NetworkPolicy with its defaults resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pods that it selects, in its namespace.
    pub pods: Selector,
    /// Rules for what may come in; `None` if it does not isolate this direction.
    pub ingress: Option<Vec<Rule>>,
    /// Rules for what may go out; `None` if it does not isolate this direction.
    pub egress: Option<Vec<Rule>>,
}

impl Policy {
    /// Its rules of one direction, if it isolates it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// A ClusterNetworkPolicy: rules for pods of any namespace, the first of which that matches decides. It isolates nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Its name.
    pub name: String,
    /// When it is asked.
    pub tier: Tier,
    /// Within its tier the lowest is asked first.
    pub priority: u16,
    /// The namespaces of the pods that it selects.
    pub namespaces: Selector,
    /// The pods that it selects there.
    pub pods: Selector,
    /// Rules for what comes in, in their order.
    pub ingress: Vec<ClusterRule>,
    /// Rules for what goes out, in their order.
    pub egress: Vec<ClusterRule>,
}

impl ClusterPolicy {
    /// Its rules of one direction.
    pub fn rules(&self, direction: Direction) -> &[ClusterRule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Policies of the whole cluster are asked before NetworkPolicies or after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Tier {
    /// Before all others.
    Admin,
    /// Where no NetworkPolicy isolates the pod.
    Baseline,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Baseline => "baseline",
        })
    }
}

/// A rule of a policy of the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRule {
    /// What becomes of the traffic.
    pub action: Action,
    /// Which traffic.
    pub rule: Rule,
}

/// What a rule of the whole cluster does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Action {
    /// Lets it through, without asking anybody else.
    Accept,
    /// Drops it, without asking anybody else.
    Deny,
    /// Asks the next tier.
    Pass,
}

/// The way of the traffic, seen from the selected pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

/// One `ingress` or `egress` entry: allowed is what matches a peer and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `from` or `to`.
    pub peers: Peers,
    /// `ports`.
    pub ports: Ports,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Missing or empty: everybody.
    All,
    /// Any of these.
    Listed(Vec<Peer>),
}

/// One entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Pods by labels.
    Pods {
        /// In which namespaces.
        namespaces: NamespaceScope,
        /// Which pods there.
        pods: Selector,
    },
    /// Addresses.
    Block(IpBlock),
}

/// Where a pod peer is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamespaceScope {
    /// No `namespaceSelector`: the policy's own namespace.
    Own,
    /// Namespaces with these labels.
    Matching(Selector),
}

/// `ipBlock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpBlock {
    /// The block.
    pub cidr: Cidr,
    /// Parts of it that are not meant.
    pub except: Vec<Cidr>,
}

/// The ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Missing or empty: all traffic, also that which has no ports.
    All,
    /// Any of these.
    Listed(Vec<Port>),
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Missing in the object means TCP.
    pub protocol: Protocol,
    /// Which of its ports.
    pub target: PortTarget,
}

/// What an entry of `ports` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortTarget {
    /// Nothing: every port of the protocol.
    Any,
    /// One number, or `port` to `endPort`, both included.
    Range(u16, u16),
    /// A container port by name, looked up in each destination pod.
    Named(String),
}

/// A transport protocol that policies know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A label selector; without any requirement it matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    /// `matchLabels`.
    pub labels: Labels,
    /// `matchExpressions`.
    pub expressions: Vec<Expression>,
}

/// One of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression {
    /// The label's key.
    pub key: String,
    /// What must hold of it.
    pub operator: Operator,
}

/// The operators of `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// Present with one of the values.
    In(BTreeSet<String>),
    /// Absent, or with none of the values.
    NotIn(BTreeSet<String>),
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

impl Selector {
    /// True if it matches an object with these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl Expression {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
