//! The prediction itself.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::read::{Nonsense, Peer, Policy, Port, Rule, Which};
use super::scene::{Direction, Protocol, Scene, ScenePod};

/// Predicts for one scene.
#[derive(Clone, Debug)]
pub struct Oracle {
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pods: BTreeMap<(String, String), ScenePod>,
    policies: Vec<Policy>,
}

/// One end of a flow.
#[derive(Clone, Copy, Debug)]
enum End<'a> {
    Pod(&'a ScenePod),
    /// An address outside of the cluster.
    Outside(IpAddr),
}

/// What is asked about: a packet from here to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// The pod that calls, as namespace and name.
    pub from: (&'a str, &'a str),
    /// The pod that is called.
    pub to: (&'a str, &'a str),
    /// Over which protocol.
    pub protocol: Protocol,
    /// At which of its ports.
    pub port: u16,
}

/// What the standard says of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// At the pod that calls.
    pub egress: Ruling,
    /// At the pod that is called.
    pub ingress: Ruling,
    /// Why the standard leaves it open, where it does: then neither way is wrong.
    pub undefined: Option<Undefined>,
}

impl Forecast {
    /// Whether the flow gets through, if the standard says so or the opposite.
    pub fn is_open(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }

    /// Whether this is promised at all.
    pub const fn is_defined(&self) -> bool {
        self.undefined.is_none()
    }
}

/// What one end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// No policy isolates the pod in this direction.
    NotIsolated,
    /// The end is no pod: policies do not apply to it.
    NoPod,
    /// A rule lets it through.
    Allowed {
        /// The policy, `namespace/name`.
        policy: String,
        /// Which of its rules for the direction, from 0.
        rule: usize,
    },
    /// Isolated, and no rule lets it through.
    Isolated(Isolation),
}

/// By what a pod is isolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// The policies, `namespace/name` each.
    pub policies: Vec<String>,
    /// How many rules they have together for this direction.
    pub rules: usize,
}

/// What the standard does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Undefined {
    /// A pod cannot be kept from itself, nor does every dataplane see such traffic.
    Itself,
    /// A pod on its node's network has the node's address: what policies do to it is not defined.
    HostNetwork,
}

impl Ruling {
    /// Whether this end lets the flow through.
    pub const fn allows(&self) -> bool {
        !matches!(self, Self::Isolated(_))
    }

    /// In words.
    fn words(&self, direction: Direction) -> String {
        match self {
            Self::NotIsolated => format!("{direction}: no policy isolates the pod"),
            Self::NoPod => format!("{direction}: no pod of the cluster"),
            Self::Allowed { policy, rule } => {
                format!("{direction}: allowed by {policy}, {direction}[{rule}]")
            }
            Self::Isolated(isolation) => {
                let by = isolation.policies.join(" and ");
                match isolation.rules {
                    0 => format!("{direction}: isolated by {by}, which allows nothing"),
                    1 => format!("{direction}: isolated by {by}, whose rule does not match"),
                    many => format!("{direction}: isolated by {by}, none of whose {many} rules matches"),
                }
            }
        }
    }
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Itself => "a pod's way to itself is not defined",
            Self::HostNetwork => "what policies do to a pod on the host's network is not defined",
        })
    }
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = if self.is_open() { "open" } else { "closed" };
        if let Some(undefined) = self.undefined {
            return write!(f, "{undefined}");
        }
        let (egress, ingress) = (&self.egress, &self.ingress);
        write!(f, "{words} ({}; {})", egress.words(Direction::Egress), ingress.words(Direction::Ingress))
    }
}

impl Oracle {
    /// Takes a scene in.
    ///
    /// # Errors
    /// A policy that the API server would refuse means nothing, so nothing can be predicted from it.
    pub fn new(scene: &Scene) -> Result<Self, Nonsense> {
        Ok(Self {
            namespaces: scene.namespaces.iter().map(|it| (it.name.clone(), it.labels.clone())).collect(),
            pods: scene
                .pods
                .iter()
                .map(|pod| ((pod.namespace.clone(), pod.name.clone()), pod.clone()))
                .collect(),
            policies: scene.policies.iter().map(Policy::read).collect::<Result<_, _>>()?,
        })
    }

    /// Predicts a flow between two pods; none if either is not in the scene.
    pub fn forecast(&self, flow: &Flow<'_>) -> Option<Forecast> {
        let pod = |(namespace, name): (&str, &str)| self.pods.get(&(namespace.to_owned(), name.to_owned()));
        let (from, to) = (pod(flow.from)?, pod(flow.to)?);
        let undefined = if flow.from == flow.to {
            Some(Undefined::Itself)
        } else if from.host_network || to.host_network {
            Some(Undefined::HostNetwork)
        } else {
            None
        };
        Some(self.judge(End::Pod(from), End::Pod(to), flow.protocol, flow.port, undefined))
    }

