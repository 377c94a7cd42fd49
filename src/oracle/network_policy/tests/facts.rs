//! What everybody agrees upon: the situations that the upstream conformance tests of network policy put a cluster
//! into, written down as facts. Three namespaces, x, y and z, with pods a, b and c each, all serving 80 and 81.

// A fact reads as what is closed, and then what of it is not.
#![allow(clippy::nonminimal_bool)]

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{
    super::{Flow, NamedPort, Oracle, Protocol, Scene, SceneNamespace, ScenePod},
    serving,
};
use Protocol::{Sctp, Tcp, Udp};

const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const PODS: [&str; 3] = ["a", "b", "c"];

/// A flow in short: `x/a` to `y/b`, protocol, port.
type Path<'a> = (&'a str, &'a str, Protocol, u16);

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Pods of x have 10.0.0.1 to 10.0.0.3, those of y 10.0.0.17 to 10.0.0.19, those of z 10.0.1.1 to 10.0.1.3.
fn address(namespace: &str, pod: &str) -> std::net::IpAddr {
    let base = match namespace {
        "x" => "10.0.0.",
        "y" => "10.0.0.1",
        _ => "10.0.1.",
    };
    let last = match (namespace, pod) {
        ("y", "a") => "7",
        ("y", "b") => "8",
        ("y", _) => "9",
        (_, "a") => "1",
        (_, "b") => "2",
        _ => "3",
    };
    format!("{base}{last}").parse().unwrap()
}

pub(super) fn scene(policies: &[&str]) -> Scene {
    let namespaces = NAMESPACES.map(|name| SceneNamespace {
        name: name.to_owned(),
        labels: map(&[("ns", name), ("kubernetes.io/metadata.name", name)]),
    });
    let pods = NAMESPACES.iter().flat_map(|namespace| {
        PODS.map(|pod| ScenePod {
            namespace: (*namespace).to_owned(),
            name: pod.to_owned(),
            labels: map(&[("pod", pod)]),
            addresses: vec![address(namespace, pod)],
            ports: serving(&[80, 81]),
            host_network: false,
        })
    });
    let policies = policies.iter().enumerate().map(|(index, text)| {
        let mut policy =
            NetworkPolicy { spec: Some(serde_yaml::from_str(text).unwrap()), ..Default::default() };
        policy.metadata.namespace = Some("x".to_owned());
        policy.metadata.name = Some(format!("policy-{index}"));
        policy
    });
    Scene { namespaces: namespaces.into(), pods: pods.collect(), policies: policies.collect() }
}

