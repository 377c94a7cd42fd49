//! Each rule of networking.k8s.io/v1 by name.

use super::super::{Fate, Protocol, Snapshot, compile};
use super::fixtures::{NODE_A, cluster, ip, labels, pod, policy, policy_in, port, view};
use super::interpret::{Network, forwards, packet};

const XA: &str = "198.18.1.11";
const XB: &str = "198.18.2.12";
const XC: &str = "198.18.2.13";
const YA: &str = "198.18.1.21";
const YB: &str = "198.18.2.22";
const OUTSIDE: &str = "192.0.2.7";

fn network(specs: &[&str]) -> Network {
    Network::new(&cluster(specs.iter().map(|spec| policy(spec))))
}

/// Which of the others reach x/a on port 80.
fn reach_xa(network: &Network) -> Vec<&'static str> {
    [XB, XC, YA, YB, OUTSIDE].into_iter().filter(|source| network.tcp(source, XA, 80)).collect()
}

#[test]
fn without_policy_all_is_open() {
    let network = network(&[]);
    assert_eq!(reach_xa(&network), [XB, XC, YA, YB, OUTSIDE]);
    assert!(network.udp(XA, OUTSIDE, 53));
    assert!(network.carries(&packet(XA, YB, None)), "ICMP");
}

#[test]
fn missing_policy_types_isolate_ingress_only() {
    let network = network(&["podSelector: {}"]);
    assert!(!network.tcp(XB, XA, 80));
    assert!(network.tcp(XA, YB, 80), "egress stays open");
}

#[test]
fn missing_policy_types_with_egress_rules_isolate_both() {
    let network = network(&["{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}"]);
    assert!(!network.tcp(YB, XA, 80));
    assert!(!network.tcp(XA, YB, 80));
}

#[test]
fn policy_types_name_what_is_isolated() {
    let network = network(&["{podSelector: {}, policyTypes: [Egress]}"]);
    assert!(!network.tcp(XA, YB, 80));
    assert!(network.tcp(YB, XA, 80));
}

#[test]
fn rules_of_a_direction_that_is_not_named_do_nothing() {
    let network = network(&["{podSelector: {}, policyTypes: [Ingress], egress: [{}]}"]);
    assert!(network.tcp(XA, YB, 80));
    assert!(!network.tcp(YB, XA, 80));
}

#[test]
fn empty_rule_allows_all() {
    let network = network(&["{podSelector: {}, ingress: [{}]}"]);
    assert_eq!(reach_xa(&network), [XB, XC, YA, YB, OUTSIDE]);
    assert!(network.carries(&packet(YB, XA, None)), "ICMP");
}

#[test]
fn empty_lists_of_peers_and_ports_mean_all() {
    let network = network(&["{podSelector: {}, ingress: [{from: [], ports: []}]}"]);
    assert_eq!(reach_xa(&network), [XB, XC, YA, YB, OUTSIDE]);
}

#[test]
fn empty_list_of_rules_allows_nothing() {
    assert_eq!(reach_xa(&network(&["{podSelector: {}, ingress: []}"])), [""; 0]);
}

#[test]
fn only_selected_pods_are_isolated() {
    let network = network(&["podSelector: {matchLabels: {pod: a}}"]);
    assert!(!network.tcp(XB, XA, 80));
    assert!(network.tcp(XA, XB, 80));
    assert!(network.tcp(XA, YA, 80), "same label in another namespace");
}

#[test]
fn policies_add_up() {
    let network = network(&[
        "podSelector: {}",
        "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}",
        "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: c}}}], ports: [{port: 81}]}]}",
    ]);
    assert_eq!(reach_xa(&network), [XB]);
    assert!(network.tcp(XC, XA, 81) && !network.tcp(XC, XA, 80));
    assert!(network.tcp(XC, XB, 81) && !network.tcp(XA, XB, 80));
}

#[test]
fn pod_selector_alone_means_own_namespace() {
    let network =
        network(&["{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"]);
    assert_eq!(reach_xa(&network), [XB]);
}

#[test]
fn empty_pod_selector_as_peer_means_whole_own_namespace() {
    let network = network(&["{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"]);
    assert_eq!(reach_xa(&network), [XB, XC]);
}