    /// Predicts a flow from a pod to an address outside of the cluster.
    pub fn forecast_out(
        &self,
        from: (&str, &str),
        to: IpAddr,
        protocol: Protocol,
        port: u16,
    ) -> Option<Forecast> {
        let pod = self.pods.get(&(from.0.to_owned(), from.1.to_owned()))?;
        let undefined = pod.host_network.then_some(Undefined::HostNetwork);
        Some(self.judge(End::Pod(pod), End::Outside(to), protocol, port, undefined))
    }

    /// Predicts a flow from an address outside of the cluster to a pod.
    pub fn forecast_in(
        &self,
        from: IpAddr,
        to: (&str, &str),
        protocol: Protocol,
        port: u16,
    ) -> Option<Forecast> {
        let pod = self.pods.get(&(to.0.to_owned(), to.1.to_owned()))?;
        let undefined = pod.host_network.then_some(Undefined::HostNetwork);
        Some(self.judge(End::Outside(from), End::Pod(pod), protocol, port, undefined))
    }

    fn judge(
        &self,
        from: End<'_>,
        to: End<'_>,
        protocol: Protocol,
        port: u16,
        undefined: Option<Undefined>,
    ) -> Forecast {
        let rule = |direction, subject, peer| self.rule(direction, subject, peer, to, protocol, port);
        Forecast {
            egress: rule(Direction::Egress, from, to),
            ingress: rule(Direction::Ingress, to, from),
            undefined,
        }
    }

    /// What the policies that select `subject` say of `peer`. A port's name is that of the end that is called,
    /// whatever the direction.
    fn rule(
        &self,
        direction: Direction,
        subject: End<'_>,
        peer: End<'_>,
        called: End<'_>,
        protocol: Protocol,
        port: u16,
    ) -> Ruling {
        let End::Pod(pod) = subject else { return Ruling::NoPod };
        let (mut policies, mut rules) = (Vec::new(), 0);
        for policy in &self.policies {
            let Some(own) = policy.rules_for(&pod.namespace, &pod.labels, direction) else { continue };
            for (index, rule) in own.iter().enumerate() {
                if self.matches(policy, rule, peer, called, protocol, port) {
                    return Ruling::Allowed { policy: policy.place(), rule: index };
                }
            }
            rules += own.len();
            policies.push(policy.place());
        }
        if policies.is_empty() {
            Ruling::NotIsolated
        } else {
            Ruling::Isolated(Isolation { policies, rules })
        }
    }

    fn matches(
        &self,
        policy: &Policy,
        rule: &Rule,
        peer: End<'_>,
        called: End<'_>,
        protocol: Protocol,
        port: u16,
    ) -> bool {
        let peers = |peers: &Vec<Peer>| peers.iter().any(|it| self.is_peer(policy, it, peer));
        let ports = |ports: &Vec<Port>| ports.iter().any(|it| is_port(it, called, protocol, port));
        rule.peers.as_ref().is_none_or(peers) && rule.ports.as_ref().is_none_or(ports)
    }

    fn is_peer(&self, policy: &Policy, peer: &Peer, end: End<'_>) -> bool {
        match (peer, end) {
            (Peer::Addresses { within, except }, End::Pod(pod)) => {
                Peer::covers(within, except, &pod.addresses)
            }
            (Peer::Addresses { within, except }, End::Outside(address)) => {
                Peer::covers(within, except, &[address])
            }
            (_, End::Outside(_)) => false,
            (Peer::Neighbours(pods), End::Pod(pod)) => {
                pod.namespace == policy.namespace && pods.selects(&pod.labels)
            }
            (Peer::Pods(namespaces, pods), End::Pod(pod)) => {
                self.namespaces.get(&pod.namespace).is_some_and(|labels| namespaces.selects(labels))
                    && pods.selects(&pod.labels)
            }
        }
    }
}

fn is_port(wanted: &Port, called: End<'_>, protocol: Protocol, port: u16) -> bool {
    wanted.protocol == protocol
        && match (&wanted.which, called) {
            (Which::Every, _) => true,
            (Which::Between(first, last), _) => (*first..=*last).contains(&port),
            (Which::Called(name), End::Pod(pod)) => {
                pod.ports.iter().any(|it| it.name == *name && it.protocol == protocol && it.number == port)
            }
            // An address outside of the cluster has no names for its ports.
            (Which::Called(_), End::Outside(_)) => false,
        }
}