/// Exactly the flows of which `closed` holds are closed; those of a pod to itself are nobody's business.
pub(super) fn exactly(scene: &Scene, closed: impl Fn(Path<'_>) -> bool) {
    let oracle = Oracle::new(scene).unwrap();
    for from in &scene.pods {
        for to in &scene.pods {
            for protocol in [Tcp, Udp, Sctp] {
                for port in [80, 81] {
                    let flow = Flow {
                        from: (&from.namespace, &from.name),
                        to: (&to.namespace, &to.name),
                        protocol,
                        port,
                    };
                    let forecast = oracle.forecast(&flow).unwrap();
                    if !forecast.is_defined() {
                        continue;
                    }
                    let (source, target) = (from.place(), to.place());
                    let expected = closed((&source, &target, protocol, port));
                    assert_eq!(
                        !forecast.is_open(),
                        expected,
                        "{source} to {target}:{port}/{protocol}: {forecast}"
                    );
                }
            }
        }
    }
}

fn fact(policies: &[&str], closed: impl Fn(Path<'_>) -> bool) {
    exactly(&scene(policies), closed);
}

fn of(place: &str, namespace: &str) -> bool {
    place.starts_with(namespace) && place.get(1..2) == Some("/")
}

fn pod(place: &str, name: &str) -> bool {
    place.ends_with(name)
}

#[test]
fn without_a_policy_everything_is_open() {
    fact(&[], |_| false);
}

#[test]
fn denying_by_default() {
    fact(&["{podSelector: {}, policyTypes: [Ingress]}"], |(_, to, ..)| of(to, "x"));
    fact(&["{podSelector: {}, policyTypes: [Egress]}"], |(from, ..)| of(from, "x"));
    fact(&["{podSelector: {}, policyTypes: [Ingress, Egress]}"], |(from, to, ..)| {
        of(from, "x") || of(to, "x")
    });
    // Rules that are empty or missing allow nothing.
    fact(&["{podSelector: {}, policyTypes: [Ingress], ingress: []}"], |(_, to, ..)| of(to, "x"));
}

#[test]
fn types_that_are_not_said() {
    fact(&["{podSelector: {}}"], |(_, to, ..)| of(to, "x"));
    fact(&["{podSelector: {}, policyTypes: []}"], |(_, to, ..)| of(to, "x"));
    // A rule for egress makes it a policy of both kinds.
    fact(&["{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}"], |(from, to, ..)| {
        of(to, "x") || (of(from, "x") && !of(to, "x"))
    });
    fact(&["{podSelector: {}, egress: []}"], |(_, to, ..)| of(to, "x"));
    // Rules of a kind that the types leave out mean nothing.
    fact(&["{podSelector: {}, policyTypes: [Egress], ingress: [], egress: [{}]}"], |_| false);
}

#[test]
fn only_selected_pods_are_isolated() {
    fact(&["{podSelector: {matchLabels: {pod: a}}}"], |(_, to, ..)| to == "x/a");
    fact(&["{podSelector: {matchLabels: {pod: nobody}}}"], |_| false);
    fact(
        &["{podSelector: {matchExpressions: [{key: pod, operator: NotIn, values: [a]}]}}"],
        |(_, to, ..)| of(to, "x") && !pod(to, "a"),
    );
    // Who does not have the key is not among those with a value of it.
    fact(
        &["{podSelector: {matchExpressions: [{key: other, operator: NotIn, values: [a]}]}}"],
        |(_, to, ..)| of(to, "x"),
    );
    fact(&["{podSelector: {matchExpressions: [{key: other, operator: Exists}]}}"], |_| false);
    fact(&["{podSelector: {matchExpressions: [{key: pod, operator: DoesNotExist}]}}"], |_| false);
    fact(&["{podSelector: {matchExpressions: [{key: other, operator: DoesNotExist}]}}"], |(_, to, ..)| {
        of(to, "x")
    });
}

#[test]
fn a_pod_selector_alone_means_the_same_namespace() {
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}",
        ],
        |(from, to, ..)| to == "x/a" && from != "x/b",
    );
    fact(
        &["{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}"],
        |(from, to, ..)| to == "x/a" && !of(from, "x"),
    );
    fact(
        &[
            "{podSelector: {}, ingress: [{from: [{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}]}}]}]}",
        ],
        |(from, to, ..)| of(to, "x") && !(of(from, "x") && !pod(from, "a")),
    );
}

#[test]
fn a_namespace_selector_means_all_of_its_pods() {
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}",
        ],
        |(from, to, ..)| to == "x/a" && !of(from, "y"),
    );
    fact(&["{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"], |_| false);
    fact(
        &[
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x, y]}]}}]}]}",
        ],
        |(from, to, ..)| of(to, "x") && !of(from, "z"),
    );
    // The name that every namespace carries as a label.
    fact(
        &[
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}]}]}",
        ],
        |(from, to, ..)| of(to, "x") && !of(from, "y"),
    );
}

#[test]
fn two_peers_are_either_and_two_selectors_in_one_are_both() {
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: y}}}]}]}",
        ],
        |(from, to, ..)| to == "x/a" && !(from == "x/b" || of(from, "y")),
    );
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}, namespaceSelector: {matchLabels: {ns: y}}}]}]}",
        ],
        |(from, to, ..)| to == "x/a" && from != "y/b",
    );
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: pod, operator: In, values: [b, c]}]}, namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [y, z]}]}}]}]}",
        ],
        |(from, to, ..)| to == "x/a" && (of(from, "x") || pod(from, "a")),
    );
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}, namespaceSelector: {}}]}]}",
        ],
        |(from, to, ..)| to == "x/a" && !pod(from, "b"),
    );
}

