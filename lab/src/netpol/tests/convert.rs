//! API objects: what is missing, what is odd.

use k8s_openapi::api::core::v1 as core;

use super::super::{Peers, Pod, Policy, Ports, Protocol, Selector};
use super::fixtures::{ip, policy, port};

fn pod(yaml: &str) -> Pod {
    Pod::from(&serde_yaml::from_str::<core::Pod>(yaml).expect("pod"))
}

fn only_ingress_rule(policy: &Policy) -> (&Peers, &Ports) {
    let [rule] = policy.ingress.as_deref().expect("isolates ingress") else { panic!("one rule") };
    (&rule.peers, &rule.ports)
}

#[test]
fn pod_without_status_has_no_address() {
    let pod = pod("{metadata: {name: a, namespace: x, uid: u}, spec: {containers: []}}");
    assert_eq!((pod.uid.as_str(), pod.addresses.len(), pod.node), ("u", 0, None));
}

#[test]
fn addresses_come_from_both_fields_once() {
    let pod = pod(
        "{metadata: {}, status: {podIP: 198.18.1.2, podIPs: [{ip: 198.18.1.2}, {ip: '2001:db8::2'}]}, spec: {containers: []}}",
    );
    assert_eq!(pod.addresses, [ip("198.18.1.2"), ip("2001:db8::2")]);
}

#[test]
fn finished_phases() {
    for (phase, finished) in
        [("Pending", false), ("Running", false), ("Unknown", false), ("Succeeded", true), ("Failed", true)]
    {
        assert_eq!(
            pod(&format!("{{metadata: {{}}, status: {{phase: {phase}}}}}")).finished,
            finished,
            "{phase}"
        );
    }
}

#[test]
fn named_ports_of_containers_and_sidecars_only() {
    let pod = pod(r"
metadata: {}
spec:
  containers:
  - name: c
    ports: [{name: web, containerPort: 80}, {containerPort: 81}, {name: dns, containerPort: 53, protocol: UDP}]
  initContainers:
  - {name: i, ports: [{name: early, containerPort: 1}]}
  - {name: s, restartPolicy: Always, ports: [{name: side, containerPort: 2, protocol: SCTP}]}
");
    let expected =
        [port("web", Protocol::Tcp, 80), port("dns", Protocol::Udp, 53), port("side", Protocol::Sctp, 2)];
    assert_eq!(pod.ports, expected);
}

#[test]
fn peers_that_make_no_sense_match_nothing() {
    for peer in [
        "{}",
        "{ipBlock: {cidr: nonsense}}",
        "{ipBlock: {cidr: 10.0.0.0/8, except: [nonsense]}}",
        "{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}",
        "{podSelector: {matchExpressions: [{key: k, operator: Wrong}]}}",
    ] {
        let policy = policy(&format!("{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"));
        assert_eq!(only_ingress_rule(&policy).0, &Peers::Listed(vec![]), "{peer}");
    }
}

#[test]
fn ports_that_make_no_sense_match_nothing() {
    for port in
        ["{port: 70000}", "{port: -1}", "{port: web, endPort: 90}", "{endPort: 90}", "{protocol: ICMP}"]
    {
        let policy = policy(&format!("{{podSelector: {{}}, ingress: [{{ports: [{port}]}}]}}"));
        assert_eq!(only_ingress_rule(&policy).1, &Ports::Listed(vec![]), "{port}");
    }
}

#[test]
fn selector_that_makes_no_sense_isolates_the_namespace() {
    let policy = policy("podSelector: {matchExpressions: [{key: k, operator: Wrong}]}");
    assert_eq!(policy.pods, Selector::default());
    assert_eq!(policy.ingress, Some(vec![]));
}