#[test]
fn namespace_selector_alone_means_all_pods_there() {
    let network =
        network(&["{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}"]);
    assert_eq!(reach_xa(&network), [YA, YB]);
}

#[test]
fn empty_namespace_selector_means_all_pods_but_not_the_outside() {
    let network = network(&["{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"]);
    assert_eq!(reach_xa(&network), [XB, XC, YA, YB]);
}

#[test]
fn both_selectors_in_one_peer_must_hold() {
    let network = network(&[
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]}",
    ]);
    assert_eq!(reach_xa(&network), [YB]);
}

#[test]
fn selectors_in_two_peers_add_up() {
    let network = network(&[
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]}",
    ]);
    assert_eq!(reach_xa(&network), [XB, YA, YB]);
}

#[test]
fn expressions_of_all_operators() {
    for (expression, expected) in [
        ("{key: pod, operator: In, values: [b]}", vec![XB]),
        ("{key: pod, operator: NotIn, values: [b]}", vec![XC]),
        ("{key: pod, operator: Exists}", vec![XB, XC]),
        ("{key: pod, operator: DoesNotExist}", vec![]),
        ("{key: other, operator: NotIn, values: [b]}", vec![XB, XC]),
        ("{key: other, operator: In, values: [b]}", vec![]),
    ] {
        let spec = format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {{matchExpressions: [{expression}]}}}}]}}]}}"
        );
        assert_eq!(reach_xa(&network(&[&spec])), expected, "{expression}");
    }
}

#[test]
fn ip_block_matches_pods_and_outside() {
    let network = network(&["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.18.2.0/24}}]}]}"]);
    assert_eq!(reach_xa(&network), [XB, XC, YB]);
    let network = self::network(&["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}"]);
    assert_eq!(reach_xa(&network), [OUTSIDE]);
}

#[test]
fn exceptions_are_not_meant_by_the_block() {
    let network = network(&[
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [198.18.2.12/32, 192.0.2.0/24]}}]}]}",
    ]);
    assert_eq!(reach_xa(&network), [XC, YA, YB]);
}

#[test]
fn exception_of_one_block_does_not_close_another() {
    let network = network(&[
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.18.2.0/24, except: [198.18.2.12/32]}}, {podSelector: {matchLabels: {pod: b}}}]}]}",
    ]);
    assert_eq!(reach_xa(&network), [XB, XC, YB]);
}

#[test]
fn egress_to_ip_block() {
    let network = network(&[
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.8/29]}}]}]}",
    ]);
    assert!(network.tcp(XA, OUTSIDE, 443));
    assert!(!network.tcp(XA, "192.0.2.9", 443));
    assert!(!network.tcp(XA, XB, 443));
}

#[test]
fn missing_protocol_is_tcp() {
    let network = network(&["{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"]);
    assert!(network.tcp(XB, XA, 80));
    assert!(!network.udp(XB, XA, 80));
    assert!(!network.carries(&packet(XB, XA, Some((Protocol::Sctp, 80)))));
    assert!(!network.carries(&packet(XB, XA, None)), "ICMP has no port");
}

#[test]
fn each_protocol_is_its_own() {
    for (name, protocol) in [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp), ("SCTP", Protocol::Sctp)] {
        let network = network(&[&format!(
            "{{podSelector: {{}}, ingress: [{{ports: [{{protocol: {name}, port: 80}}]}}]}}"
        )]);
        for other in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            assert_eq!(
                network.carries(&packet(XB, XA, Some((other, 80)))),
                other == protocol,
                "{name} {other}"
            );
        }
    }
}

#[test]
fn protocol_without_port_means_all_its_ports() {
    let network = network(&["{podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}"]);
    assert!(network.udp(XB, XA, 1) && network.udp(XB, XA, 65535));
    assert!(!network.tcp(XB, XA, 80));
}

#[test]
fn port_ranges_include_both_ends() {
    let network = network(&["{podSelector: {}, ingress: [{ports: [{port: 79, endPort: 81}]}]}"]);
    let open: Vec<u16> = (70..90).filter(|port| network.tcp(XB, XA, *port)).collect();
    assert_eq!(open, [79, 80, 81]);
}

