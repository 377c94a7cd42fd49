//! NET-12: ways beside the main road, made by the platform, which tenants cannot make themselves.

use std::collections::{BTreeMap, BTreeSet};

use cucumber::{given, when};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    network::{Measured, between_controls, fleet_of},
    support::{
        agents::{self, Stray},
        api::typed,
        paths, tenants,
    },
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, NodeInfo},
    engine::{Evidence, EvidenceBody},
    probe::{
        AddressKind, MatrixPlan, Source, Target, Transport, VerdictKind, api::verdict_of, transport_word,
    },
    profile::{AddressExpectation, LoadedPlatform},
    tenant::{DeployedPod, Tenant, Tier},
};

const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// The port of the workloads that the doors lead to.
const BEHIND: u16 = 8080;

/// A pod of the platform, and the node that it was put on.
#[derive(Clone, Debug)]
struct Door {
    pod: Stray,
    node: NodeInfo,
    address: String,
}

/// The pods of the platform that a scenario started, one a node.
#[derive(Debug)]
struct Doors(Vec<Door>);

/// Services with a node port: what they lead to, in every way.
#[derive(Debug)]
struct NodePorts {
    /// Towards the control tenant.
    control: Vec<Target>,
    /// Towards the subject, whose pod somebody else put behind it.
    subject: Vec<Target>,
}

/// On which node each workload of these tenants runs, as the cluster says.
fn placed<'a>(
    tenants: impl IntoIterator<Item = &'a std::sync::Arc<Tenant>>,
) -> Result<BTreeMap<String, String>, StepError> {
    let mut nodes = BTreeMap::new();
    for tenant in tenants {
        for DeployedPod { tier, node, .. } in &paths::workload(tenant)?.pods {
            nodes.insert(format!("{}/{tier}", tenant.name()), node.clone());
        }
    }
    Ok(nodes)
}

fn tenant_of(place: &str) -> &str {
    place.split('/').next().unwrap_or_default()
}

#[when("every workload tries every one of the other tenant, on the same node and on another")]
async fn try_by_node(world: &mut World) -> StepResult {
    let (subjects, controls) = (tenants::all(world)?, tenants::controls(world)?);
    let nodes = placed(subjects.iter().chain(&controls))?;
    let fleet = fleet_of(world, subjects.iter().chain(&controls), &[])?;
    let by = [AddressKind::PodAddress];
    let everybody = |of: &[std::sync::Arc<Tenant>]| -> Result<MatrixPlan, StepError> {
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for tenant in of {
            sources.extend(paths::sources(tenant)?);
            targets.extend(paths::targets(tenant, &by)?);
        }
        let between = |source: &Source, target: &Target| tenant_of(&source.place) != tenant_of(&target.place);
        Ok(MatrixPlan::all_pairs(sources, targets).keep(between))
    };
    let together = |source: &Source, target: &Target| nodes.get(&source.place) == nodes.get(&target.place);
    let first =
        |tenant: &str| [subjects.first(), controls.first()].iter().flatten().any(|it| it.name() == tenant);
    let key = |source: &Source, target: &Target| {
        let where_ = if together(source, target) { "on the same node" } else { "across nodes" };
        format!("{}, {where_}", paths::by_tiers_and_direction(source, target, first))
    };
    let vouches = "a path is vouched for by that of the same tiers in the same direction between the control tenants, \
                   which run on the same nodes";
    let tried = everybody(&subjects)?;
    between_controls(world, &fleet, tried, everybody(&controls)?, key, vouches).await?;
    let result = &world.slots.require::<Measured>("a matrix")?.0;
    let same = result.iter().filter(|entry| together(entry.source, entry.target)).count();
    let mut lines: Vec<_> = nodes.iter().map(|(place, node)| format!("{place} runs on {node}")).collect();
    lines.push(format!("{same} attempts on one node, {} across nodes", result.probes() - same));
    world
        .record(Evidence { title: "where the workloads run".to_owned(), body: EvidenceBody::Text { lines } });
    if same == 0 || same == result.probes() {
        return Err(StepError::trouble(
            "all workloads run on one node, or none on the same, so that only one of both cases was tried",
        )
        .into());
    }
    Ok(())
}

/// The nodes that workloads of the run are on, each with an address.
async fn nodes(world: &World, tenant: &Tenant) -> Result<Vec<(NodeInfo, String)>, StepError> {
    let cluster = world.service::<Cluster>()?;
    let used: BTreeSet<&str> = paths::workload(tenant)?.pods.iter().map(|pod| pod.node.as_str()).collect();
    let all = cluster.nodes().await.map_err(StepError::from)?;
    let address = |node: &NodeInfo| {
        node.addresses.iter().find(|text| text.parse::<std::net::IpAddr>().is_ok()).cloned()
    };
    let found: Vec<_> = all
        .into_iter()
        .filter(|node| used.contains(node.name.as_str()))
        .filter_map(|node| address(&node).map(|address| (node, address)))
        .collect();
    if found.is_empty() {
        return Err(StepError::trouble("no node that a workload runs on has an address"));
    }
    Ok(found)
}

