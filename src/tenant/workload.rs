//! The three-tier workload: `web -> api -> db`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::placement::Placement;
use super::{PoolSettings, Tenant, TenantError};
use crate::cluster::{self, Cluster, ImageDelivery, Ownership};
use crate::engine::TenantRole;
use crate::probe::AgentPod;

/// Says which tier a pod is of.
pub const TIER_LABEL: &str = "plimsoll.dev/tier";
/// Says that a pod belongs to the workload, and not to a single scenario.
pub const WORKLOAD_LABEL: &str = "plimsoll.dev/workload";

/// The port of the declared paths.
const DECLARED_PORT: u16 = 8080;
/// A port that listens, but that no path declares.
const UNDECLARED_PORT: u16 = 9090;

/// One tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// What users would reach.
    Web,
    /// What `web` calls.
    Api,
    /// What `api` calls.
    Db,
}

impl Tier {
    /// Every tier, in the order of the calls.
    pub const ALL: [Self; 3] = [Self::Web, Self::Api, Self::Db];

    /// The name of its pod and service.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
            Self::Db => "db",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As Kubernetes spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// A path that the tenant declares to be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeclaredPath {
    /// Who calls.
    pub from: Tier,
    /// Who is called.
    pub to: Tier,
    /// Where.
    pub port: u16,
    /// How.
    pub protocol: Protocol,
}

impl DeclaredPath {
    /// The paths of the three-tier workload.
    pub const THREE_TIER: [Self; 3] = [
        Self { from: Tier::Web, to: Tier::Api, port: DECLARED_PORT, protocol: Protocol::Tcp },
        Self { from: Tier::Api, to: Tier::Db, port: DECLARED_PORT, protocol: Protocol::Tcp },
        Self { from: Tier::Api, to: Tier::Db, port: DECLARED_PORT, protocol: Protocol::Udp },
    ];
}

/// A pod of the workload, Ready.
#[derive(Clone, Debug)]
pub struct DeployedPod {
    /// Its tier.
    pub tier: Tier,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its address.
    pub address: IpAddr,
    /// All its addresses, where there is more than one family.
    pub addresses: Vec<IpAddr>,
    /// Its node.
    pub node: String,
    /// Where it listens, over TCP and UDP.
    pub ports: Vec<u16>,
}

/// A service of the workload and its headless twin.
#[derive(Clone, Debug)]
pub struct DeployedService {
    /// Its tier.
    pub tier: Tier,
    /// Its name.
    pub name: String,
    /// Its cluster address.
    pub address: IpAddr,
    /// The name of the headless one.
    pub headless: String,
    /// Its full name in DNS.
    pub dns: String,
    /// The full name of the headless one in DNS.
    pub headless_dns: String,
    /// Its ports, over TCP and UDP.
    pub ports: Vec<u16>,
}

/// The workload of a tenant, ready.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its pods, by tier.
    pub pods: Vec<DeployedPod>,
    /// Its services, by tier.
    pub services: Vec<DeployedService>,
    /// The paths that the tenant declares; everything else is to be closed.
    pub declared: Vec<DeclaredPath>,
}

impl Deployed {
    /// The pod of a tier.
    pub fn pod(&self, tier: Tier) -> Option<&DeployedPod> {
        self.pods.iter().find(|pod| pod.tier == tier)
    }

    /// The service of a tier.
    pub fn service(&self, tier: Tier) -> Option<&DeployedService> {
        self.services.iter().find(|service| service.tier == tier)
    }

    /// Whether the tenant declares this path.
    pub fn declares(&self, from: Tier, to: Tier, port: u16, protocol: Protocol) -> bool {
        self.declared.contains(&DeclaredPath { from, to, port, protocol })
    }
}

