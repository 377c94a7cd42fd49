//! NET-06: the insides of the platform, as a tenant's pod sees them.
//!
//! Whoever listens there is no agent, so that an attempt is a connection without a word. That a host resets it since
//! nobody listens is an answer, too: the packets came to the host and back.

use std::collections::BTreeMap;

use cucumber::{then, when};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{
    network::{convergence, fleet_of},
    support::{
        agents,
        denials::{self, Sandwich, Tried},
        paths, tenants,
    },
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{ControlPhase, Evidence, EvidenceBody},
    probe::{
        AddressKind, Attempt, Entry, Fleet, MatrixPlan, MatrixResult, Source, Target, Transport, Verdict,
        VerdictKind,
    },
    profile::{AddressExpectation, LoadedPlatform, Network},
    tenant::{Tenant, Tier},
};

/// The ports of a kubelet: its own, and the one that only reads.
const KUBELET: [u16; 2] = [10250, 10255];

/// What else may answer at a node: ssh, etcd and its peers, the node exporter, and the health and metrics of kube-proxy.
const NODE: [u16; 6] = [22, 2379, 2380, 9100, 10249, 10256];

/// What else may answer beside an API server: etcd, the controller manager and the scheduler.
const CONTROL_PLANE: [u16; 4] = [2379, 2380, 10257, 10259];

/// Where clouds tell a machine about itself, credentials included.
const METADATA: &str = "169.254.169.254";
/// The same by IPv6, where a cloud has it.
const METADATA_V6: &str = "fd00:ec2::254";

/// A place inside the platform with what is promised of it.
struct Inside {
    target: Target,
    promised: AddressExpectation,
}

/// Attempts that are promised to be open.
#[derive(Debug, Default)]
struct Wanted(Vec<Attempt>);

fn inside(place: impl Into<String>, host: &str, port: u16, promised: AddressExpectation) -> Inside {
    let target = Target {
        place: place.into(),
        by: AddressKind::Given,
        transport: Transport::Connect,
        host: host.to_owned(),
        port,
        expect: Vec::new(),
        question: None,
    };
    Inside { target, promised }
}