/// A port that hardly anybody else uses: below those of node ports and of outgoing connections, another for each
/// scenario.
fn port(world: &World) -> u16 {
    20_000 + u16::try_from(world.scenario().seed() % 5_000).unwrap_or_default()
}

/// Lets pods into the namespace of a control tenant that only the platform may run.
async fn admit_anything(world: &World, control: &Tenant) -> Result<(), StepError> {
    let cluster = world.service::<Cluster>()?;
    let patch = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
    let patched = Api::<Namespace>::all(cluster.client())
        .patch(control.namespace(), &PatchParams::default(), &Patch::Merge(patch))
        .await;
    let verdict = verdict_of(&patched, None);
    if verdict.kind() == VerdictKind::AdmissionDenied {
        let message = format!("the cluster lets nobody run such pods, not even the platform: {verdict}");
        return Err(StepError::capability(message));
    }
    patched
        .map(drop)
        .map_err(|error| cluster.error(format!("label namespace {}", control.namespace()), error).into())
}

async fn doors(world: &mut World, edit: impl Fn(&mut Pod, u16)) -> Result<(), StepError> {
    let control = tenants::control(world)?;
    admit_anything(world, &control).await?;
    let port = port(world);
    let nodes = nodes(world, &control).await?;
    let started = nodes.iter().enumerate().map(|(index, (node, _))| {
        let (world, control, edit) = (&*world, &control, &edit);
        async move {
            let called = format!("door-{}", index + 1);
            agents::stray_with(world, control, &called, port, |pod| {
                if let Some(spec) = &mut pod.spec {
                    let hostname = ("kubernetes.io/hostname".to_owned(), node.hostname.clone());
                    spec.node_selector = Some([hostname].into());
                }
                edit(pod, port);
            })
            .await
        }
    });
    let pods = futures::future::try_join_all(started).await?;
    let doors =
        pods.into_iter().zip(nodes).map(|(pod, (node, address))| Door { pod, node, address }).collect();
    world.slots.insert(Doors(doors));
    Ok(())
}

#[given("a pod of the platform that shares the network of each node")]
async fn in_node_network(world: &mut World) -> StepResult {
    let edit = |pod: &mut Pod, _| {
        if let Some(spec) = &mut pod.spec {
            spec.host_network = Some(true);
        }
    };
    Ok(doors(world, edit).await?)
}

#[given("a pod of the platform that answers at a port of each node")]
async fn at_node_port(world: &mut World) -> StepResult {
    let edit = |pod: &mut Pod, port: u16| {
        let containers = pod.spec.iter_mut().flat_map(|spec| &mut spec.containers);
        for open in containers.flat_map(|container| container.ports.iter_mut().flatten()) {
            open.host_port = Some(port.into());
        }
    };
    Ok(doors(world, edit).await?)
}

impl Door {
    /// The pod by the address of its node. What shares the network of its node answers datagrams from whichever of the
    /// node's addresses is nearest, and a client hears only the one that it asked: so it is tried over TCP alone.
    fn targets(&self) -> Vec<Target> {
        let target = |transport| Target {
            place: self.pod.place.clone(),
            by: AddressKind::Given,
            host: self.address.clone(),
            ..self.pod.target(transport)
        };
        let shares_network = self.pod.address == self.address;
        let transports: &[Transport] = if shares_network { &[Transport::Tcp] } else { &TRANSPORTS };
        transports.iter().copied().map(target).collect()
    }
}

fn doors_of(world: &World) -> Result<Vec<Door>, StepError> {
    Ok(world.slots.require::<Doors>("pods of the platform")?.0.clone())
}

fn where_they_are(world: &World, doors: &[Door]) {
    let lines = doors
        .iter()
        .map(|Door { pod, node, address }| {
            format!("{} runs on {} and answers at {address}:{}", pod.place, node.name, pod.port)
        })
        .collect();
    world.record(Evidence {
        title: "the pods of the platform".to_owned(),
        body: EvidenceBody::Text { lines },
    });
}

/// What a tenant tries at pods of the platform, by the nodes' addresses.
fn outwards(tenant: &Tenant, doors: &[Door]) -> Result<MatrixPlan, StepError> {
    let targets = doors.iter().flat_map(Door::targets).collect();
    Ok(MatrixPlan::all_pairs(paths::sources(tenant)?, targets))
}

