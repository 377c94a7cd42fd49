//! Objects that the API server would refuse, and how a prediction explains itself.

use super::super::{Flow, Oracle, Protocol};
use super::facts::scene;

fn refused(spec: &str) -> String {
    Oracle::new(&scene(&[spec])).unwrap_err().to_string()
}

#[test]
fn nonsense_is_refused_with_its_place() {
    let said: Vec<String> = [
        "{podSelector: {matchExpressions: [{key: a, operator: In}]}}",
        "{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
        "{podSelector: {matchExpressions: [{key: a, operator: Like, values: [b]}]}}",
        "{podSelector: {}, policyTypes: [Ingres]}",
        "{podSelector: {}, ingress: [{}, {from: [{}]}]}",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: ten}}]}]}",
        "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/9]}}]}]}",
        "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
        "{podSelector: {}, ingress: [{ports: [{port: 0}]}]}",
        "{podSelector: {}, ingress: [{ports: [{port: 80, protocol: ICMP}]}]}",
        "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 79}]}]}",
        "{podSelector: {}, ingress: [{ports: [{endPort: 79}]}]}",
        "{podSelector: {}, ingress: [{ports: [{port: web, endPort: 79}]}]}",
    ]
    .into_iter()
    .map(refused)
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    x/policy-0: spec.podSelector.matchExpressions[0]: `In` and `NotIn` need values
    x/policy-0: spec.podSelector.matchExpressions[0]: `Exists` and `DoesNotExist` take no values
    x/policy-0: spec.podSelector.matchExpressions[0]: there is no operator `Like`
    x/policy-0: spec.policyTypes[0]: there is no type `Ingres`
    x/policy-0: spec.ingress[1].from[0]: it names nobody
    x/policy-0: spec.ingress[0].from[0]: `ipBlock` goes with no selector
    x/policy-0: spec.ingress[0].from[0].ipBlock.cidr: `ten` is no block of addresses
    x/policy-0: spec.egress[0].to[0].ipBlock.except[0]: `11.0.0.0/9` is no real part of `10.0.0.0/8`
    x/policy-0: spec.egress[0].to[0].ipBlock.except[0]: `10.0.0.0/8` is no real part of `10.0.0.0/8`
    x/policy-0: spec.ingress[0].ports[0].port: 0 is no port
    x/policy-0: spec.ingress[0].ports[0].protocol: there is no protocol `ICMP`
    x/policy-0: spec.ingress[0].ports[0].endPort: it lies before `port`
    x/policy-0: spec.ingress[0].ports[0].endPort: it needs `port`
    x/policy-0: spec.ingress[0].ports[0].endPort: it needs a number as `port`
    ");
}

#[test]
fn a_forecast_names_the_rule() {
    let world = scene(&[
        "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 443}]}, {from: [{podSelector: {matchLabels: {pod: b}}}]}]}",
        "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}",
    ]);
    let oracle = Oracle::new(&world).unwrap();
    let said = |from, to, port| {
        oracle.forecast(&Flow { from, to, protocol: Protocol::Tcp, port }).unwrap().to_string()
    };
    let lines = [
        said(("x", "b"), ("x", "a"), 80),
        said(("x", "c"), ("x", "a"), 80),
        said(("x", "c"), ("x", "b"), 81),
        said(("y", "a"), ("z", "a"), 80),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r"
    open (egress: allowed by x/policy-1, egress[0]; ingress: allowed by x/policy-0, ingress[1])
    closed (egress: allowed by x/policy-1, egress[0]; ingress: isolated by x/policy-0, none of whose 2 rules matches)
    closed (egress: isolated by x/policy-1, whose rule does not match; ingress: no policy isolates the pod)
    open (egress: no policy isolates the pod; ingress: no policy isolates the pod)
    ");
}
