//! Runs packets through a ruleset as the kernel would.

use std::net::IpAddr;

use super::super::{
    Action, Base, Direction, Family, Fate, NodeView, PeerMatch, PortMatch, Protocol, RuleMatch, Ruleset,
    Snapshot, Tier, compile,
};
use super::fixtures::{NODE_A, NODE_B, view};

/// The first packet of a connection, after the service's address was replaced by the pod's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// `None` for what has no ports, such as ICMP.
    pub(crate) port: Option<(Protocol, u16)>,
}

/// True if the node forwards it.
pub(crate) fn forwards(ruleset: &Ruleset, packet: &Packet) -> bool {
    Direction::BOTH.into_iter().all(|direction| passes(ruleset, direction, packet))
}

fn passes(ruleset: &Ruleset, direction: Direction, packet: &Packet) -> bool {
    let own = match direction {
        Direction::Egress => packet.source,
        Direction::Ingress => packet.destination,
    };
    match ruleset.fates(direction).get(&own) {
        Some(Fate::Open) => true,
        Some(Fate::Judged(chain)) => {
            let chain = &ruleset.pod_chains[*chain];
            assert_eq!(chain.direction, direction, "chain of the other direction");
            let decided = chain.admin.and_then(|tier| decides(ruleset, direction, Tier::Admin, tier, packet));
            decided.unwrap_or_else(|| match &chain.base {
                Base::Policies(policies) => policies.iter().any(|policy| {
                    let policy = &ruleset.policy_chains[*policy];
                    assert_eq!(policy.direction, direction, "policy of the other direction");
                    policy.rules.iter().any(|rule| accepts(ruleset, direction, rule, packet))
                }),
                Base::Baseline(tier) => tier
                    .and_then(|tier| decides(ruleset, direction, Tier::Baseline, tier, packet))
                    .unwrap_or(true),
            })
        }
        None => !ruleset.ranges.iter().any(|range| range.contains(own)),
    }
}

/// What a tier makes of a packet, if it does not leave it to the next.
fn decides(
    ruleset: &Ruleset,
    direction: Direction,
    tier: Tier,
    chain: usize,
    packet: &Packet,
) -> Option<bool> {
    let chain = &ruleset.tier_chains[chain];
    assert_eq!((chain.direction, chain.tier), (direction, tier), "tier of another kind");
    let (_, action) = chain.rules.iter().find(|(rule, _)| accepts(ruleset, direction, rule, packet))?;
    match action {
        Action::Accept => Some(true),
        Action::Deny => Some(false),
        Action::Pass => None,
    }
}

fn accepts(ruleset: &Ruleset, direction: Direction, rule: &RuleMatch, packet: &Packet) -> bool {
    let other = match direction {
        Direction::Egress => packet.destination,
        Direction::Ingress => packet.source,
    };
    let peer = match &rule.peer {
        PeerMatch::Any => true,
        PeerMatch::Set(family, set) => {
            let set = &ruleset.address_sets[*set];
            assert!(set.iter().all(|address| Family::of(*address) == *family), "set of mixed families");
            set.contains(&other)
        }
        PeerMatch::Block(block) => {
            block.cidr.contains(other) && !block.except.iter().any(|except| except.contains(other))
        }
    };
    let port = match (&rule.port, packet.port) {
        (PortMatch::Any, _) => true,
        (_, None) => false,
        (PortMatch::Ranges(protocol, ranges), Some((with, port))) => {
            *protocol == with && ranges.iter().any(|range| range.contains(port))
        }
        (PortMatch::Named(family, protocol, set), Some((with, port))) => {
            let set = &ruleset.port_sets[*set];
            assert!(set.iter().all(|(address, _)| Family::of(*address) == *family), "set of mixed families");
            *protocol == with && set.contains(&(packet.destination, port))
        }
    };
    peer && port
}

/// The rulesets of both nodes, in the order of a packet's way.
pub(crate) struct Network {
    rulesets: Vec<(NodeView, Ruleset)>,
}

impl Network {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let rulesets = [NODE_A, NODE_B].map(|node| (view(node), compile(snapshot, &view(node))));
        Self { rulesets: rulesets.into() }
    }

    /// True if every node on the way forwards it: that of the source, and that of the destination.
    pub(crate) fn carries(&self, packet: &Packet) -> bool {
        self.rulesets
            .iter()
            .filter(|(view, _)| {
                let own = |address| view.pod_ranges.iter().any(|range| range.contains(address));
                own(packet.source) || own(packet.destination)
            })
            .all(|(_, ruleset)| forwards(ruleset, packet))
    }

    pub(crate) fn tcp(&self, source: &str, destination: &str, port: u16) -> bool {
        self.carries(&packet(source, destination, Some((Protocol::Tcp, port))))
    }

    pub(crate) fn udp(&self, source: &str, destination: &str, port: u16) -> bool {
        self.carries(&packet(source, destination, Some((Protocol::Udp, port))))
    }
}

pub(crate) fn packet(source: &str, destination: &str, port: Option<(Protocol, u16)>) -> Packet {
    Packet { source: super::fixtures::ip(source), destination: super::fixtures::ip(destination), port }
}
