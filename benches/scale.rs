//! What one more tenant costs when there are many, partly simulated.
//!
//! `cargo bench --bench scale -- --lab NAME [--tenants 1000] [--step 250]`. The tenants are real: each is onboarded the
//! lab's way, with every object of its blueprint. Stand-ins are the nodes (kwok's, which has to run: `ci/bench scale` sees
//! to it), so that the pods are objects in which nothing runs, and the agents, which are tasks of this process that answer
//! at once as an agent would. What is measured is the API server's and the harness's part, never traffic.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus, Pod, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use plimsoll::cluster;
use plimsoll::probe::{
    AddressKind, AgentPod, AgentStream, Fleet, MatrixPlan, Source, Target, Transport, VerdictKind, image,
};
use plimsoll::tenant::{TenantLease, TenantPool, TenantSpec};
use plimsoll_agent::protocol::{
    Clocks, Echo, Identity, Nonce, Outcome, PROTOCOL, Probe, Reply, Request, Seen,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/ground.rs"]
mod ground;

use arguments::number;
use ground::{Ground, memory};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The label, the taint and the host name of the nodes that are stand-ins.
const STAND_IN: &str = "plimsoll.dev/stand-in";
const NODES: usize = 10;
/// How many other tenants each new one is tried against. All of a thousand would be a million.
const OTHERS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<()> {
    let (tenants, step) = (number("--tenants", 1000)?, number("--step", 250)?);
    if step == 0 || tenants < step {
        return Err("--step takes a number of tenants up to --tenants".into());
    }
    let ground = Ground::enter(32).await?;
    let client = ground.cluster.client();
    let measured = async {
        make_nodes(&client).await?;
        nodes_are_ready(&client).await?;
        grow(&client, &ground.pool, tenants, step).await
    };
    let measured = measured.await;
    let left = ground.leave(PATIENCE).await;
    let nodes: Api<Node> = Api::all(client.clone());
    let ours = ListParams::default().labels(STAND_IN);
    nodes.delete_collection(&DeleteParams::default(), &ours).await?;
    measured?;
    left
}

/// Onboards tenants step by step, and tells what each step has cost a tenant.
async fn grow(client: &Client, pool: &TenantPool, tenants: usize, step: usize) -> Result<()> {
    let mut all: Vec<TenantLease> = Vec::new();
    let mut fleet = Fleet::default();
    println!("tenants  onboarding  pod Ready  probes  a probe     resident  a tenant");
    let mut before = memory("VmRSS");
    while all.len() < tenants {
        let count = step.min(tenants - all.len());
        let begun = Instant::now();
        let specs = (all.len()..all.len() + count).map(|index| TenantSpec::subject(format!("t{index:04}")));
        let came = pool.acquire_all(specs).await?;
        let onboarding = begun.elapsed() / u32::try_from(count)?;
        let begun = Instant::now();
        stream::iter(came.iter().map(|tenant| make_pod(client, tenant.namespace())))
            .buffer_unordered(32)
            .try_collect::<Vec<()>>()
            .await?;
        let pods = begun.elapsed() / u32::try_from(count)?;
        let first = all.len();
        all.extend(came);
        fleet.join(Fleet::new(all.iter().skip(first).map(|tenant| stand_in(tenant.namespace()))));
        let begun = Instant::now();
        let probes = try_newcomers(&fleet, &all, first).await?;
        let each = begun.elapsed() / u32::try_from(probes)?;
        let now = memory("VmRSS");
        println!(
            "{:>7}  {:>7.1} ms  {:>6.1} ms  {probes:>6}  {:>4} \u{b5}s  {:>8} kB  {:>5} kB",
            all.len(),
            onboarding.as_secs_f64() * 1000.0,
            pods.as_secs_f64() * 1000.0,
            each.as_micros(),
            now,
            now.saturating_sub(before) / u64::try_from(count)?,
        );
        before = now;
    }
    fleet.close().await;
    Ok(())
}

/// Each newcomer tries itself, which must be open, and tenants spread over all there are, which must not be.
async fn try_newcomers(fleet: &Fleet, all: &[TenantLease], first: usize) -> Result<usize> {
    let (mut probes, mut wrong) = (0, 0);
    for tenant in first..all.len() {
        let chosen = (0..=OTHERS).map(|other| (tenant + other * all.len() / (OTHERS + 1)) % all.len());
        let targets: Vec<Target> =
            chosen.filter_map(|index| Some(target(all.get(index)?.namespace()))).collect();
        let place = all.get(tenant).map(|tenant| tenant.namespace().to_owned()).unwrap_or_default();
        let source = Source { agent: format!("{place}/pod"), place };
        let result = fleet.run(MatrixPlan::all_pairs(vec![source], targets)).await;
        probes += result.probes();
        wrong += result
            .iter()
            .filter(|entry| {
                let open = entry.cell.verdict.kind() == VerdictKind::Open;
                open != (entry.source.place == entry.target.place)
            })
            .count();
    }
    if wrong == 0 { Ok(probes) } else { Err(format!("{wrong} of {probes} verdicts are wrong").into()) }
}

fn target(namespace: &str) -> Target {
    Target {
        place: namespace.to_owned(),
        by: AddressKind::PodAddress,
        transport: Transport::Tcp,
        host: namespace.to_owned(),
        port: 8080,
        expect: vec![format!("{namespace}/pod")],
        question: None,
    }
}

/// An agent that is a task of this process: it reaches its own pod and no other.
fn stand_in(namespace: &str) -> AgentStream {
    let who = Identity {
        tenant: namespace.to_owned(),
        namespace: namespace.to_owned(),
        pod: "pod".to_owned(),
        node: STAND_IN.to_owned(),
        address: "192.0.2.1".to_owned(),
    };
    AgentStream::stand_in(who.name(), move |stream| {
        let who = who.clone();
        // Its stream's end is its own.
        tokio::spawn(async move { answer(who, stream).await });
    })
}

async fn answer(who: Identity, stream: DuplexStream) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let hello = Reply::Hello { protocol: PROTOCOL, version, who: who.clone(), clocks: Clocks::default() };
    writer.write_all(&line(&hello)?).await?;
    while let Some(request) = lines.next_line().await? {
        let mut said = Vec::new();
        match serde_json::from_str::<Request>(&request)? {
            Request::Plan { id, round, probes, .. } => {
                for probe in probes {
                    let nonce = Nonce { round: round.0, index: probe.index };
                    said.extend(line(&Reply::Result { id, outcome: outcome(&who, &probe, nonce) })?);
                }
                said.extend(line(&Reply::Done { id, took_us: 1 })?);
            }
            Request::Arrivals { id, .. } => {
                let nothing =
                    Reply::Arrivals { id, arrivals: Vec::new(), half_open: Vec::new(), complete: true };
                said.extend(line(&nothing)?);
            }
            _ => {
                let why = "a stand-in does no such thing".to_owned();
                said.extend(line(&Reply::Error { id: None, why })?);
            }
        }
        writer.write_all(&said).await?;
    }
    Ok(())
}

