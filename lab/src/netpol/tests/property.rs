//! Generated clusters: what the compiled rulesets carry is what the naive reading of the standard allows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::{
    Action, ClusterPolicy, ClusterRule, Expression, IpBlock, NamedPort, Namespace, NamespaceScope, Operator,
    Peer, Peers, Pod, Policy, Port, PortTarget, Ports, Protocol, Rule, Selector, Snapshot, Tier, compile,
};
use super::fixtures::{NODE_A, NODE_B, view};
use super::interpret::{Network, Packet};
use super::standard;

const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const NUMBERS: [u16; 8] = [1, 79, 80, 81, 82, 1023, 8080, 65535];

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["app", "tier"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp])
}

fn operator() -> impl Strategy<Value = Operator> {
    prop_oneof![
        btree_set(value(), 1..3).prop_map(Operator::In),
        btree_set(value(), 1..3).prop_map(Operator::NotIn),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist),
    ]
}

fn selector() -> impl Strategy<Value = Selector> {
    let expression = (key(), operator()).prop_map(|(key, operator)| Expression { key, operator });
    (btree_map(key(), value(), 0..2), vec(expression, 0..2))
        .prop_map(|(labels, expressions)| Selector { labels, expressions })
}

fn block() -> impl Strategy<Value = IpBlock> {
    let inside =
        || prop::sample::select(vec!["198.18.1.0/28", "198.18.1.8/29", "198.18.2.0/24", "10.1.0.0/16"]);
    let outside =
        prop::sample::select(vec!["0.0.0.0/0", "198.18.0.0/16", "198.18.1.0/24", "10.0.0.0/8", "::/0"]);
    (outside, vec(inside(), 0..3)).prop_map(|(cidr, except)| IpBlock {
        cidr: cidr.parse().expect("block"),
        except: except.iter().map(|cidr| cidr.parse().expect("block")).collect(),
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    let scope = prop_oneof![Just(NamespaceScope::Own), selector().prop_map(NamespaceScope::Matching)];
    prop_oneof![
        2 => (scope, selector()).prop_map(|(namespaces, pods)| Peer::Pods { namespaces, pods }),
        1 => block().prop_map(Peer::Block),
    ]
}

fn number() -> impl Strategy<Value = u16> {
    prop::sample::select(NUMBERS.to_vec())
}

fn port_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["web", "dns"]).prop_map(str::to_owned)
}

fn rule() -> impl Strategy<Value = Rule> {
    let target = prop_oneof![
        Just(PortTarget::Any),
        number().prop_map(|port| PortTarget::Range(port, port)),
        (number(), number()).prop_map(|(a, b)| PortTarget::Range(a.min(b), a.max(b))),
        port_name().prop_map(PortTarget::Named),
    ];
    let port = (protocol(), target).prop_map(|(protocol, target)| Port { protocol, target });
    let peers = prop_oneof![1 => Just(Peers::All), 4 => vec(peer(), 1..4).prop_map(Peers::Listed)];
    let ports = prop_oneof![1 => Just(Ports::All), 3 => vec(port, 1..4).prop_map(Ports::Listed)];
    (peers, ports).prop_map(|(peers, ports)| Rule { peers, ports })
}

fn policy() -> impl Strategy<Value = Policy> {
    let rules = || option::weighted(0.7, vec(rule(), 0..3));
    (prop::sample::select(NAMESPACES.to_vec()), selector(), rules(), rules()).prop_map(
        |(namespace, pods, ingress, egress)| Policy {
            namespace: namespace.to_owned(),
            name: String::new(),
            pods,
            ingress,
            egress,
        },
    )
}

fn cluster_rule() -> impl Strategy<Value = ClusterRule> {
    let action = prop::sample::select(vec![Action::Accept, Action::Deny, Action::Pass]);
    (action, rule()).prop_map(|(action, mut rule)| {
        // Peers of the whole cluster have no namespace of their own.
        if let Peers::Listed(peers) = &mut rule.peers {
            peers.retain(|peer| !matches!(peer, Peer::Pods { namespaces: NamespaceScope::Own, .. }));
        }
        ClusterRule { action, rule }
    })
}

