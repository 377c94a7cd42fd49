//! The standard, read as naively as can be: for each packet, each pod, each policy, each rule, in the
//! order and words of the API documentation, with nothing resolved or shared beforehand.

use super::super::{
    Action, Direction, NamespaceScope, Operator, Peer, Peers, Pod, PortTarget, Ports, Rule, Selector,
    Snapshot, Tier,
};
use super::interpret::Packet;

/// True if the standard lets the first packet of this connection through.
///
/// Every pod of the cluster is assumed to be on a node that enforces, every address to be one pod's.
pub(crate) fn allows(snapshot: &Snapshot, packet: &Packet) -> bool {
    // "for a connection from a source pod to a destination pod to be allowed, both the egress policy on the
    // source pod and the ingress policy on the destination pod need to allow the connection"
    side_allows(snapshot, packet, Direction::Egress) && side_allows(snapshot, packet, Direction::Ingress)
}

fn pod_at(snapshot: &Snapshot, address: std::net::IpAddr) -> Option<&Pod> {
    snapshot.pods.iter().find(|pod| !pod.host_network && !pod.finished && pod.addresses.contains(&address))
}

fn side_allows(snapshot: &Snapshot, packet: &Packet, direction: Direction) -> bool {
    let (own, other) = match direction {
        Direction::Egress => (packet.source, packet.destination),
        Direction::Ingress => (packet.destination, packet.source),
    };
    let Some(own) = pod_at(snapshot, own) else { return true };
    // "Admin tier, NetworkPolicy tier, Baseline tier"
    if let Some(decided) = tier_decides(snapshot, packet, direction, Tier::Admin, own, other) {
        return decided;
    }
    let mut isolated = false;
    for policy in &snapshot.policies {
        let Some(rules) = policy.rules(direction) else { continue };
        if policy.namespace != own.namespace || !selects(&policy.pods, own) {
            continue;
        }
        isolated = true;
        if rules.iter().any(|rule| meant(snapshot, packet, rule, &policy.namespace, other)) {
            return true;
        }
    }
    // "Further evaluation only happens for Pods not selected"
    !isolated && tier_decides(snapshot, packet, direction, Tier::Baseline, own, other).unwrap_or(true)
}

/// What the policies of the whole cluster say, each in its turn and rule by rule, if they decide at all.
fn tier_decides(
    snapshot: &Snapshot,
    packet: &Packet,
    direction: Direction,
    tier: Tier,
    own: &Pod,
    other: std::net::IpAddr,
) -> Option<bool> {
    let mut policies: Vec<_> =
        snapshot.cluster_policies.iter().filter(|policy| policy.tier == tier).collect();
    policies.sort_by_key(|policy| (policy.priority, &policy.name));
    for policy in policies {
        let of_namespace = snapshot
            .namespaces
            .iter()
            .any(|ns| ns.name == own.namespace && matches(&policy.namespaces, &ns.labels));
        if !of_namespace || !selects(&policy.pods, own) {
            continue;
        }
        for rule in policy.rules(direction) {
            if meant(snapshot, packet, &rule.rule, "", other) {
                return match rule.action {
                    Action::Accept => Some(true),
                    Action::Deny => Some(false),
                    Action::Pass => None,
                };
            }
        }
    }
    None
}

/// True if a rule of a policy of a namespace means this packet, which comes from, or goes to, this other end.
fn meant(
    snapshot: &Snapshot,
    packet: &Packet,
    rule: &Rule,
    namespace: &str,
    other: std::net::IpAddr,
) -> bool {
    let peer = match &rule.peers {
        Peers::All => true,
        Peers::Listed(peers) => peers.iter().any(|peer| match peer {
            Peer::Block(block) => {
                block.cidr.contains(other) && block.except.iter().all(|except| !except.contains(other))
            }
            Peer::Pods { namespaces, pods } => pod_at(snapshot, other).is_some_and(|pod| {
                let namespace = match namespaces {
                    NamespaceScope::Own => pod.namespace == namespace,
                    NamespaceScope::Matching(selector) => snapshot
                        .namespaces
                        .iter()
                        .any(|ns| ns.name == pod.namespace && matches(selector, &ns.labels)),
                };
                namespace && selects(pods, pod)
            }),
        }),
    };
    let port = match &rule.ports {
        Ports::All => true,
        Ports::Listed(ports) => ports.iter().any(|port| {
            let Some((protocol, number)) = packet.port else { return false };
            port.protocol == protocol
                && match &port.target {
                    PortTarget::Any => true,
                    PortTarget::Range(first, last) => *first <= number && number <= *last,
                    PortTarget::Named(name) => pod_at(snapshot, packet.destination).is_some_and(|pod| {
                        pod.ports
                            .iter()
                            .any(|p| p.name == *name && p.protocol == protocol && p.number == number)
                    }),
                }
        }),
    };
    peer && port
}

fn selects(selector: &Selector, pod: &Pod) -> bool {
    matches(selector, &pod.labels)
}

/// Written apart from [`Selector::matches`] on purpose: "the requirements are ANDed".
fn matches(selector: &Selector, labels: &super::super::Labels) -> bool {
    for (key, value) in &selector.labels {
        if labels.get(key) != Some(value) {
            return false;
        }
    }
    for expression in &selector.expressions {
        let value = labels.get(&expression.key);
        let holds = match (&expression.operator, value) {
            (Operator::In(values), Some(value)) => values.contains(value),
            (Operator::NotIn(values), Some(value)) => !values.contains(value),
            (Operator::Exists, Some(_)) | (Operator::NotIn(_) | Operator::DoesNotExist, None) => true,
            (Operator::DoesNotExist, Some(_)) | (Operator::In(_) | Operator::Exists, None) => false,
        };
        if !holds {
            return false;
        }
    }
    true
}
