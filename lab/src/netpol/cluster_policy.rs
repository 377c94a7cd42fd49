//! Objects of the kind ClusterNetworkPolicy to the model.
//!
//! What cannot be read closes, as the Network Policy API asks for: an unknown peer makes a rule that accepts match
//! nothing, and any other rule deny everything. Of an object whose subject cannot be read nobody knows whom it
//! concerns: it denies everything to everybody.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use serde_json::Value;
use tracing::warn;

use super::convert::selector;
use super::{
    Action, ClusterPolicy, ClusterRule, IpBlock, NamespaceScope, Peer, Peers, Port, PortTarget, Ports,
    Protocol, Rule, Selector, Tier,
};

/// The kind that is watched.
pub(super) fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy");
    ApiResource::from_gvk_with_plural(&kind, "clusternetworkpolicies")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    tier: Tier,
    priority: u16,
    subject: WirePeer,
    #[serde(default)]
    ingress: Vec<WireRule>,
    #[serde(default)]
    egress: Vec<WireRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRule {
    action: Action,
    #[serde(alias = "to")]
    from: Vec<Value>,
    #[serde(default)]
    protocols: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum WirePeer {
    Namespaces(LabelSelector),
    #[serde(rename_all = "camelCase")]
    Pods {
        #[serde(default)]
        namespace_selector: LabelSelector,
        pod_selector: LabelSelector,
    },
    Networks(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum WireProtocol {
    Tcp(Transport),
    Udp(Transport),
    Sctp(Transport),
    DestinationNamedPort(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transport {
    destination_port: Option<WirePort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum WirePort {
    Number(u16),
    Range { start: u16, end: u16 },
}

impl From<&DynamicObject> for ClusterPolicy {
    fn from(object: &DynamicObject) -> Self {
        let name = object.metadata.name.clone().unwrap_or_default();
        let spec = Spec::deserialize(&object.data["spec"]);
        let spec = spec.map_err(|error| error.to_string()).and_then(|spec| {
            let selected = subject(&spec.subject);
            selected.map(|selected| (spec, selected)).ok_or_else(|| "its subject cannot be read".to_owned())
        });
        match spec {
            Ok((spec, (namespaces, pods))) => Self {
                tier: spec.tier,
                priority: spec.priority,
                namespaces,
                pods,
                ingress: spec.ingress.iter().map(|it| rule(&name, it)).collect(),
                egress: spec.egress.iter().map(|it| rule(&name, it)).collect(),
                name,
            },
            Err(why) => {
                warn!(
                    policy = name,
                    why, "policy of the whole cluster that cannot be read: closing everything"
                );
                Self {
                    name,
                    tier: Tier::Admin,
                    priority: 0,
                    namespaces: Selector::default(),
                    pods: Selector::default(),
                    ingress: vec![deny_all()],
                    egress: vec![deny_all()],
                }
            }
        }
    }
}

fn deny_all() -> ClusterRule {
    ClusterRule { action: Action::Deny, rule: Rule { peers: Peers::All, ports: Ports::All } }
}

fn subject(peer: &WirePeer) -> Option<(Selector, Selector)> {
    match peer {
        WirePeer::Namespaces(namespaces) => Some((selector(namespaces)?, Selector::default())),
        WirePeer::Pods { namespace_selector, pod_selector } => {
            Some((selector(namespace_selector)?, selector(pod_selector)?))
        }
        WirePeer::Networks(_) => None,
    }
}

fn rule(policy: &str, wire: &WireRule) -> ClusterRule {
    let peers: Option<Vec<Vec<Peer>>> = wire.from.iter().map(peers).collect();
    let ports: Option<Vec<Vec<Port>>> = wire.protocols.iter().map(ports).collect();
    if let (Some(peers), Some(ports)) = (peers, ports) {
        let ports = if ports.is_empty() { Ports::All } else { Ports::Listed(ports.concat()) };
        // A rule names its peers: one without any matches nobody.
        let rule = Rule { peers: Peers::Listed(peers.concat()), ports };
        return ClusterRule { action: wire.action, rule };
    }
    warn!(policy, "rule that cannot be read: it closes");
    match wire.action {
        Action::Accept => ClusterRule {
            action: Action::Accept,
            rule: Rule { peers: Peers::Listed(Vec::new()), ports: Ports::All },
        },
        Action::Deny | Action::Pass => deny_all(),
    }
}

fn peers(value: &Value) -> Option<Vec<Peer>> {
    let wire = WirePeer::deserialize(value).ok()?;
    if let WirePeer::Networks(networks) = &wire {
        let block =
            |cidr: &String| Some(Peer::Block(IpBlock { cidr: cidr.parse().ok()?, except: Vec::new() }));
        return networks.iter().map(block).collect();
    }
    let (namespaces, pods) = subject(&wire)?;
    Some(vec![Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods }])
}

fn ports(value: &Value) -> Option<Vec<Port>> {
    let target = |transport: &Transport| match &transport.destination_port {
        None => PortTarget::Any,
        Some(WirePort::Number(number)) => PortTarget::Range(*number, *number),
        Some(WirePort::Range { start, end }) => PortTarget::Range(*start, *end),
    };
    let one = |protocol, transport| vec![Port { protocol, target: target(transport) }];
    Some(match &WireProtocol::deserialize(value).ok()? {
        WireProtocol::Tcp(transport) => one(Protocol::Tcp, transport),
        WireProtocol::Udp(transport) => one(Protocol::Udp, transport),
        WireProtocol::Sctp(transport) => one(Protocol::Sctp, transport),
        WireProtocol::DestinationNamedPort(name) => [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
            .into_iter()
            .map(|protocol| Port { protocol, target: PortTarget::Named(name.clone()) })
            .collect(),
    })
}
