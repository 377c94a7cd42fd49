//! How cases are made: everything that `networking.k8s.io/v1` knows, small enough to be read.
//!
//! The simpler alternative always stands first, since that is the way in which cases shrink.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::sample::select;
use serde_json::{Value, json};

use super::case::{Case, Ground, GroundPod, Labels, Layout, LayoutPod, LayoutPort, NAME_LABEL, Stage};
use crate::oracle::network_policy::Protocol::{Tcp, Udp};
use crate::oracle::network_policy::{Flow, Oracle};

const NAMESPACES: [&str; 2] = ["x", "y"];
const PODS: [&str; 3] = ["a", "b", "c"];
/// Where pods listen over TCP, and over UDP.
const TCP_PORTS: [u16; 3] = [8080, 8081, 8082];
const UDP_PORTS: [u16; 2] = [8080, 8081];

/// The world that generated cases live in: two namespaces with three pods each. The port called `web` is not of the
/// same number everywhere, nor is `dns`; and `spare` is a port of two pods only.
pub fn layout() -> Layout {
    let mut pods = std::collections::BTreeMap::new();
    for (row, namespace) in NAMESPACES.iter().enumerate() {
        for (column, pod) in PODS.iter().enumerate() {
            let web = TCP_PORTS[(row + column) % 2];
            let dns = UDP_PORTS[column % 2];
            let mut ports = vec![LayoutPort::named("web", Tcp, web), LayoutPort::named("dns", Udp, dns)];
            for number in TCP_PORTS.into_iter().filter(|number| *number != web) {
                ports.push(if number == 8082 && column == 1 {
                    LayoutPort::named("spare", Tcp, number)
                } else {
                    LayoutPort::bare(Tcp, number)
                });
            }
            ports.extend(
                UDP_PORTS
                    .into_iter()
                    .filter(|number| *number != dns)
                    .map(|number| LayoutPort::bare(Udp, number)),
            );
            ports.sort_by_key(|port| (port.protocol, port.number));
            pods.insert(format!("{namespace}/{pod}"), LayoutPod { nominal: nominal(row, column), ports });
        }
    }
    Layout { namespaces: NAMESPACES.map(str::to_owned).into(), pods }
}

/// Of the block that is set aside for documentation.
fn nominal(row: usize, column: usize) -> IpAddr {
    let host = u8::try_from(row * 128 + column * 16 + 1).unwrap_or(1);
    IpAddr::from([192, 0, 2, host])
}

/// Any case.
pub fn cases() -> impl Strategy<Value = Case> {
    let namespaces = [namespace_labels(), namespace_labels()];
    let pods: Vec<_> = (0..NAMESPACES.len() * PODS.len()).map(|_| pod_labels()).collect();
    let of_any_kind = (vec(policies(), 1..=3), option::weighted(0.5, changes()));
    let telling =
        select(&NAMESPACES[..]).prop_map(|namespace| Some(Change::NamespaceLabelsThatTell(namespace)));
    let of_namespace_labels = (vec(plain_policies(), 1..=2), telling);
    let what = prop_oneof![7 => of_any_kind, 1 => of_namespace_labels];
    (what, namespaces, pods).prop_map(|((policies, change), namespaces, pods)| {
        let places = NAMESPACES.iter().flat_map(|ns| PODS.iter().map(move |pod| format!("{ns}/{pod}")));
        let start = Stage {
            namespaces: NAMESPACES.iter().map(|it| (*it).to_owned()).zip(namespaces).collect(),
            pods: places.zip(pods).collect(),
            policies: policies
                .into_iter()
                .enumerate()
                .filter_map(|(index, (namespace, spec))| {
                    let name = format!("policy-{index}");
                    serde_json::from_value(json!({
                        "apiVersion": "networking.k8s.io/v1",
                        "kind": "NetworkPolicy",
                        "metadata": {"namespace": namespace, "name": name},
                        "spec": spec,
                    }))
                    .ok()
                })
                .collect(),
        };
        let mut stages = vec![start];
        if let Some(next) = change.and_then(|change| change.apply(&stages[0])) {
            stages.push(next);
        }
        Case { name: "generated".to_owned(), stages }
    })
}

