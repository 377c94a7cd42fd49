//! Short ways to say a cluster.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::DynamicObject;

use super::super::{ClusterPolicy, Labels, NamedPort, Namespace, NodeView, Pod, Policy, Protocol, Snapshot};

pub(crate) const NODE_A: &str = "node-a";
pub(crate) const NODE_B: &str = "node-b";

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn view(node: &str) -> NodeView {
    let range = if node == NODE_A { "198.18.1.0/24" } else { "198.18.2.0/24" };
    NodeView { name: node.to_owned(), pod_ranges: vec![range.parse().expect("range")] }
}

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace { name: name.to_owned(), labels: labels(&[("ns", name)]) }
}

/// A pod `namespace/name`, labelled `pod=name`, with the ports `serve-80-tcp` and `dns` (53, UDP).
pub(crate) fn pod(namespaced: &str, address: &str) -> Pod {
    let (namespace, name) = namespaced.split_once('/').expect("namespace/name");
    let node = if address.starts_with("198.18.2.") { NODE_B } else { NODE_A };
    Pod {
        uid: format!("uid-{namespace}-{name}"),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        node: Some(node.to_owned()),
        labels: labels(&[("pod", name)]),
        addresses: vec![ip(address)],
        host_network: false,
        finished: false,
        ports: vec![port("web", Protocol::Tcp, 80), port("dns", Protocol::Udp, 53)],
    }
}

pub(crate) fn port(name: &str, protocol: Protocol, number: u16) -> NamedPort {
    NamedPort { name: name.to_owned(), protocol, number }
}

/// A policy `x/policy` from the YAML of its `spec`.
pub(crate) fn policy(spec: &str) -> Policy {
    policy_in("x", spec)
}

pub(crate) fn policy_in(namespace: &str, spec: &str) -> Policy {
    let mut object =
        NetworkPolicy { spec: Some(serde_yaml::from_str(spec).expect("spec")), ..Default::default() };
    object.metadata.name = Some("policy".to_owned());
    object.metadata.namespace = Some(namespace.to_owned());
    Policy::from(&object)
}

/// A policy of the whole cluster from the YAML of its `spec`.
pub(crate) fn cluster_policy(name: &str, spec: &str) -> ClusterPolicy {
    let spec: serde_json::Value = serde_yaml::from_str(spec).expect("spec");
    let resource = super::super::cluster_policy::resource();
    ClusterPolicy::from(&DynamicObject::new(name, &resource).data(serde_json::json!({ "spec": spec })))
}

/// Namespaces x and y; x/a and y/a on node A, x/b, x/c and y/b on node B.
pub(crate) fn cluster(policies: impl IntoIterator<Item = Policy>) -> Snapshot {
    Snapshot {
        namespaces: vec![namespace("x"), namespace("y")],
        pods: vec![
            pod("x/a", "198.18.1.11"),
            pod("x/b", "198.18.2.12"),
            pod("x/c", "198.18.2.13"),
            pod("y/a", "198.18.1.21"),
            pod("y/b", "198.18.2.22"),
        ],
        policies: policies
            .into_iter()
            .enumerate()
            .map(|(number, policy)| Policy { name: format!("policy-{number}"), ..policy })
            .collect(),
        cluster_policies: Vec::new(),
    }
}