fn outcome(who: &Identity, probe: &Probe, nonce: Nonce) -> Outcome {
    let seen = if probe.expect.contains(&who.name()) {
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 40000));
        Seen::Echo {
            echo: Box::new(Echo {
                nonce,
                who: who.clone(),
                peer,
                port: probe.port,
                headers: BTreeMap::new(),
            }),
        }
    } else {
        Seen::Silence
    };
    Outcome { index: probe.index, seen, took_us: 1, attempts: 1, ports: vec![40000], address: None }
}

fn line(reply: &Reply) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    Ok(line)
}

/// Nodes on which only kwok acts.
async fn make_nodes(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let room = [("cpu", "1000"), ("memory", "4Ti"), ("pods", "1000")];
    let room: BTreeMap<_, _> =
        room.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect();
    for index in 0..NODES {
        let node = Node {
            metadata: ObjectMeta {
                name: Some(format!("stand-in-{index}")),
                labels: Some(BTreeMap::from([(STAND_IN.to_owned(), "node".to_owned())])),
                annotations: Some(BTreeMap::from([("kwok.x-k8s.io/node".to_owned(), "fake".to_owned())])),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints: Some(vec![Taint {
                    key: STAND_IN.to_owned(),
                    effect: "NoSchedule".to_owned(),
                    ..Taint::default()
                }]),
                ..NodeSpec::default()
            }),
            status: Some(NodeStatus {
                allocatable: Some(room.clone()),
                capacity: Some(room.clone()),
                ..NodeStatus::default()
            }),
        };
        nodes.create(&PostParams::default(), &node).await?;
    }
    Ok(())
}

/// Waits until kwok says that they are Ready: if it does not run, that is said now.
async fn nodes_are_ready(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    for index in 0..NODES {
        let ready = |node: Option<&Node>| {
            let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
        };
        let name = format!("stand-in-{index}");
        tokio::time::timeout(Duration::from_secs(60), await_condition(nodes.clone(), &name, ready))
            .await
            .map_err(|_| format!("node {name} does not become Ready: is kwok running?"))??;
    }
    Ok(())
}

/// A pod of a tenant, by the tenant's own admission, Ready as far as kwok says so.
async fn make_pod(client: &Client, namespace: &str) -> Result<()> {
    let mut pod = AgentPod {
        namespace: namespace.to_owned(),
        name: "pod".to_owned(),
        tenant: namespace.to_owned(),
        image: image::agent_reference(),
        tcp: vec![8080],
        ..AgentPod::default()
    }
    .pod();
    if let Some(spec) = pod.spec.as_mut() {
        spec.node_selector = Some(BTreeMap::from([(STAND_IN.to_owned(), "node".to_owned())]));
        spec.tolerations = Some(vec![Toleration {
            key: Some(STAND_IN.to_owned()),
            operator: Some("Exists".to_owned()),
            ..Toleration::default()
        }]);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    pods.create(&PostParams::default(), &pod).await?;
    let ready = |pod: Option<&Pod>| pod.is_some_and(cluster::pod_is_ready);
    tokio::time::timeout(PATIENCE, await_condition(pods, "pod", ready)).await??;
    Ok(())
}
