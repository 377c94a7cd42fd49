//! API objects to the model, with the defaults that the API server would fill in.
//!
//! An object that the API server should never have let through is read so that it closes rather
//! than opens: a peer or port that makes no sense matches nothing.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tracing::warn;

use super::{
    Expression, IpBlock, NamedPort, Namespace, NamespaceScope, Operator, Peer, Peers, Pod, Policy, Port,
    PortTarget, Ports, Protocol, Rule, Selector,
};

impl From<&core::Namespace> for Namespace {
    fn from(object: &core::Namespace) -> Self {
        Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            labels: object.metadata.labels.clone().unwrap_or_default(),
        }
    }
}

impl From<&core::Pod> for Pod {
    fn from(object: &core::Pod) -> Self {
        let spec = object.spec.as_ref();
        let status = object.status.as_ref();
        let many =
            status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten().map(|ip| ip.ip.as_str());
        let one = status.and_then(|status| status.pod_ip.as_deref());
        let mut addresses: Vec<IpAddr> = many.chain(one).filter_map(|text| text.parse().ok()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
            node: spec.and_then(|spec| spec.node_name.clone()),
            labels: object.metadata.labels.clone().unwrap_or_default(),
            addresses,
            host_network: spec.and_then(|spec| spec.host_network).unwrap_or_default(),
            finished: matches!(
                status.and_then(|status| status.phase.as_deref()),
                Some("Succeeded" | "Failed")
            ),
            ports: spec.map(named_ports).unwrap_or_default(),
        }
    }
}

fn named_ports(spec: &core::PodSpec) -> Vec<NamedPort> {
    // Sidecars are init containers that are restarted always; other init containers end before the pod serves.
    let sidecars = spec
        .init_containers
        .iter()
        .flatten()
        .filter(|container| container.restart_policy.as_deref() == Some("Always"));
    spec.containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
        .filter_map(|port| {
            Some(NamedPort {
                name: port.name.clone()?,
                protocol: protocol(port.protocol.as_deref())?,
                number: u16::try_from(port.container_port).ok()?,
            })
        })
        .collect()
}

impl From<&api::NetworkPolicy> for Policy {
    fn from(object: &api::NetworkPolicy) -> Self {
        let name = object.metadata.name.clone().unwrap_or_default();
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let spec = object.spec.clone().unwrap_or_default();
        let context = format!("{namespace}/{name}");
        let ingress: Vec<Rule> = spec
            .ingress
            .iter()
            .flatten()
            .map(|rule| Rule {
                peers: peers(&context, rule.from.as_deref()),
                ports: ports(&context, rule.ports.as_deref()),
            })
            .collect();
        let egress: Vec<Rule> = spec
            .egress
            .iter()
            .flatten()
            .map(|rule| Rule {
                peers: peers(&context, rule.to.as_deref()),
                ports: ports(&context, rule.ports.as_deref()),
            })
            .collect();
        let types = spec.policy_types.unwrap_or_default();
        // Without policyTypes a policy isolates ingress always, and egress if it has egress rules.
        let isolates_ingress = types.is_empty() || types.iter().any(|kind| kind == "Ingress");
        let isolates_egress =
            if types.is_empty() { !egress.is_empty() } else { types.iter().any(|kind| kind == "Egress") };
        // A selector that cannot be read selects every pod here: the policy then isolates too many.
        let pods = spec.pod_selector.map_or_else(|| Some(Selector::default()), |labels| selector(&labels));
        Self {
            pods: pods.unwrap_or_else(|| {
                warn!(policy = %context, "pod selector with an unknown operator: isolating the whole namespace");
                Selector::default()
            }),
            namespace,
            name,
            ingress: isolates_ingress.then_some(ingress),
            egress: isolates_egress.then_some(egress),
        }
    }
}

fn peers(policy: &str, peers: Option<&[api::NetworkPolicyPeer]>) -> Peers {
    match peers {
        None | Some([]) => Peers::All,
        Some(peers) => Peers::Listed(
            peers
                .iter()
                .filter_map(|object| {
                    let peer = peer(object);
                    if peer.is_none() {
                        warn!(policy, "peer that cannot be read: it matches nothing");
                    }
                    peer
                })
                .collect(),
        ),
    }
}

fn peer(object: &api::NetworkPolicyPeer) -> Option<Peer> {
    match (&object.ip_block, &object.namespace_selector, &object.pod_selector) {
        (Some(block), None, None) => Some(Peer::Block(IpBlock {
            cidr: block.cidr.parse().ok()?,
            except: block.except.iter().flatten().map(|cidr| cidr.parse().ok()).collect::<Option<_>>()?,
        })),
        (None, None, Some(pods)) => {
            Some(Peer::Pods { namespaces: NamespaceScope::Own, pods: selector(pods)? })
        }
        (None, Some(namespaces), pods) => Some(Peer::Pods {
            namespaces: NamespaceScope::Matching(selector(namespaces)?),
            pods: pods.as_ref().map_or_else(|| Some(Selector::default()), selector)?,
        }),
        (Some(_), _, _) | (None, None, None) => None,
    }
}

fn ports(policy: &str, ports: Option<&[api::NetworkPolicyPort]>) -> Ports {
    match ports {
        None | Some([]) => Ports::All,
        Some(ports) => Ports::Listed(
            ports
                .iter()
                .filter_map(|object| {
                    let port = port(object);
                    if port.is_none() {
                        warn!(policy, "port that cannot be read: it matches nothing");
                    }
                    port
                })
                .collect(),
        ),
    }
}

fn port(object: &api::NetworkPolicyPort) -> Option<Port> {
    let protocol = protocol(object.protocol.as_deref())?;
    let target = match (&object.port, object.end_port) {
        (None, None) => PortTarget::Any,
        (Some(IntOrString::Int(port)), end) => {
            PortTarget::Range(u16::try_from(*port).ok()?, u16::try_from(end.unwrap_or(*port)).ok()?)
        }
        (Some(IntOrString::String(name)), None) => PortTarget::Named(name.clone()),
        (None | Some(IntOrString::String(_)), Some(_)) => return None,
    };
    Some(Port { protocol, target })
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

pub(super) fn selector(object: &LabelSelector) -> Option<Selector> {
    Some(Selector {
        labels: object.match_labels.clone().unwrap_or_default(),
        expressions: object.match_expressions.iter().flatten().map(expression).collect::<Option<_>>()?,
    })
}

fn expression(object: &LabelSelectorRequirement) -> Option<Expression> {
    let values = || object.values.iter().flatten().cloned().collect();
    let operator = match object.operator.as_str() {
        "In" => Operator::In(values()),
        "NotIn" => Operator::NotIn(values()),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return None,
    };
    Some(Expression { key: object.key.clone(), operator })
}