#[test]
fn ports_narrow_a_rule() {
    let narrowed = "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81}], from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}";
    fact(&[narrowed], |(from, to, protocol, port)| {
        to == "x/a" && !(of(from, "y") && protocol == Tcp && port == 81)
    });
    fact(
        &["{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 80}]}]}"],
        |(_, to, protocol, port)| of(to, "x") && !(protocol == Udp && port == 80),
    );
    // A protocol without a port means every port of it, and an empty entry every port of TCP.
    fact(&["{podSelector: {}, ingress: [{ports: [{protocol: SCTP}]}]}"], |(_, to, protocol, _)| {
        of(to, "x") && protocol != Sctp
    });
    fact(&["{podSelector: {}, ingress: [{ports: [{}]}]}"], |(_, to, protocol, _)| {
        of(to, "x") && protocol != Tcp
    });
    fact(&["{podSelector: {}, ingress: [{ports: []}]}"], |_| false);
}

#[test]
fn ranges_hold_both_their_ends() {
    for (first, last, eighty, eighty_one) in [
        (80, 81, true, true),
        (79, 80, true, false),
        (81, 90, false, true),
        (82, 90, false, false),
        (81, 81, false, true),
    ] {
        let policy =
            format!("{{podSelector: {{}}, ingress: [{{ports: [{{port: {first}, endPort: {last}}}]}}]}}");
        fact(&[&policy], |(_, to, protocol, port)| {
            of(to, "x") && !(protocol == Tcp && if port == 80 { eighty } else { eighty_one })
        });
    }
}

#[test]
fn names_of_ports_are_those_of_the_called_pod() {
    fact(
        &["{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: serve-81-tcp}]}]}"],
        |(_, to, protocol, port)| to == "x/a" && !(protocol == Tcp && port == 81),
    );
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: serve-80-udp, protocol: UDP}]}]}",
        ],
        |(from, _, protocol, port)| from == "x/a" && !(protocol == Udp && port == 80),
    );
    // The name must be of the same protocol, and of a pod that has it.
    fact(
        &["{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: serve-80-udp}]}]}"],
        |(_, to, ..)| to == "x/a",
    );
    let mut other = scene(&["{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}"]);
    for pod in &mut other.pods {
        let number = if pod.name == "a" { 80 } else { 81 };
        pod.ports.push(NamedPort { name: "web".to_owned(), protocol: Tcp, number });
    }
    exactly(&other, |(from, to, protocol, port)| {
        of(from, "x") && !(protocol == Tcp && port == if pod(to, "a") { 80 } else { 81 })
    });
}

#[test]
fn policies_add_up() {
    let from_y = "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 80}], from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}";
    let on_81 = "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81}]}]}";
    let deny = "{podSelector: {}, policyTypes: [Ingress]}";
    fact(&[deny, from_y, on_81], |(from, to, protocol, port)| {
        of(to, "x") && !(to == "x/a" && protocol == Tcp && (port == 81 || of(from, "y")))
    });
    fact(&[deny, "{podSelector: {}, ingress: [{}]}"], |_| false);
}

#[test]
fn both_ends_must_agree() {
    let out = "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: 80}], to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}";
    fact(&[out], |(from, to, protocol, port)| {
        from == "x/a" && !(of(to, "y") && protocol == Tcp && port == 80)
    });
    let mut both = scene(&[
        out,
        "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}",
    ]);
    both.policies[1].metadata.namespace = Some("y".to_owned());
    exactly(&both, |(from, to, protocol, port)| {
        let out = from == "x/a" && !(of(to, "y") && protocol == Tcp && port == 80);
        let into = to == "y/a" && !of(from, "y");
        out || into
    });
    fact(
        &[
            "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}], egress: [{to: [{podSelector: {matchLabels: {pod: c}}}]}]}",
        ],
        |(from, to, ..)| (to == "x/a" && from != "x/b") || (from == "x/a" && to != "x/c"),
    );
}