#[test]
fn overlapping_and_touching_ranges() {
    let network = network(&[
        "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 90}, {port: 85, endPort: 95}, {port: 96}, {port: 65535}]}]}",
    ]);
    assert!((80..=96).all(|port| network.tcp(XB, XA, port)) && network.tcp(XB, XA, 65535));
    assert!(!network.tcp(XB, XA, 79) && !network.tcp(XB, XA, 97));
}

#[test]
fn named_ports_on_ingress_are_those_of_each_selected_pod() {
    let mut cluster = cluster([policy("{podSelector: {}, ingress: [{ports: [{port: web}]}]}")]);
    cluster.pods[1].ports = vec![port("web", Protocol::Tcp, 8080)];
    cluster.pods[2].ports = vec![port("web", Protocol::Udp, 80)];
    let network = Network::new(&cluster);
    assert!(network.tcp(YA, XA, 80) && !network.tcp(YA, XA, 8080));
    assert!(network.tcp(YA, XB, 8080) && !network.tcp(YA, XB, 80));
    assert!(!network.tcp(YA, XC, 80) && !network.udp(YA, XC, 80), "same name, other protocol");
}

#[test]
fn named_ports_on_egress_are_those_of_each_destination() {
    let mut cluster =
        cluster([policy("{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}")]);
    cluster.pods[4].ports = vec![port("web", Protocol::Tcp, 8080)];
    let network = Network::new(&cluster);
    assert!(network.tcp(XA, YA, 80) && !network.tcp(XA, YA, 8080));
    assert!(network.tcp(XA, YB, 8080) && !network.tcp(XA, YB, 80));
    assert!(!network.tcp(XA, OUTSIDE, 80), "what is no pod has no named ports");
}

#[test]
fn named_port_and_peer_must_both_hold() {
    let network = network(&[
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: dns, protocol: UDP}]}]}",
    ]);
    assert!(network.udp(XA, XB, 53));
    assert!(!network.udp(XA, YB, 53) && !network.udp(XA, XB, 54) && !network.tcp(XA, XB, 53));
}

#[test]
fn named_port_that_no_pod_has_allows_nothing() {
    assert_eq!(reach_xa(&network(&["{podSelector: {}, ingress: [{ports: [{port: nowhere}]}]}"])), [""; 0]);
}

#[test]
fn source_and_destination_must_both_allow() {
    let egress = "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}";
    let ingress = "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}";
    let network = Network::new(&cluster([policy(egress), policy_in("y", ingress)]));
    assert!(!network.tcp(XA, YB, 80), "y lets in only its own");
    assert!(!network.tcp(XA, XB, 80), "x/a may go only to y");
    assert!(network.tcp(YA, YB, 80));
}

#[test]
fn by_its_own_service_a_pod_is_a_peer_like_any_other() {
    let network = network(&["{podSelector: {}, policyTypes: [Ingress, Egress]}"]);
    assert!(!network.tcp(XA, XA, 80));
    let network = self::network(&[
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{to: [{podSelector: {}}]}]}",
    ]);
    assert!(network.tcp(XA, XA, 80));
}

#[test]
fn host_network_pods_are_neither_selected_nor_peers() {
    let mut cluster = cluster([policy("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")]);
    cluster.pods[1].host_network = true;
    cluster.pods[1].addresses = vec![ip("203.0.113.5")];
    let network = Network::new(&cluster);
    assert!(!network.tcp("203.0.113.5", XA, 80), "labels of a host-network pod do not count");
    let by_block = policy("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}");
    cluster.policies.push(by_block);
    assert!(Network::new(&cluster).tcp("203.0.113.5", XA, 80), "its address does");
}

fn passes(snapshot: &Snapshot, source: &str, destination: &str) -> bool {
    forwards(&compile(snapshot, &view(NODE_A)), &packet(source, destination, Some((Protocol::Tcp, 80))))
}

#[test]
fn unknown_addresses_of_the_node_are_closed_both_ways() {
    let cluster = cluster([]);
    assert!(!passes(&cluster, "198.18.1.99", OUTSIDE));
    assert!(!passes(&cluster, OUTSIDE, "198.18.1.99"));
    assert!(passes(&cluster, "198.18.2.99", XA), "another node's addresses are that node's affair");
}