/// The attempts of both plans at once.
fn both(one: MatrixPlan, other: MatrixPlan) -> MatrixPlan {
    let pair_of = |plan: &MatrixPlan, source: &Source, target: &Target| plan.tries(source, target);
    let sources: Vec<_> = one.sources.iter().chain(&other.sources).cloned().collect();
    let targets: Vec<_> = one.targets.iter().chain(&other.targets).cloned().collect();
    MatrixPlan::all_pairs(sources, targets)
        .keep(|source, target| pair_of(&one, source, target) || pair_of(&other, source, target))
}

#[when(r#""alpha" tries these pods, and these pods try "alpha" from other nodes"#)]
async fn try_both_ways(world: &mut World) -> StepResult {
    let (alpha, control) = (tenants::named(world, "alpha")?, tenants::control(world)?);
    let doors = doors_of(world)?;
    let nodes = placed([&alpha, &control])?;
    let node_of = |source: &Source| {
        doors.iter().find(|door| door.pod.place == source.place).map(|door| &door.node.name)
    };
    let inwards = |tenant: &Tenant, across: bool| -> Result<MatrixPlan, StepError> {
        let targets = paths::targets(tenant, &[AddressKind::PodAddress])?;
        let sources = doors.iter().map(|door| door.pod.source()).collect();
        Ok(MatrixPlan::all_pairs(sources, targets)
            .keep(|source, target| (node_of(source) != nodes.get(&target.place)) == across))
    };
    let strays: Vec<_> = doors.iter().map(|door| door.pod.pod()).collect();
    let fleet = fleet_of(world, [&alpha, &control], &strays)?;
    where_they_are(world, &doors);
    // A node reaches its own pods by the standard, or no kubelet could look after them: seen, and not judged.
    let own = fleet.run(inwards(&alpha, false)?).await;
    paths::record_as_one(world, &own, |_, _| String::new(), None);
    let (mut tried, mut twins) = (inwards(&alpha, true)?, inwards(&control, true)?);
    let nodes_promised = world.service::<LoadedPlatform>()?.platform.spec.network.addresses.nodes;
    if nodes_promised == AddressExpectation::Closed {
        tried = both(tried, outwards(&alpha, &doors)?);
        twins = both(twins, outwards(&control, &doors)?);
    }
    if tried.probes() == 0 {
        return Err(StepError::capability(
            "there is one node only, and what a node does with its own pods is not promised",
        )
        .into());
    }
    let vouches = "out of a tenant: a path is vouched for by that of the same tier of the control tenant to the same pod; \
                   into one: by that of the same pod of the platform to the same tier of the control tenant";
    Ok(between_controls(world, &fleet, tried, twins, paths::by_tiers, vouches).await?)
}

#[when(r#""alpha" tries these pods"#)]
async fn try_node_ports_of_pods(world: &mut World) -> StepResult {
    let (alpha, control) = (tenants::named(world, "alpha")?, tenants::control(world)?);
    let doors = doors_of(world)?;
    let strays: Vec<_> = doors.iter().map(|door| door.pod.pod()).collect();
    let fleet = fleet_of(world, [&alpha, &control], &strays)?;
    where_they_are(world, &doors);
    let (tried, twins) = (outwards(&alpha, &doors)?, outwards(&control, &doors)?);
    let vouches = "a path is vouched for by that of the same tier of the control tenant, on the same node, to the same pod";
    Ok(between_controls(world, &fleet, tried, twins, paths::by_tiers, vouches).await?)
}

fn service(name: &str, selector: Option<Value>) -> Value {
    let ports: Vec<_> = ["TCP", "UDP"]
        .iter()
        .map(|protocol| json!({"name": protocol.to_lowercase(), "port": BEHIND, "protocol": protocol}))
        .collect();
    json!({
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": ports, "selector": selector},
    })
}

/// Makes a service with a node port in a namespace of the run that is not a tenant's, and reads what it was given.
async fn open_node_port(world: &World, control: &Tenant, object: Value) -> Result<Service, StepError> {
    let cluster = world.service::<Cluster>()?;
    let mut service: Service = typed(object)?;
    control.ownership().of_scenario(world.scenario().id().0.clone()).stamp(&mut service.metadata);
    let namespace = control.namespace();
    Api::<Service>::namespaced(cluster.client(), namespace)
        .create(&PostParams::default(), &service)
        .await
        .map_err(|error| {
            cluster.error(format!("create a service with a node port in {namespace}"), error).into()
        })
}

/// Puts a pod behind a service that does not select it.
async fn put_behind(world: &World, control: &Tenant, name: &str, pod: &DeployedPod) -> Result<(), StepError> {
    let cluster = world.service::<Cluster>()?;
    let family = if pod.address.is_ipv4() { "IPv4" } else { "IPv6" };
    let mut slice: EndpointSlice = typed(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": family,
        "endpoints": [{"addresses": [pod.address.to_string()], "conditions": {"ready": true}}],
        "ports": [{"name": "tcp", "port": BEHIND, "protocol": "TCP"}, {"name": "udp", "port": BEHIND, "protocol": "UDP"}],
    }))?;
    control.ownership().of_scenario(world.scenario().id().0.clone()).stamp(&mut slice.metadata);
    let namespace = control.namespace();
    Api::<EndpointSlice>::namespaced(cluster.client(), namespace)
        .create(&PostParams::default(), &slice)
        .await
        .map(drop)
        .map_err(|error| cluster.error(format!("create an endpoint slice in {namespace}"), error).into())
}