#[when(regex = "^every workload tries (the .+), over TCP$")]
async fn try_insides(world: &mut World, what: String) -> StepResult {
    let network = world.service::<LoadedPlatform>()?.platform.spec.network.clone();
    let cluster = world.service::<Cluster>()?;
    let insides = match what.as_str() {
        "the API server" => api_server(&cluster, &network).await?,
        "the kubelets" => at_nodes(&cluster, &KUBELET, network.addresses.kubelets).await?,
        "the addresses of the nodes" => nodes(&cluster, &network).await?,
        "the metadata service" => metadata(&cluster, &network).await?,
        "the pods and services of the system namespaces" => system(&cluster, &network).await?,
        _ => return Err(StepError::trouble(format!("no part of the platform is called `{what}`")).into()),
    };
    let (tenant, control) = (tenants::its(world)?, tenants::control(world)?);
    let fleet = fleet_of(world, [&tenant, &control], &[])?;
    alive(world, &fleet, &control).await?;
    let targets: Vec<Target> = insides.iter().map(|inside| inside.target.clone()).collect();
    let controls =
        MatrixPlan::all_pairs(paths::sources(&control)?, targets.clone()).with_pace(agents::patient());
    let before = fleet.run(controls.clone()).await;
    let tried = agents::until_judged(
        &fleet,
        &MatrixPlan::all_pairs(paths::sources(&tenant)?, targets),
        convergence(world)?,
    )
    .await;
    let after = fleet.run(controls).await;
    let promised = |target: &Target| {
        let of = insides.iter().find(|inside| inside.target == *target);
        of.map_or(AddressExpectation::Closed, |inside| inside.promised)
    };
    let closed = paths::words(&words::closed(world)?);
    let expected = |_: &Source, target: &Target| match promised(target) {
        AddressExpectation::Open => "OPEN".to_owned(),
        AddressExpectation::Closed => closed.clone(),
    };
    let anything = |_: &Source, _: &Target| String::new();
    paths::record_as_one(world, &before, anything, Some(ControlPhase::Before));
    paths::record_as_one(world, &tried, expected, None);
    paths::record_as_one(world, &after, anything, Some(ControlPhase::After));
    let (wanted, tried): (Vec<_>, Vec<_>) =
        tried.iter().partition(|entry| promised(entry.target) == AddressExpectation::Open);
    let (sandwiches, unanswered) = between(&before, &tried, &after)?;
    tell(world, &sandwiches, &unanswered);
    if sandwiches.is_empty() && wanted.is_empty() {
        let why = unanswered.first().cloned().unwrap_or_else(|| "there is none".to_owned());
        let message = format!("nobody answers for {what}, with or without a policy in the way: {why}");
        return Err(StepError::capability(message).details(unanswered).into());
    }
    world.slots.insert(Wanted(wanted.iter().map(Entry::attempt).collect()));
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

/// That the pods of the control tenant reach anything at all is shown by what they reach among themselves.
async fn alive(world: &World, fleet: &Fleet, control: &Tenant) -> Result<(), StepError> {
    let mut targets = paths::targets(control, &[AddressKind::PodAddress])?;
    let place = format!("{}/{}", control.name(), Tier::Api);
    targets.retain(|target| target.place == place && target.transport == Transport::Tcp);
    let plan = MatrixPlan::all_pairs(paths::sources(control)?, targets);
    let heard = agents::until_open(fleet, &plan, convergence(world)?).await;
    match heard.iter().find(|entry| entry.cell.verdict.kind() != VerdictKind::Open) {
        None => Ok(()),
        Some(shut) => Err(StepError::no_control(format!(
            "the control tenant does not reach its own pods ({} was {}), so that its silence says nothing",
            shut.attempt(),
            shut.cell.verdict
        ))),
    }
}

/// Equal for a path and its control: the same target, tried by the same tier, which runs on the same node.
fn key(source: &Source, target: &Target) -> String {
    let tier = source.place.rsplit('/').next().unwrap_or_default();
    format!("{}, from {tier}", target.label())
}

/// Puts each attempt between its controls. What does not answer the control tenant either is named apart: nothing can
/// be told of it, unless it let a tenant in.
fn between(
    before: &MatrixResult,
    tried: &[Entry<'_>],
    after: &MatrixResult,
) -> Result<(Vec<Sandwich>, Vec<String>), StepError> {
    let controls = |result: &MatrixResult| -> BTreeMap<String, Attempt> {
        result.iter().map(|entry| (key(entry.source, entry.target), named(&entry))).collect()
    };
    let (before, after) = (controls(before), controls(after));
    let (mut sandwiches, mut unanswered) = (Vec::new(), Vec::new());
    for entry in tried {
        let key = key(entry.source, entry.target);
        let control = |of: &BTreeMap<String, Attempt>| {
            of.get(&key)
                .cloned()
                .ok_or_else(|| StepError::no_control(format!("no control tenant tried {key}")))
        };
        let (before, after) = (control(&before)?, control(&after)?);
        let attempt = named(entry);
        match before.verdict.kind() {
            VerdictKind::Open => sandwiches.push(Sandwich { before, attempt, after }),
            VerdictKind::Refused => sandwiches.push(Sandwich {
                before: answered(before),
                attempt: answered(attempt),
                after: answered(after),
            }),
            // No control is needed to know that something got through.
            _ if attempt.verdict.kind().is_breach() => sandwiches.push(Sandwich { before, attempt, after }),
            _ => unanswered.push(format!("{before} was {}", before.verdict)),
        }
    }
    Ok((sandwiches, unanswered))
}

fn named(entry: &Entry<'_>) -> Attempt {
    Attempt { target: key(entry.source, entry.target), ..entry.attempt() }
}

/// Where nobody listens, a reset by the host is what an open path looks like.
fn answered(attempt: Attempt) -> Attempt {
    if attempt.verdict.kind() != VerdictKind::Refused {
        return attempt;
    }
    Attempt { verdict: Verdict::Open, ..attempt }.variant("the host answers, though nobody listens")
}

fn tell(world: &World, sandwiches: &[Sandwich], unanswered: &[String]) {
    let silent = sandwiches.iter().filter(|it| it.before.variant.is_some()).count();
    let mut lines = vec![
        format!(
            "{} attempts are judged, each by the same attempt of the control tenant from the same node",
            sandwiches.len()
        ),
        format!(
            "{silent} of them are at ports where nobody listens: there a reset is the answer of an open path"
        ),
    ];
    if !unanswered.is_empty() {
        lines.push(format!(
            "{} are not judged, since the control tenant gets no answer either:",
            unanswered.len()
        ));
        lines.extend(unanswered.iter().cloned());
    }
    world.record(Evidence {
        title: "what was judged, and by what".to_owned(),
        body: EvidenceBody::Text { lines },
    });
}

#[then(
    regex = r"^each is ([A-Z_]+(?: or [A-Z_]+)*) where it is promised to be closed, and OPEN where it is promised to be open$"
)]
async fn as_promised(world: &mut World, words: String) -> StepResult {
    let accepted = words::closed_as(world, &words)?;
    let wanted = &world.slots.require::<Wanted>("attempts")?.0;
    let shut: Vec<_> = wanted.iter().filter(|attempt| attempt.verdict.kind() != VerdictKind::Open).collect();
    if let Some(first) = shut.first() {
        let message = format!("expected OPEN from {first}, saw {}", first.verdict);
        let unclear = shut.iter().all(|attempt| attempt.verdict.kind() == VerdictKind::ProbeError);
        return Err(
            if unclear { StepError::trouble(message) } else { StepError::requirement(message) }.into()
        );
    }
    if !wanted.is_empty() && denials::attempts(world)?.is_empty() {
        return Ok(());
    }
    Ok(denials::each_is_without_evidence(world, &accepted)?)
}

