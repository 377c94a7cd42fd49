//! Which tier goes to which node.

use super::{TenantError, Tier};
use crate::cluster::NodeInfo;

/// The nodes that pods of the run are spread over: the same for every tenant, subject or control. So any pair of
/// tiers of two tenants has its twin, on the same pair of nodes, between control tenants; and with two nodes both
/// kinds of pairs are there, those on one node (`web` and `db`) and those across (`web` and `api`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    hostnames: Vec<String>,
}

impl Placement {
    /// Takes the first two nodes that take pods.
    pub fn choose(nodes: &[NodeInfo]) -> Result<Self, TenantError> {
        let hostnames: Vec<String> =
            nodes.iter().filter(|node| node.schedulable).take(2).map(|node| node.hostname.clone()).collect();
        if hostnames.is_empty() {
            let why = nodes
                .iter()
                .map(|node| {
                    let state = if node.ready { "keeps pods away" } else { "is not Ready" };
                    format!("{} {state}", node.name)
                })
                .collect::<Vec<_>>()
                .join(", ");
            let why = if why.is_empty() { "the cluster has no node".to_owned() } else { why };
            return Err(TenantError::NoNodes { why });
        }
        Ok(Self { hostnames })
    }

    /// The value of `kubernetes.io/hostname` for a tier.
    pub fn of(&self, tier: Tier) -> &str {
        &self.hostnames[tier.index() % self.hostnames.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: bool, schedulable: bool) -> NodeInfo {
        NodeInfo {
            name: name.into(),
            kubelet: String::new(),
            ready,
            schedulable,
            hostname: format!("host-{name}"),
            addresses: Vec::new(),
        }
    }

    #[test]
    fn both_kinds_of_pairs_exist_on_two_nodes() {
        let placement =
            Placement::choose(&[node("a", true, false), node("b", true, true), node("c", true, true)])
                .unwrap();
        assert_eq!(placement.of(Tier::Web), placement.of(Tier::Db));
        assert_ne!(placement.of(Tier::Web), placement.of(Tier::Api));
        let one = Placement::choose(&[node("a", true, true)]).unwrap();
        assert_eq!(one.of(Tier::Web), one.of(Tier::Api));
    }

    #[test]
    fn without_a_usable_node_it_says_why() {
        let error = Placement::choose(&[node("a", false, false), node("b", true, false)]).unwrap_err();
        assert_eq!(error.to_string(), "no node takes pods: a is not Ready, b keeps pods away");
    }
}