fn cluster_policy() -> impl Strategy<Value = ClusterPolicy> {
    let tier = prop::sample::select(vec![Tier::Admin, Tier::Baseline]);
    let rules = || vec(cluster_rule(), 0..3);
    (tier, 0u16..4, selector(), selector(), rules(), rules()).prop_map(
        |(tier, priority, namespaces, pods, ingress, egress)| ClusterPolicy {
            name: String::new(),
            tier,
            priority,
            namespaces,
            pods,
            ingress,
            egress,
        },
    )
}

fn pod() -> impl Strategy<Value = Pod> {
    let port = (port_name(), protocol(), number()).prop_map(|(name, protocol, number)| NamedPort {
        name,
        protocol,
        number,
    });
    (
        prop::sample::select(NAMESPACES.to_vec()),
        btree_map(key(), value(), 0..3),
        vec(port, 0..3),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        any::<bool>(),
    )
        .prop_map(|(namespace, labels, ports, host_network, finished, first)| Pod {
            namespace: namespace.to_owned(),
            labels,
            ports,
            host_network,
            finished,
            node: Some(if first { NODE_A } else { NODE_B }.to_owned()),
            ..Pod::default()
        })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let labels = vec(btree_map(key(), value(), 0..3), 3);
    (vec(pod(), 2..8), vec(policy(), 0..6), vec(cluster_policy(), 0..4), labels).prop_map(
        |(mut pods, mut policies, mut cluster_policies, labels)| {
            for (number, policy) in cluster_policies.iter_mut().enumerate() {
                policy.name = format!("cluster-policy-{number}");
            }
            for (number, pod) in pods.iter_mut().enumerate() {
                let range = if pod.node.as_deref() == Some(NODE_A) { 1 } else { 2 };
                pod.uid = format!("uid-{number}");
                pod.name = format!("pod-{number}");
                pod.addresses =
                    vec![IpAddr::from([198, 18, range, u8::try_from(number + 5).expect("few pods")])];
            }
            for (number, policy) in policies.iter_mut().enumerate() {
                policy.name = format!("policy-{number}");
            }
            let namespaces = NAMESPACES
                .iter()
                .zip(labels)
                .map(|(name, labels)| Namespace { name: (*name).to_owned(), labels })
                .collect();
            Snapshot { namespaces, pods, policies, cluster_policies }
        },
    )
}

/// Every live pod, and addresses outside the cluster, as both ends; every interesting port; ICMP.
fn packets(snapshot: &Snapshot) -> Vec<Packet> {
    let live = snapshot.pods.iter().filter(|pod| pod.has_own_network());
    let mut ends: BTreeSet<IpAddr> = live.flat_map(|pod| pod.addresses.clone()).collect();
    ends.extend([IpAddr::from([10, 1, 2, 3]), IpAddr::from([10, 2, 2, 3]), IpAddr::from([192, 0, 2, 1])]);
    let mut ports = vec![None];
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        ports.extend(NUMBERS.iter().map(|number| Some((protocol, *number))));
    }
    let mut packets = Vec::new();
    for source in &ends {
        for destination in &ends {
            packets.extend(ports.iter().map(|port| Packet {
                source: *source,
                destination: *destination,
                port: *port,
            }));
        }
    }
    packets
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn rulesets_carry_what_the_standard_allows(snapshot in snapshot()) {
        let network = Network::new(&snapshot);
        for packet in packets(&snapshot) {
            prop_assert_eq!(network.carries(&packet), standard::allows(&snapshot, &packet), "{:?}", packet);
        }
    }

    #[test]
    fn order_of_objects_does_not_matter(snapshot in snapshot()) {
        let mut turned = snapshot.clone();
        turned.pods.reverse();
        turned.policies.reverse();
        turned.cluster_policies.reverse();
        turned.namespaces.reverse();
        prop_assert_eq!(compile(&snapshot, &view(NODE_A)), compile(&turned, &view(NODE_A)));
    }

    #[test]
    fn equal_sets_are_one_set(snapshot in snapshot()) {
        let ruleset = compile(&snapshot, &view(NODE_A));
        let distinct: BTreeSet<_> = ruleset.address_sets.iter().collect();
        prop_assert_eq!(distinct.len(), ruleset.address_sets.len());
        prop_assert!(ruleset.address_sets.iter().all(|set| !set.is_empty()));
    }
}