#[test]
fn blocks_of_addresses_and_their_exceptions() {
    let egress = |peers: &str| {
        format!(
            "{{podSelector: {{matchLabels: {{pod: a}}}}, policyTypes: [Egress], egress: [{{to: [{peers}]}}]}}"
        )
    };
    fact(&[&egress("{ipBlock: {cidr: 10.0.0.18/32}}")], |(from, to, ..)| from == "x/a" && to != "y/b");
    fact(&[&egress("{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.16/28]}}")], |(from, to, ..)| {
        from == "x/a" && !of(to, "x")
    });
    // What one policy takes out, another may let in.
    fact(
        &[
            &egress("{ipBlock: {cidr: 10.0.0.0/24, except: [10.0.0.16/28]}}"),
            &egress("{ipBlock: {cidr: 10.0.0.18/32}}"),
        ],
        |(from, to, ..)| from == "x/a" && !(of(to, "x") || to == "y/b"),
    );
    fact(
        &["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.1.0/24, except: [10.0.1.3/32]}}]}]}"],
        |(from, to, ..)| of(to, "x") && !(of(from, "z") && !pod(from, "c")),
    );
    fact(&["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 2001:db8::/32}}]}]}"], |(_, to, ..)| {
        of(to, "x")
    });
}

#[test]
fn labels_that_change_move_pods() {
    let policy = "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}, namespaceSelector: {matchLabels: {team: green}}}]}]}";
    let mut world = scene(&[policy]);
    exactly(&world, |(_, to, ..)| of(to, "x"));
    for pod in world.pods.iter_mut().filter(|pod| pod.name == "b") {
        pod.labels.insert("role".into(), "friend".into());
    }
    exactly(&world, |(_, to, ..)| of(to, "x"));
    world.namespaces[1].labels.insert("team".into(), "green".into());
    exactly(&world, |(from, to, ..)| of(to, "x") && from != "y/b");
}

#[test]
fn itself_and_the_hosts_network_are_not_defined() {
    let mut world = scene(&["{podSelector: {}, policyTypes: [Ingress, Egress]}"]);
    world.pods[1].host_network = true;
    let oracle = Oracle::new(&world).unwrap();
    let flow = |from, to| Flow { from: ("x", from), to: ("x", to), protocol: Tcp, port: 80 };
    let said = |from, to| oracle.forecast(&flow(from, to)).unwrap().to_string();
    insta::assert_snapshot!([said("a", "a"), said("a", "b"), said("b", "c"), said("a", "c")].join("\n"), @r"
    a pod's way to itself is not defined
    what policies do to a pod on the host's network is not defined
    what policies do to a pod on the host's network is not defined
    closed (egress: isolated by x/policy-0, which allows nothing; ingress: isolated by x/policy-0, which allows nothing)
    ");
    assert!(oracle.forecast(&flow("a", "nobody")).is_none());
}

#[test]
fn addresses_outside_of_the_cluster() {
    let world = scene(&[
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: serve-80-tcp}]}], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.7/32]}}]}, {ports: [{port: web}]}]}",
    ]);
    let oracle = Oracle::new(&world).unwrap();
    let out = |to: &str| oracle.forecast_out(("x", "a"), to.parse().unwrap(), Tcp, 443).unwrap().is_open();
    assert!(out("203.0.113.8") && !out("203.0.113.7") && !out("198.51.100.1"));
    let into = |from: &str, port| {
        oracle.forecast_in(from.parse().unwrap(), ("x", "a"), Tcp, port).unwrap().is_open()
    };
    assert!(into("203.0.113.7", 80) && !into("203.0.113.7", 81) && !into("198.51.100.1", 80));
    assert!(oracle.forecast_out(("y", "a"), "198.51.100.1".parse().unwrap(), Udp, 1).unwrap().is_open());
}
