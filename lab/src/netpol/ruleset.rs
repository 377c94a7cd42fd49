//! What the compiler yields: the node's rules as data, one step before text.
//!
//! Two base chains look at every forwarded packet: first its source (egress), then its destination
//! (ingress). An address with a [`Fate`] belongs to a pod of this node; any other address of the
//! node's pod ranges is dropped. A pod that policies select has a [`PodChain`], shared by all pods that the
//! same policies select. It asks the [`TierChain`] of the policies of the whole cluster; then, where NetworkPolicies
//! isolate the pod, one [`PolicyChain`] after the other, and drops what none accepted; elsewhere the tier chain of the
//! baseline, and accepts what that does not drop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Action, Cidr, Direction, Family, IpBlock, Protocol, Tier};

/// Name of the table, of family `inet`, that holds all of it.
pub const TABLE: &str = "plimsoll-netpol";

/// The rules of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Where the node's pods get their addresses.
    pub ranges: Vec<Cidr>,
    /// What becomes of packets from the node's pods.
    pub egress: BTreeMap<IpAddr, Fate>,
    /// What becomes of packets to the node's pods.
    pub ingress: BTreeMap<IpAddr, Fate>,
    /// Chains of pods that policies select; [`Fate::Judged`] is an index into it.
    pub pod_chains: Vec<PodChain>,
    /// Chains of policies; [`PodChain::policies`] holds indices into it.
    pub policy_chains: Vec<PolicyChain>,
    /// Chains of policies of the whole cluster; [`PodChain::admin`] and [`Base::Baseline`] are indices into it.
    pub tier_chains: Vec<TierChain>,
    /// Sets of peers, all of one family each; [`PeerMatch::Set`] is an index into it.
    pub address_sets: Vec<BTreeSet<IpAddr>>,
    /// Sets of named ports in each pod, all of one family each; [`PortMatch::Named`] points here.
    pub port_sets: Vec<BTreeSet<(IpAddr, u16)>>,
}

impl Ruleset {
    /// The rules while nothing is known of the cluster: no pod of the node passes.
    pub fn closed(ranges: Vec<Cidr>) -> Self {
        Self { ranges, ..Self::default() }
    }

    /// The fates of one direction.
    pub fn fates(&self, direction: Direction) -> &BTreeMap<IpAddr, Fate> {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// What becomes of a pod's packets in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// No policy says anything of it: all pass.
    Open,
    /// Only what this pod chain accepts.
    Judged(usize),
}

/// What the pods share that the same policies select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodChain {
    /// Its direction.
    pub direction: Direction,
    /// The tier chain that is asked first.
    pub admin: Option<usize>,
    /// What is asked then.
    pub base: Base,
}

/// What decides of a pod what no rule of the admin tier has decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Base {
    /// Only what one of these policies accepts. Those that allow nothing are left out, so it may be empty.
    Policies(Vec<usize>),
    /// All but what this tier chain drops.
    Baseline(Option<usize>),
}

/// The rules of one tier for the pods that the same policies of the whole cluster select, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierChain {
    /// Its direction.
    pub direction: Direction,
    /// Its tier.
    pub tier: Tier,
    /// The names of the policies, for those who read the ruleset.
    pub policies: Vec<String>,
    /// The first that matches decides; to pass is to ask no further rule of the tier.
    pub rules: Vec<(RuleMatch, Action)>,
}

/// The rules of one policy in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChain {
    /// Its direction.
    pub direction: Direction,
    /// `namespace/name`, for those who read the ruleset.
    pub policy: String,
    /// Each accepts what it matches.
    pub rules: Vec<RuleMatch>,
}

/// A match on peer and port, both of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMatch {
    /// The other side: source on ingress, destination on egress.
    pub peer: PeerMatch,
    /// The destination port, whatever the direction.
    pub port: PortMatch,
}

/// A match on the other side's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMatch {
    /// Any address.
    Any,
    /// One of an address set, of this family.
    Set(Family, usize),
    /// In the block and in none of its exceptions.
    Block(IpBlock),
}

/// A match on the destination port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortMatch {
    /// All traffic, ICMP included.
    Any,
    /// A port in one of these ranges, which are sorted and neither touch nor overlap.
    Ranges(Protocol, Vec<PortRange>),
    /// Destination address and port are in a port set, of this family.
    Named(Family, Protocol, usize),
}

impl PeerMatch {
    /// The only family whose packets it can match.
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Any => None,
            Self::Set(family, _) => Some(*family),
            Self::Block(block) => Some(block.cidr.family()),
        }
    }
}

impl PortMatch {
    /// The only family whose packets it can match.
    pub fn family(&self) -> Option<Family> {
        match self {
            Self::Any | Self::Ranges(..) => None,
            Self::Named(family, ..) => Some(*family),
        }
    }
}

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// True if the port lies in it.
    pub fn contains(&self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}