/// A pod that runs the agent as a server, compliant with the restricted pod security standard. `labels` come on
/// top of the ownership's; `node` is a value of `kubernetes.io/hostname`.
pub fn agent_pod(
    name: &str,
    tenant: &str,
    labels: &BTreeMap<String, String>,
    ports: &[u16],
    node: Option<&str>,
    image: &str,
    delivery: ImageDelivery,
) -> Value {
    let pod = AgentPod {
        name: name.to_owned(),
        tenant: tenant.to_owned(),
        image: image.to_owned(),
        image_pull_policy: Some(match delivery {
            ImageDelivery::Loaded => "Never".to_owned(),
            ImageDelivery::ByReference => "IfNotPresent".to_owned(),
        }),
        labels: labels.clone(),
        tcp: ports.to_vec(),
        udp: ports.to_vec(),
        node: node.map(str::to_owned),
        ..AgentPod::default()
    };
    let mut pod = serde_json::to_value(pod.pod()).unwrap_or_default();
    // The namespace is the request's to say.
    if let Some(metadata) = pod["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    pod
}

/// The objects of the workload that go before its pods: services, and the declared paths as network policies.
fn foundations(namespace: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    for tier in Tier::ALL {
        let ports: Vec<Value> = [DECLARED_PORT, UNDECLARED_PORT]
            .into_iter()
            .flat_map(|port| {
                [Protocol::Tcp, Protocol::Udp].map(|protocol| {
                    json!({"name": format!("{}-{port}", protocol.name().to_lowercase()), "port": port,
                           "protocol": protocol.name()})
                })
            })
            .collect();
        for headless in [false, true] {
            let mut spec = json!({"selector": {TIER_LABEL: tier.name()}, "ports": ports});
            if headless {
                spec["clusterIP"] = json!("None");
            }
            objects.push(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": service_name(tier, headless), "namespace": namespace},
                "spec": spec,
            }));
        }
    }
    for tier in Tier::ALL {
        objects.extend(paths_policy(namespace, tier));
    }
    objects
}

/// The declared paths of one tier, both directions, as one network policy; none where it has no path.
fn paths_policy(namespace: &str, tier: Tier) -> Option<Value> {
    let peer = |tier: Tier| json!([{"podSelector": {"matchLabels": {TIER_LABEL: tier.name()}}}]);
    let port = |path: &DeclaredPath| json!([{"protocol": path.protocol.name(), "port": path.port}]);
    let paths = &DeclaredPath::THREE_TIER;
    let ingress: Vec<Value> = paths
        .iter()
        .filter(|path| path.to == tier)
        .map(|path| json!({"from": peer(path.from), "ports": port(path)}))
        .collect();
    let egress: Vec<Value> = paths
        .iter()
        .filter(|path| path.from == tier)
        .map(|path| json!({"to": peer(path.to), "ports": port(path)}))
        .collect();
    if ingress.is_empty() && egress.is_empty() {
        return None;
    }
    let types: Vec<&str> = [("Ingress", &ingress), ("Egress", &egress)]
        .into_iter()
        .filter(|(_, rules)| !rules.is_empty())
        .map(|(name, _)| name)
        .collect();
    let mut spec = json!({"podSelector": {"matchLabels": {TIER_LABEL: tier.name()}}, "policyTypes": types});
    if !ingress.is_empty() {
        spec["ingress"] = json!(ingress);
    }
    if !egress.is_empty() {
        spec["egress"] = json!(egress);
    }
    Some(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": format!("paths-of-{tier}"), "namespace": namespace},
        "spec": spec,
    }))
}

fn service_name(tier: Tier, headless: bool) -> String {
    if headless { format!("{tier}-headless") } else { tier.name().to_owned() }
}