/// What happens to a world whose policies are in force.
#[derive(Clone, Debug)]
enum Change {
    PodLabels(&'static str, &'static str, Labels),
    NamespaceLabels(&'static str, Labels),
    /// Other labels of a namespace by which a path opens or closes, if there are such.
    NamespaceLabelsThatTell(&'static str),
    PolicyGone(usize),
    PolicyChanged(usize, Value),
}

impl Change {
    /// The world afterwards; none if nothing is different in it.
    fn apply(self, before: &Stage) -> Option<Stage> {
        let mut after = before.clone();
        match self {
            Self::PodLabels(namespace, pod, labels) => {
                after.pods.insert(format!("{namespace}/{pod}"), labels);
            }
            Self::NamespaceLabels(namespace, labels) => {
                after.namespaces.insert(namespace.to_owned(), labels);
            }
            Self::NamespaceLabelsThatTell(namespace) => {
                let now = open_paths(before)?;
                let with = |labels: Labels| {
                    let mut other = before.clone();
                    other.namespaces.insert(namespace.to_owned(), labels);
                    other
                };
                let (key, words) = NAMESPACE_LABELS[0];
                let all = [None, Some(words[0]), Some(words[1])].map(|word| {
                    with(word.map(|word| (key.to_owned(), word.to_owned())).into_iter().collect())
                });
                after = all.into_iter().find(|other| open_paths(other).is_some_and(|open| open != now))?;
            }
            Self::PolicyGone(index) => {
                after.policies.remove(index % before.policies.len().max(1));
            }
            Self::PolicyChanged(index, spec) => {
                let policy = after.policies.get_mut(index % before.policies.len().max(1))?;
                policy.spec = serde_json::from_value(spec).ok()?;
            }
        }
        (after != *before).then_some(after)
    }
}

/// Which paths the standard opens in a stage, in an order of their own.
pub(super) fn open_paths(stage: &Stage) -> Option<Vec<bool>> {
    let layout = layout();
    let ground = Ground {
        namespaces: layout.namespaces.iter().map(|name| (name.clone(), name.clone())).collect(),
        namespace_labels: BTreeMap::new(),
        pods: layout
            .pods
            .iter()
            .map(|(place, pod)| {
                (place.clone(), GroundPod { addresses: vec![pod.nominal], labels: Labels::new() })
            })
            .collect(),
    };
    let placed = layout.place(stage, &ground);
    let oracle = Oracle::new(&placed.scene).ok()?;
    let mut open = Vec::new();
    for from in &placed.scene.pods {
        for (place, to) in placed.places.iter().zip(&placed.scene.pods) {
            for port in layout.ports_of(place) {
                let flow = Flow {
                    from: (&from.namespace, &from.name),
                    to: (&to.namespace, &to.name),
                    protocol: port.protocol,
                    port: port.number,
                };
                open.push(oracle.forecast(&flow).is_some_and(|forecast| forecast.is_open()));
            }
        }
    }
    Some(open)
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (select(&NAMESPACES[..]), select(&PODS[..]), pod_labels())
            .prop_map(|(namespace, pod, labels)| Change::PodLabels(namespace, pod, labels)),
        2 => (select(&NAMESPACES[..]), namespace_labels())
            .prop_map(|(namespace, labels)| Change::NamespaceLabels(namespace, labels)),
        1 => (0..3_usize).prop_map(Change::PolicyGone),
        1 => (0..3_usize, policies()).prop_map(|(index, (_, spec))| Change::PolicyChanged(index, spec)),
    ]
}

fn labels(vocabulary: &'static [(&'static str, [&'static str; 2])]) -> impl Strategy<Value = Labels> {
    btree_map(select((0..vocabulary.len()).collect::<Vec<_>>()), 0..2_usize, 0..=vocabulary.len()).prop_map(
        move |chosen| {
            chosen
                .into_iter()
                .map(|(key, value)| (vocabulary[key].0.to_owned(), vocabulary[key].1[value].to_owned()))
                .collect()
        },
    )
}

const POD_LABELS: [(&str, [&str; 2]); 2] = [("app", ["red", "blue"]), ("tier", ["front", "back"])];
const NAMESPACE_LABELS: [(&str, [&str; 2]); 2] = [("team", ["green", "grey"]), (NAME_LABEL, NAMESPACES)];

fn pod_labels() -> impl Strategy<Value = Labels> {
    labels(&POD_LABELS)
}

fn namespace_labels() -> impl Strategy<Value = Labels> {
    // The label of the name is the API server's own.
    labels(&NAMESPACE_LABELS[..1])
}

fn selectors(vocabulary: &'static [(&'static str, [&'static str; 2])]) -> impl Strategy<Value = Value> {
    let operators = select(vec!["In", "NotIn", "Exists", "DoesNotExist"]);
    let which = select((0..vocabulary.len()).collect::<Vec<_>>());
    let expression = (which, operators, vec(0..2_usize, 1..=2)).prop_map(move |(key, operator, values)| {
        let (key, words) = vocabulary[key];
        let mut expression = json!({"key": key, "operator": operator});
        if matches!(operator, "In" | "NotIn") {
            let values: std::collections::BTreeSet<&str> = values.into_iter().map(|it| words[it]).collect();
            expression["values"] = json!(values);
        }
        expression
    });
    prop_oneof![
        2 => Just(json!({})),
        4 => labels(vocabulary).prop_map(|labels| json!({"matchLabels": labels})),
        3 => vec(expression.clone(), 1..=2).prop_map(|all| json!({"matchExpressions": all})),
        1 => (labels(vocabulary), vec(expression, 1..=1))
            .prop_map(|(labels, all)| json!({"matchLabels": labels, "matchExpressions": all})),
    ]
}

fn pod_selectors() -> impl Strategy<Value = Value> {
    selectors(&POD_LABELS)
}

fn namespace_selectors() -> impl Strategy<Value = Value> {
    selectors(&NAMESPACE_LABELS)
}

/// A block around a pod, with a hole or two around pods.
fn blocks() -> impl Strategy<Value = Value> {
    let pod = || (0..NAMESPACES.len(), 0..PODS.len()).prop_map(|(row, column)| nominal(row, column));
    let size = select(vec![0_u8, 16, 24, 24, 30, 32]);
    let hole = (pod(), select(vec![32_u8, 32, 28, 25]));
    (pod(), size, vec(hole, 0..=2)).prop_map(|(around, size, holes)| {
        let mut block = json!({"cidr": format!("{around}/{size}")});
        // A hole lies inside of its block and is smaller; where pods stand otherwise, placing drops it.
        let block_net: Option<IpNet> = format!("{around}/{size}").parse().ok();
        let inside = |text: &String| {
            block_net
                .zip(text.parse::<IpNet>().ok())
                .is_some_and(|(block, hole)| block.contains(&hole) && hole.prefix_len() > block.prefix_len())
        };
        let holes: Vec<String> =
            holes.into_iter().map(|(pod, size)| format!("{pod}/{size}")).filter(inside).collect();
        if !holes.is_empty() {
            block["except"] = json!(holes);
        }
        json!({"ipBlock": block})
    })
}

fn peers() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => pod_selectors().prop_map(|pods| json!({"podSelector": pods})),
        2 => namespace_selectors().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        2 => (namespace_selectors(), pod_selectors())
            .prop_map(|(namespaces, pods)| json!({"namespaceSelector": namespaces, "podSelector": pods})),
        3 => blocks(),
    ]
}

fn ports() -> impl Strategy<Value = Value> {
    let protocol = || select(vec![None, Some("TCP"), Some("UDP"), Some("SCTP")]);
    let with = |protocol: Option<&str>, mut port: Value| {
        if let Some(protocol) = protocol {
            port["protocol"] = json!(protocol);
        }
        port
    };
    let number = 8080..=8082_u16;
    prop_oneof![
        1 => select(vec!["TCP", "UDP", "SCTP"]).prop_map(|protocol| json!({"protocol": protocol})),
        3 => (protocol(), number.clone()).prop_map(move |(protocol, port)| with(protocol, json!({"port": port}))),
        3 => (protocol(), 8079..=8082_u16, 0..=3_u16)
            .prop_map(move |(protocol, port, more)| with(protocol, json!({"port": port, "endPort": port + more}))),
        3 => (protocol(), select(vec!["web", "dns", "spare", "nowhere"]))
            .prop_map(move |(protocol, port)| with(protocol, json!({"port": port}))),
    ]
}

fn rules(word: &'static str) -> impl Strategy<Value = Value> {
    (option::weighted(0.8, vec(peers(), 0..=2)), option::weighted(0.6, vec(ports(), 0..=2))).prop_map(
        move |(peers, ports)| {
            let mut rule = json!({});
            if let Some(peers) = peers {
                rule[word] = json!(peers);
            }
            if let Some(ports) = ports {
                rule["ports"] = json!(ports);
            }
            rule
        },
    )
}

/// All pods of a namespace, one direction, one rule for namespaces with a label: among richer ones, which mostly open or
/// close a path for several reasons at once, the labels of namespaces hardly ever decide anything.
fn plain_policies() -> impl Strategy<Value = (&'static str, Value)> {
    let (key, words) = NAMESPACE_LABELS[0];
    let selector = prop_oneof![
        Just(json!({"matchLabels": {key: words[0]}})),
        Just(json!({"matchLabels": {key: words[1]}})),
        Just(json!({"matchExpressions": [{"key": key, "operator": "Exists"}]})),
    ];
    let direction = select(vec![("Ingress", "ingress", "from"), ("Egress", "egress", "to")]);
    (select(&NAMESPACES[..]), direction, selector).prop_map(|(namespace, (kind, rules, peers), selector)| {
        let rule = json!({peers: [{"namespaceSelector": selector}]});
        (namespace, json!({"podSelector": {}, "policyTypes": [kind], rules: [rule]}))
    })
}

/// A policy's namespace and spec.
fn policies() -> impl Strategy<Value = (&'static str, Value)> {
    let kinds =
        select(vec![None, Some(vec!["Ingress"]), Some(vec!["Egress"]), Some(vec!["Ingress", "Egress"])]);
    let ingress = option::weighted(0.7, vec(rules("from"), 0..=2));
    let egress = option::weighted(0.5, vec(rules("to"), 0..=2));
    (select(&NAMESPACES[..]), pod_selectors(), kinds, ingress, egress).prop_map(
        |(namespace, pods, kinds, ingress, egress)| {
            let mut spec = json!({"podSelector": pods});
            if let Some(kinds) = kinds {
                spec["policyTypes"] = json!(kinds);
            }
            if let Some(ingress) = ingress {
                spec["ingress"] = json!(ingress);
            }
            if let Some(egress) = egress {
                spec["egress"] = json!(egress);
            }
            (namespace, spec)
        },
    )
}
