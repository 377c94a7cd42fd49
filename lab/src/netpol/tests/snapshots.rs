//! The text of rulesets.

use super::super::{NodeView, Policy, Ruleset, Snapshot, compile};
use super::fixtures::{NODE_A, cluster, cluster_policy, ip, policy, policy_in, view};

/// A bit of everything, in both families.
pub(crate) fn varied() -> (Snapshot, NodeView) {
    let specs = [
        "podSelector: {}",
        "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}], ports: [{port: web}, {port: 443}]}]}",
        "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [\
         {to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}, {port: 53}, {port: 8000, endPort: 8010}]},\
         {to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 10.1.0.0/16]}}, {ipBlock: {cidr: '2001:db8::/32', except: ['2001:db8:1::/48']}}]},\
         {ports: [{protocol: SCTP}, {protocol: SCTP, port: 3868}, {port: dns, protocol: UDP}]}]}",
    ];
    let mut policies: Vec<Policy> = specs.iter().map(|spec| policy(spec)).collect();
    policies.push(policy_in(
        "y",
        "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}, {}]}",
    ));
    let mut snapshot = cluster(policies);
    snapshot.pods[0].addresses.push(ip("2001:db8:a::11"));
    snapshot.pods[4].addresses.push(ip("2001:db8:b::22"));
    let mut view = view(NODE_A);
    view.pod_ranges.push("2001:db8:a::/64".parse().expect("range"));
    (snapshot, view)
}

#[test]
fn closed() {
    insta::assert_snapshot!(Ruleset::closed(view(NODE_A).pod_ranges).to_string());
}

#[test]
fn open() {
    insta::assert_snapshot!(compile(&cluster([]), &view(NODE_A)).to_string());
}

#[test]
fn a_bit_of_everything() {
    let (snapshot, view) = varied();
    insta::assert_snapshot!(compile(&snapshot, &view).to_string());
}

#[test]
fn tiers_around_policies() {
    let (mut snapshot, view) = varied();
    snapshot.cluster_policies = [
        (
            "late",
            "{tier: Admin, priority: 20, subject: {namespaces: {}}, egress: [{action: Accept, to: [{networks: [10.0.0.0/8]}]}]}",
        ),
        (
            "early",
            "{tier: Admin, priority: 10, subject: {pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {}}}, \
             egress: [{action: Deny, to: [{namespaces: {matchLabels: {ns: y}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}, \
             {action: Pass, to: [{namespaces: {}}]}]}",
        ),
        (
            "base",
            "{tier: Baseline, priority: 0, subject: {namespaces: {}}, egress: [{action: Deny, to: [{pods: {podSelector: {matchLabels: {pod: b}}}}]}]}",
        ),
    ]
    .map(|(name, spec)| cluster_policy(name, spec))
    .into();
    insta::assert_snapshot!(compile(&snapshot, &view).to_string());
}