#[test]
fn finished_pods_are_closed_and_no_peers() {
    let mut cluster = cluster([policy("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")]);
    cluster.pods[1].finished = true;
    assert!(!Network::new(&cluster).tcp(XB, XA, 80));
    cluster.pods[0].finished = true;
    assert!(!passes(&cluster, XA, OUTSIDE));
}

#[test]
fn reused_address_belongs_to_the_living_pod() {
    let mut cluster = cluster([policy("podSelector: {matchLabels: {pod: a}}")]);
    cluster.pods[0].finished = true;
    cluster.pods.push(pod("y/new", XA));
    assert!(passes(&cluster, OUTSIDE, XA), "the finished pod's policy is gone with it");
}

#[test]
fn address_claimed_by_two_pods_is_closed() {
    let mut cluster = cluster([policy("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")]);
    cluster.pods.push(pod("y/new", XA));
    assert!(!passes(&cluster, OUTSIDE, XA) && !passes(&cluster, XA, OUTSIDE));
    assert!(!Network::new(&cluster).tcp(XA, XB, 80), "nor is it anybody's peer");
}

#[test]
fn pod_in_a_namespace_not_yet_heard_of_matches_no_namespace_selector() {
    let mut cluster = cluster([policy("{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}")]);
    cluster.namespaces.retain(|namespace| namespace.name != "y");
    assert_eq!(reach_xa(&Network::new(&cluster)), [XB, XC]);
}

#[test]
fn label_changes_move_pods() {
    let mut cluster = cluster([
        policy("podSelector: {matchLabels: {pod: a}}"),
        policy("{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"),
    ]);
    assert_eq!(reach_xa(&Network::new(&cluster)), [XB]);
    cluster.pods[1].labels = labels(&[("pod", "other")]);
    assert_eq!(reach_xa(&Network::new(&cluster)), [""; 0]);
    cluster.pods[2].labels = labels(&[("pod", "b")]);
    assert_eq!(reach_xa(&Network::new(&cluster)), [XC]);
}

#[test]
fn both_families_of_a_dual_stack_pod() {
    let mut cluster = cluster([policy(
        "{podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: web}]}, {from: [{ipBlock: {cidr: '2001:db8:9::/48'}}]}]}",
    )]);
    for (number, pod) in cluster.pods.iter_mut().enumerate() {
        pod.addresses.push(ip(&format!("2001:db8::{number}")));
    }
    let network = Network::new(&cluster);
    // Node ranges are IPv4 here, so ask the ruleset of the node itself.
    let ruleset = compile(&cluster, &view(NODE_A));
    let web = Some((Protocol::Tcp, 80));
    assert!(network.tcp(XB, XA, 80));
    assert!(forwards(&ruleset, &packet("2001:db8::1", "2001:db8::", web)));
    assert!(!forwards(&ruleset, &packet("2001:db8::4", "2001:db8::", web)), "y/b");
    assert!(forwards(&ruleset, &packet("2001:db8:9::1", "2001:db8::", None)));
    assert!(!forwards(&ruleset, &packet("2001:db8:8::1", "2001:db8::", None)));
}

#[test]
fn only_policies_of_local_pods_get_chains() {
    let cluster = cluster([
        policy("{podSelector: {matchLabels: {pod: b}}, ingress: [{}]}"),
        policy_in("z", "{podSelector: {}, ingress: [{}]}"),
    ]);
    let ruleset = compile(&cluster, &view(NODE_A));
    assert!(ruleset.policy_chains.is_empty());
    assert!(ruleset.ingress.values().all(|fate| *fate == Fate::Open));
    assert_eq!(ruleset.ingress.len(), 2, "x/a and y/a");
}

#[test]
fn pods_that_the_same_policies_select_share_a_chain() {
    let mut cluster = cluster([policy("{podSelector: {}, ingress: [{}]}")]);
    cluster.pods.push(pod("x/d", "198.18.1.14"));
    let ruleset = compile(&cluster, &view(NODE_A));
    assert_eq!(ruleset.pod_chains.len(), 1);
    assert_eq!(ruleset.ingress[&ip(XA)], ruleset.ingress[&ip("198.18.1.14")]);
}
