//! NetworkPolicy dataplane of one node, in nftables, for policies of namespaces and of the whole cluster.
//!
//! Watches feed [`State`], which yields a [`Snapshot`]; [`compile()`] turns it into a [`Ruleset`]
//! without any I/O; [`Ruleset`] prints itself as text for `nft`; [`run()`] ties them together.
//! What the standard leaves open is decided in `README.md` beside this file.

mod address;
mod admission;
mod cluster_policy;
mod compile;
mod convert;
mod defect;
mod model;
mod nft;
mod plant;
mod plugin;
mod render;
mod ruleset;
mod run;
mod state;

#[cfg(test)]
mod tests;

pub use address::{Cidr, CidrError, Family};
pub use compile::{NodeView, compile};
pub use defect::Defect;
pub use model::{
    Action, ClusterPolicy, ClusterRule, Direction, Expression, IpBlock, Labels, NamedPort, Namespace,
    NamespaceScope, Operator, Peer, Peers, Pod, Policy, Port, PortTarget, Ports, Protocol, Rule, Selector,
    Snapshot, Tier,
};
pub use nft::{Nft, NftError};
pub(crate) use plant::plant;
pub use plugin::{plugin, plugin_configuration};
pub use ruleset::{
    Base, Fate, PeerMatch, PodChain, PolicyChain, PortMatch, PortRange, RuleMatch, Ruleset, TABLE, TierChain,
};
pub use run::{NetpolError, NetpolOptions, Status, run};
pub use state::{Kind, State};