/// Every way to what is behind a service: by the port of each node, and by its own address.
fn ways(owner: &str, service: &Service, nodes: &[(NodeInfo, String)], expect: &str) -> Vec<Target> {
    let spec = service.spec.clone().unwrap_or_default();
    let target = |place: String, by, transport, host: &str, port: i32| Target {
        place,
        by,
        transport,
        host: host.to_owned(),
        port: u16::try_from(port).unwrap_or_default(),
        expect: vec![expect.to_owned()],
        question: None,
    };
    let mut targets = Vec::new();
    for port in spec.ports.iter().flatten() {
        let transport = if port.protocol.as_deref() == Some("UDP") { Transport::Udp } else { Transport::Tcp };
        if let Some(node_port) = port.node_port {
            targets.extend(nodes.iter().map(|(node, address)| {
                let place = format!("{owner}/node port of {}", node.name);
                target(place, AddressKind::Given, transport, address, node_port)
            }));
        }
        if let Some(address) = &spec.cluster_ip {
            let place = format!("{owner}/service");
            targets.push(target(place, AddressKind::ServiceAddress, transport, address, port.port));
        }
    }
    targets
}

#[given(r#"the platform opens a node port in front of a workload of "bravo" and in front of one of a control tenant"#)]
async fn node_ports(world: &mut World) -> StepResult {
    let (bravo, controls) = (tenants::named(world, "bravo")?, tenants::controls(world)?);
    let [_, behind] = controls.as_slice() else {
        return Err(StepError::trouble("node ports need two control tenants").into());
    };
    let nodes = nodes(world, behind).await?;
    let db = |tenant: &Tenant| -> Result<DeployedPod, StepError> {
        let missing = || StepError::trouble(format!("no db runs in {}", tenant.name()));
        paths::workload(tenant)?.pod(Tier::Db).cloned().ok_or_else(missing)
    };
    let (own, foreign) = (db(behind)?, db(&bravo)?);
    let seed = world.scenario().seed() & 0xffff;
    let (to_control, to_subject) = (format!("door-{seed:04x}"), format!("door-foreign-{seed:04x}"));
    let selector = json!({crate::tenant::TIER_LABEL: Tier::Db.name()});
    // In this order: a proxy that leads to the control tenant has heard of what was made before, so that the way to the
    // subject is known to be laid by every node by which the control is OPEN.
    let subject = open_node_port(world, behind, service(&to_subject, None)).await?;
    put_behind(world, behind, &to_subject, &foreign).await?;
    let control = open_node_port(world, behind, service(&to_control, Some(selector))).await?;
    let expect = |pod: &DeployedPod| format!("{}/{}", pod.namespace, pod.name);
    world.slots.insert(NodePorts {
        control: ways(behind.name(), &control, &nodes, &expect(&own)),
        subject: ways(bravo.name(), &subject, &nodes, &expect(&foreign)),
    });
    Ok(())
}

#[when(r#""alpha" and the control tenants try these by every node and by the service's own address"#)]
async fn try_node_ports(world: &mut World) -> StepResult {
    let (alpha, bravo, controls) =
        (tenants::named(world, "alpha")?, tenants::named(world, "bravo")?, tenants::controls(world)?);
    let caller = tenants::control(world)?;
    let NodePorts { control, subject } = world.slots.require::<NodePorts>("node ports")?;
    let fleet = fleet_of(world, [&alpha, &bravo].into_iter().chain(&controls), &[])?;
    let into = MatrixPlan::all_pairs(paths::sources(&caller)?, subject.clone());
    let out =
        MatrixPlan::all_pairs(paths::sources(&alpha)?, control.iter().chain(subject).cloned().collect());
    let twins = MatrixPlan::all_pairs(paths::sources(&caller)?, control.clone());
    // The numbers of the ports are the cluster's to give, and so no part of what makes two ways alike.
    let key = |source: &Source, target: &Target| {
        let way = target.place.rsplit('/').next().unwrap_or_default();
        let tier = source.place.rsplit('/').next().unwrap_or_default();
        format!("a pod by the {way} over {}, from {tier}", transport_word(target.transport))
    };
    let vouches = "a way is vouched for by that of the same tier of a control tenant, by the same node, to the pod of the \
                   other control tenant";
    Ok(between_controls(world, &fleet, both(into, out), twins, key, vouches).await?)
}