#[then("each that is closed was OPEN for the control tenant just before and just after")]
async fn controls_open(world: &mut World) -> StepResult {
    if denials::attempts(world)?.is_empty() && !world.slots.require::<Wanted>("attempts")?.0.is_empty() {
        return Ok(());
    }
    Ok(denials::each_was_open_without_evidence(world)?)
}

/// Every node with its addresses; names are none, since nobody resolves them inside.
async fn at_nodes(
    cluster: &Cluster,
    ports: &[u16],
    promised: AddressExpectation,
) -> Result<Vec<Inside>, StepError> {
    let nodes = cluster.nodes().await.map_err(StepError::from)?;
    let addresses = nodes.iter().flat_map(|node| {
        let addresses = node.addresses.iter().filter(|text| text.parse::<std::net::IpAddr>().is_ok());
        addresses.map(move |address| (node.name.as_str(), address.as_str()))
    });
    Ok(addresses
        .flat_map(|(name, address)| ports.iter().map(move |port| inside(name, address, *port, promised)))
        .collect())
}

/// Where the API server listens, behind its service.
async fn control_planes(cluster: &Cluster) -> Result<Vec<(String, u16)>, StepError> {
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client(), "default");
    let of_service = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let list = slices
        .list(&of_service)
        .await
        .map_err(|error| cluster.error("list the endpoints of the API server", error))?;
    let mut found = Vec::new();
    for slice in list.items {
        let ports: Vec<u16> =
            slice.ports.iter().flatten().filter_map(|port| u16::try_from(port.port?).ok()).collect();
        for address in slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            found.extend(ports.iter().map(|port| (address.clone(), *port)));
        }
    }
    Ok(found)
}

async fn api_server(cluster: &Cluster, network: &Network) -> Result<Vec<Inside>, StepError> {
    let promised = network.addresses.api_server;
    let services: Api<Service> = Api::namespaced(cluster.client(), "default");
    let service = services
        .get("kubernetes")
        .await
        .map_err(|error| cluster.error("read the service of the API server", error))?;
    let mut insides = Vec::new();
    let name = format!("kubernetes.default.svc.{}", network.dns.domain);
    for (address, port) in service_ports(&service) {
        insides.push(inside("the API server's service", &address, port, promised));
        let mut named = inside("the API server's service", &name, port, promised);
        named.target.by = AddressKind::ServiceName;
        insides.push(named);
    }
    let itself = control_planes(cluster).await?;
    insides.extend(
        itself.iter().map(|(address, port)| inside("the API server itself", address, *port, promised)),
    );
    Ok(insides)
}

async fn nodes(cluster: &Cluster, network: &Network) -> Result<Vec<Inside>, StepError> {
    let promised = network.addresses.nodes;
    let mut insides = at_nodes(cluster, &NODE, promised).await?;
    let mut planes: Vec<String> =
        control_planes(cluster).await?.into_iter().map(|(address, _)| address).collect();
    planes.sort();
    planes.dedup();
    for address in &planes {
        insides
            .extend(CONTROL_PLANE.iter().map(|port| inside("the control plane", address, *port, promised)));
    }
    // A node that is a control plane, too, is tried once.
    let mut seen = std::collections::BTreeSet::new();
    insides.retain(|inside| seen.insert((inside.target.host.clone(), inside.target.port)));
    Ok(insides)
}

async fn metadata(cluster: &Cluster, network: &Network) -> Result<Vec<Inside>, StepError> {
    let promised = network.addresses.metadata;
    let mut insides = vec![inside("the metadata service", METADATA, 80, promised)];
    let nodes = cluster.nodes().await.map_err(StepError::from)?;
    if nodes.iter().flat_map(|node| &node.addresses).any(|text| text.parse::<std::net::Ipv6Addr>().is_ok()) {
        insides.push(inside("the metadata service", METADATA_V6, 80, promised));
    }
    Ok(insides)
}