/// Puts the workload into a tenant, acting as its own administrator, and waits until its pods are Ready.
pub(super) async fn deploy(
    tenant: &Tenant,
    settings: &PoolSettings,
    placement: &Placement,
    delivery: ImageDelivery,
) -> Result<Deployed, TenantError> {
    let cluster = tenant.cluster();
    let namespace = tenant.namespace();
    let client = &tenant.admin().client;
    let doing = || TenantError::cluster(format!("put the workload into tenant {}", tenant.name()));

    // A control tenant has the same workload, but no policies at all.
    let foundations = foundations(namespace)
        .into_iter()
        .filter(|object| tenant.role() == TenantRole::Subject || object["kind"] != "NetworkPolicy")
        .map(serde_json::from_value::<DynamicObject>)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| internal(&error))?;
    cluster::apply(cluster, client, Some(tenant.ownership()), foundations).await.map_err(doing())?;

    let pods = try_join_all(
        Tier::ALL.map(|tier| create_pod(cluster, client, tenant, tier, settings, placement, delivery)),
    );
    pods.await.map_err(doing())?;
    let names: Vec<String> = Tier::ALL.iter().map(|tier| tier.name().to_owned()).collect();
    let within = settings.platform.platform.spec.deadlines.pod_ready.get();
    let selector = format!("{WORKLOAD_LABEL}=three-tier");
    // The harness watches, since a tenant's role need not include it.
    let ready = cluster::wait_pods_ready(cluster, cluster.client(), namespace, &selector, &names, within)
        .await
        .map_err(doing())?;

    let services: Api<Service> = Api::namespaced(cluster.client(), namespace);
    let domain = &settings.platform.platform.spec.network.dns.domain;
    let services = try_join_all(Tier::ALL.map(|tier| {
        let services = services.clone();
        async move {
            let doing = format!("read service {namespace}/{tier}");
            let service = services.get(tier.name()).await.map_err(|error| cluster.error(&doing, error))?;
            deployed_service(tier, &service, namespace, domain)
                .ok_or_else(|| incomplete(doing, "it has no address"))
        }
    }))
    .await
    .map_err(doing())?;
    let pods = Tier::ALL
        .into_iter()
        .map(|tier| {
            let pod = ready.iter().find(|pod| pod.name_any() == tier.name());
            pod.and_then(|pod| deployed_pod(tier, pod))
                .ok_or_else(|| incomplete(format!("read pod {namespace}/{tier}"), "it has no address"))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(doing())?;
    Ok(Deployed { pods, services, declared: DeclaredPath::THREE_TIER.to_vec() })
}

async fn create_pod(
    cluster: &Cluster,
    client: &Client,
    tenant: &Tenant,
    tier: Tier,
    settings: &PoolSettings,
    placement: &Placement,
    delivery: ImageDelivery,
) -> Result<Pod, cluster::ClusterError> {
    let namespace = tenant.namespace();
    let labels = BTreeMap::from([
        (TIER_LABEL.to_owned(), tier.name().to_owned()),
        (WORKLOAD_LABEL.to_owned(), "three-tier".to_owned()),
    ]);
    let ports = [DECLARED_PORT, UNDECLARED_PORT];
    let node = placement.of(tier);
    let image = &settings.image.reference;
    let pod = agent_pod(tier.name(), tenant.id(), &labels, &ports, Some(node), image, delivery);
    create(cluster, client, namespace, tenant.ownership(), pod).await
}

/// Creates a pod; a service account that the namespace's controller has not made yet is waited for.
async fn create(
    cluster: &Cluster,
    client: &Client,
    namespace: &str,
    ownership: &Ownership,
    pod: Value,
) -> Result<Pod, cluster::ClusterError> {
    let mut pod: Pod = serde_json::from_value(pod)
        .map_err(|error| incomplete("build a pod".to_owned(), &error.to_string()))?;
    ownership.stamp(&mut pod.metadata);
    let doing = format!("create pod {namespace}/{}", pod.name_any());
    Api::<Pod>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &pod)
        .await
        .map_err(|error| cluster.error(doing, error))
}

fn deployed_pod(tier: Tier, pod: &Pod) -> Option<DeployedPod> {
    let status = pod.status.as_ref()?;
    let address: IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
    let mut addresses: Vec<IpAddr> =
        status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.push(address);
    }
    Some(DeployedPod {
        tier,
        name: pod.name_any(),
        namespace: pod.namespace()?,
        address,
        addresses,
        node: pod.spec.as_ref()?.node_name.clone()?,
        ports: vec![DECLARED_PORT, UNDECLARED_PORT],
    })
}

fn deployed_service(tier: Tier, service: &Service, namespace: &str, domain: &str) -> Option<DeployedService> {
    let headless = service_name(tier, true);
    Some(DeployedService {
        tier,
        name: tier.name().to_owned(),
        address: service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()?,
        dns: format!("{tier}.{namespace}.svc.{domain}"),
        headless_dns: format!("{headless}.{namespace}.svc.{domain}"),
        headless,
        ports: vec![DECLARED_PORT, UNDECLARED_PORT],
    })
}

fn incomplete(doing: String, message: &str) -> cluster::ClusterError {
    cluster::ClusterError::Api { doing, code: 0, message: message.to_owned() }
}

fn internal(error: &serde_json::Error) -> TenantError {
    TenantError::Cluster {
        doing: "build the workload's objects".to_owned(),
        source: Arc::new(incomplete("build an object".to_owned(), &error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_declare_the_paths_and_stay_inside_the_namespace() {
        let policies: Vec<Value> = foundations("plim-x7k2-alpha")
            .into_iter()
            .filter(|object| object["kind"] == "NetworkPolicy")
            .collect();
        insta::assert_yaml_snapshot!(policies);
    }

    #[test]
    fn the_agents_pod_is_restricted_and_small() {
        let labels = BTreeMap::from([(TIER_LABEL.to_owned(), "web".to_owned())]);
        let pod = agent_pod(
            "web",
            "plim-x7k2-alpha",
            &labels,
            &[8080, 9090],
            Some("node-1"),
            "plimsoll/agent:1",
            ImageDelivery::Loaded,
        );
        insta::assert_yaml_snapshot!(pod);
    }
}
