//! Policies of the whole cluster: their tiers, their order, their actions, and what cannot be read.

use super::super::{Action, ClusterPolicy, Peers, Protocol, Snapshot, Tier};
use super::fixtures::{cluster, cluster_policy, policy};
use super::interpret::Network;

const XA: &str = "198.18.1.11";
const XB: &str = "198.18.2.12";
const YA: &str = "198.18.1.21";

const DENY_ALL: &str = "{podSelector: {}, policyTypes: [Ingress]}";

/// The cluster of the fixtures under the policies of namespace x and of the whole cluster.
fn network(policies: &[&str], wide: &[&str]) -> Network {
    let snapshot = cluster(policies.iter().map(|spec| policy(spec)));
    let named = wide.iter().enumerate();
    let cluster_policies =
        named.map(|(number, spec)| cluster_policy(&format!("wide-{number}"), spec)).collect();
    Network::new(&Snapshot { cluster_policies, ..snapshot })
}

/// A policy for the pods of namespace x, with one rule for what comes from anywhere.
fn from_all(tier: &str, priority: u16, action: &str) -> String {
    format!(
        "{{tier: {tier}, priority: {priority}, subject: {{namespaces: {{matchLabels: {{ns: x}}}}}}, \
         ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]}}"
    )
}

#[test]
fn the_admin_tier_wins_over_policies_both_ways() {
    let denied = network(&["{podSelector: {}, ingress: [{}]}"], &[&from_all("Admin", 10, "Deny")]);
    assert!(!denied.tcp(XB, XA, 80));
    assert!(denied.tcp(XA, YA, 80), "of pods that are not selected nothing changes");
    let accepted = network(&[DENY_ALL], &[&from_all("Admin", 10, "Accept")]);
    assert!(accepted.tcp(YA, XA, 80));
}

#[test]
fn to_pass_is_to_leave_it_to_the_policies() {
    let wide = [from_all("Admin", 10, "Pass"), from_all("Admin", 20, "Accept")];
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    assert!(!network(&[DENY_ALL], &wide).tcp(XB, XA, 80));
    assert!(network(&["{podSelector: {}, ingress: [{}]}"], &wide).tcp(XB, XA, 80));
}

#[test]
fn the_lower_priority_is_asked_first() {
    let wide = [from_all("Admin", 20, "Accept"), from_all("Admin", 10, "Deny")];
    assert!(!network(&[], &[&wide[0], &wide[1]]).tcp(XB, XA, 80));
    let wide = [from_all("Admin", 10, "Accept"), from_all("Admin", 20, "Deny")];
    assert!(network(&[], &[&wide[0], &wide[1]]).tcp(XB, XA, 80));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rules = "{tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [\
                 {action: Accept, from: [{pods: {podSelector: {matchLabels: {pod: b}}}}]}, \
                 {action: Deny, from: [{namespaces: {}}]}]}";
    let network = network(&[], &[rules]);
    assert!(network.tcp(XB, XA, 80));
    assert!(!network.tcp(YA, XA, 80));
}

#[test]
fn the_baseline_is_asked_only_where_no_policy_isolates() {
    let base = from_all("Baseline", 0, "Deny");
    assert!(!network(&[], &[&base]).tcp(XB, XA, 80));
    assert!(network(&["{podSelector: {}, ingress: [{}]}"], &[&base]).tcp(XB, XA, 80));
    let egress_only = "{podSelector: {}, policyTypes: [Egress], egress: [{}]}";
    assert!(!network(&[egress_only], &[&base]).tcp(XB, XA, 80), "isolated the other way alone");
}

#[test]
fn nobody_is_isolated_by_a_policy_of_the_whole_cluster() {
    let rules = "{tier: Admin, priority: 0, subject: {namespaces: {}}, \
                 ingress: [{action: Accept, from: [{pods: {podSelector: {matchLabels: {pod: b}}}}]}]}";
    assert!(network(&[], &[rules]).tcp(YA, XA, 80));
}

#[test]
fn protocols_narrow_a_rule_and_networks_are_blocks() {
    let rules = "{tier: Admin, priority: 0, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [198.18.2.0/24]}], \
                 protocols: [{tcp: {destinationPort: {range: {start: 80, end: 81}}}}, {udp: {destinationPort: {number: 53}}}]}]}";
    let network = network(&[], &[rules]);
    assert_eq!([80, 81, 82].map(|port| network.tcp(XA, XB, port)), [false, false, true]);
    assert!(!network.udp(XA, XB, 53) && network.udp(XA, XB, 80));
    assert!(network.tcp(XA, YA, 80), "outside of the block");
}

#[test]
fn named_ports_are_of_any_protocol() {
    let rules = "{tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}], \
                 protocols: [{destinationNamedPort: web}]}]}";
    let network = network(&[], &[rules]);
    assert!(!network.tcp(XB, XA, 80) && network.tcp(XB, XA, 81));
}

#[test]
fn a_pod_of_a_namespace_not_yet_heard_of_is_known_by_its_name() {
    let rules = "{tier: Admin, priority: 0, subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: x}}}, \
                 ingress: [{action: Deny, from: [{pods: {podSelector: {}}}]}]}";
    let mut snapshot = cluster([]);
    snapshot.cluster_policies = vec![cluster_policy("early", rules)];
    snapshot.namespaces.retain(|namespace| namespace.name != "x");
    assert!(!Network::new(&snapshot).tcp(YA, XA, 80));
}

/// The action of the only rule, and whether it names peers.
fn only(policy: &ClusterPolicy) -> (Action, bool) {
    let [rule] = policy.ingress.as_slice() else { panic!("one rule") };
    (rule.action, matches!(&rule.rule.peers, Peers::Listed(peers) if peers.is_empty()))
}

#[test]
fn what_cannot_be_read_closes() {
    let read = |action: &str, peers: &str, more: &str| {
        let spec = format!(
            "{{tier: Admin, priority: 3, subject: {{namespaces: {{}}}}, ingress: [{{action: {action}, from: [{peers}]{more}}}]}}"
        );
        cluster_policy("odd", &spec)
    };
    for odd in ["{nodes: {}}", "{}", "{networks: [somewhere]}"] {
        assert_eq!(only(&read("Accept", odd, "")), (Action::Accept, true), "{odd}: accepts nothing");
        assert_eq!(only(&read("Pass", odd, "")), (Action::Deny, false), "{odd}: denies all");
        assert_eq!(only(&read("Deny", odd, "")), (Action::Deny, false), "{odd}: denies all");
    }
    let odd = read("Accept", "{namespaces: {}}", ", protocols: [{icmp: {}}]");
    assert_eq!(only(&odd), (Action::Accept, true));
    let odd = cluster_policy("odd", "{tier: Baseline, priority: 3, subject: {nodes: {}}}");
    assert_eq!((odd.tier, odd.priority, only(&odd)), (Tier::Admin, 0, (Action::Deny, false)));
    assert!(!Network::new(&Snapshot { cluster_policies: vec![odd], ..cluster([]) }).tcp(XB, XA, 80));
}

#[test]
fn every_protocol_has_its_name() {
    for (name, protocol) in [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)] {
        let spec = format!(
            "{{tier: Admin, priority: 0, subject: {{namespaces: {{}}}}, \
             ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], protocols: [{{{name}: {{}}}}]}}]}}"
        );
        let policy = cluster_policy("one", &spec);
        let super::super::Ports::Listed(ports) = &policy.ingress[0].rule.ports else { panic!("{name}") };
        assert_eq!(ports[0].protocol, protocol);
    }
}