/// The cluster addresses of a service with its TCP ports.
fn service_ports(service: &Service) -> Vec<(String, u16)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let own = spec.cluster_ips.clone().or_else(|| spec.cluster_ip.clone().map(|address| vec![address]));
    let addresses = own.into_iter().flatten().filter(|address| address != "None" && !address.is_empty());
    let is_tcp = |protocol: Option<&str>| protocol.is_none_or(|protocol| protocol == "TCP");
    let ports: Vec<u16> = spec
        .ports
        .iter()
        .flatten()
        .filter(|port| is_tcp(port.protocol.as_deref()))
        .filter_map(|port| u16::try_from(port.port).ok())
        .collect();
    addresses
        .flat_map(|address| ports.iter().map(move |port| (address.clone(), *port)).collect::<Vec<_>>())
        .collect()
}

/// The addresses of a pod with the TCP ports that its containers declare; none where it shares its node's network.
fn pod_ports(pod: &Pod) -> Vec<(String, u16)> {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return Vec::new() };
    if spec.host_network.unwrap_or_default() || status.phase.as_deref() != Some("Running") {
        return Vec::new();
    }
    let ports: Vec<u16> = spec
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten())
        .filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
        .filter_map(|port| u16::try_from(port.container_port).ok())
        .collect();
    let addresses = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone());
    addresses
        .flat_map(|address| ports.iter().map(move |port| (address.clone(), *port)).collect::<Vec<_>>())
        .collect()
}

/// The well-known port of name servers: the one thing in a system namespace that is for everybody.
const DNS: u16 = 53;

async fn system(cluster: &Cluster, network: &Network) -> Result<Vec<Inside>, StepError> {
    let promise = |is_dns: bool, port: u16| {
        if is_dns && port == DNS { AddressExpectation::Open } else { AddressExpectation::Closed }
    };
    let mut insides = Vec::new();
    for namespace in &network.system_namespaces.0 {
        let services: Api<Service> = Api::namespaced(cluster.client(), namespace);
        let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
        let everything = ListParams::default();
        let (services, pods) = futures::join!(services.list(&everything), pods.list(&everything));
        let services =
            services.map_err(|error| cluster.error(format!("list services in {namespace}"), error))?;
        let pods = pods.map_err(|error| cluster.error(format!("list pods in {namespace}"), error))?;
        let of_dns = namespace == &network.dns.namespace;
        for service in &services.items {
            let name = service.name_any();
            let is_dns = of_dns && name == network.dns.service;
            for (address, port) in service_ports(service) {
                let place = format!("service {namespace}/{name}");
                insides.push(inside(place, &address, port, promise(is_dns, port)));
            }
        }
        for pod in &pods.items {
            let selected =
                network.dns.selector.iter().all(|(key, value)| pod.labels().get(key) == Some(value));
            for (address, port) in pod_ports(pod) {
                let place = format!("pod {namespace}/{}", pod.name_any());
                insides.push(inside(place, &address, port, promise(of_dns && selected, port)));
            }
        }
    }
    Ok(insides)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_of_services_and_pods_are_those_that_a_connection_can_reach() {
        let service: Service = serde_json::from_value(json!({"spec": {
            "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 9153}],
        }}))
        .unwrap();
        let found = service_ports(&service);
        assert_eq!(found.len(), 4);
        assert!(found.contains(&("fd00::1".to_owned(), 9153)));
        let headless: Service =
            serde_json::from_value(json!({"spec": {"clusterIP": "None", "ports": [{"port": 80}]}})).unwrap();
        assert_eq!(service_ports(&headless), []);
        let pod = |host_network: bool| -> Pod {
            serde_json::from_value(json!({
                "spec": {"hostNetwork": host_network, "containers": [{"name": "a", "ports": [
                    {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 9153},
                ]}]},
                "status": {"phase": "Running", "podIPs": [{"ip": "10.1.0.1"}]},
            }))
            .unwrap()
        };
        assert_eq!(pod_ports(&pod(false)), [("10.1.0.1".to_owned(), 9153)]);
        assert_eq!(pod_ports(&pod(true)), []);
    }

    #[test]
    fn a_reset_is_an_answer_only_where_nobody_listens() {
        let attempt = |verdict: Verdict| Attempt {
            actor: "control/web".into(),
            target: "node-1:22/TCP by address, from web".into(),
            variant: None,
            verdict,
            span: crate::probe::Span::default(),
            took_us: None,
            evidence: serde_json::Value::Null,
        };
        assert_eq!(answered(attempt(Verdict::Refused)).verdict, Verdict::Open);
        assert_eq!(answered(attempt(Verdict::Dropped)).verdict, Verdict::Dropped);
    }
}
