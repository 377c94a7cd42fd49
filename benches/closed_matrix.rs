//! How long an all-pairs matrix takes, open and closed, on a real cluster: 9 pods x 9 x 2 ports over TCP and UDP, 324
//! probes, where nothing else is asked for.
//!
//! `KUBECONFIG=... cargo bench --bench closed_matrix -- [--image REFERENCE] [--tenants N] [--pods N] [--ports N]
//! [--tcp-only] [--rounds N]`. Every pod is a real one with an agent of its own. The agent's image must be on the nodes
//! (or pullable by the reference); its archive is written to the path given by `--write-image PATH` instead of running.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::{Condition, await_condition};
use kube::{Api, Client};
use plimsoll::probe::{
    AddressKind, AgentPod, Entry, Fleet, MatrixPlan, MatrixResult, Source, Target, Transport, VerdictKind,
    image,
};

#[path = "support/arguments.rs"]
mod arguments;

use arguments::{number, value};

/// What is measured.
struct Shape {
    tenants: Vec<String>,
    pods: Vec<String>,
    ports: Vec<u16>,
    transports: Vec<Transport>,
    rounds: usize,
}

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(path) = value("--write-image") {
        let image = image::agent_image()?;
        std::fs::write(&path, &image.archive)?;
        println!("{} {} bytes", image.reference, image.archive.len());
        return Ok(());
    }
    let ports = u16::try_from(number("--ports", 2)?)?;
    let shape = Shape {
        tenants: (0..number("--tenants", 3)?).map(|index| format!("bench-{index}")).collect(),
        pods: (0..number("--pods", 3)?).map(|index| format!("pod-{index}")).collect(),
        ports: (8080..8080 + ports).collect(),
        transports: if std::env::args().any(|it| it == "--tcp-only") {
            vec![Transport::Tcp]
        } else {
            vec![Transport::Tcp, Transport::Udp]
        },
        rounds: number("--rounds", 5)?,
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await?;
    let image = value("--image").unwrap_or_else(image::agent_reference);
    let result = measure(&client, &image, &shape).await;
    for tenant in &shape.tenants {
        Api::<Namespace>::all(client.clone()).delete(tenant, &DeleteParams::background()).await?;
    }
    result
}

async fn measure(client: &Client, image: &str, shape: &Shape) -> Result<()> {
    let mut fleet = Fleet::default();
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    for tenant in &shape.tenants {
        let namespace = Namespace { metadata: named(tenant), ..Namespace::default() };
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    }
    let begun = Instant::now();
    for tenant in &shape.tenants {
        for pod in &shape.pods {
            create(client, &agent(tenant, pod, image, &shape.ports), begun).await?;
        }
    }
    for tenant in &shape.tenants {
        for pod in &shape.pods {
            let ready = await_condition(pods(client, tenant), pod, Ready);
            let found = tokio::time::timeout(PATIENCE, ready).await??;
            let address = found.and_then(|it| it.status?.pod_ip).ok_or("a pod without an address")?;
            fleet.enlist(client, tenant, pod);
            let (agent, place) = (format!("{tenant}/{pod}"), format!("{tenant}/{pod}"));
            for &transport in &shape.transports {
                for &port in &shape.ports {
                    targets.push(Target {
                        place: place.clone(),
                        by: AddressKind::PodAddress,
                        transport,
                        host: address.clone(),
                        port,
                        expect: vec![agent.clone()],
                        question: None,
                    });
                }
            }
            sources.push(Source { agent, place });
        }
    }
    println!("{} pods ready          {:>7.3} s", sources.len(), begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    fleet
        .open()
        .await
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    println!("{} streams open        {:>7.3} s", sources.len(), begun.elapsed().as_secs_f64());
    let plan = MatrixPlan::all_pairs(sources, targets);
    for _ in 0..shape.rounds {
        report("open matrix", &fleet.run(plan.clone()).await, |_| true)?;
    }
    for tenant in &shape.tenants {
        let policy = NetworkPolicy {
            metadata: named("deny"),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(LabelSelector::default()),
                policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
                ..NetworkPolicySpec::default()
            }),
        };
        Api::namespaced(client.clone(), tenant).create(&PostParams::default(), &policy).await?;
    }
    let closed = |result: &MatrixResult| {
        result
            .select(|source, target| source.place != target.place)
            .all(|it| it.cell.verdict.kind() != VerdictKind::Open)
    };
    let begun = Instant::now();
    while !closed(&fleet.run(plan.clone()).await) {
        if begun.elapsed() > PATIENCE {
            return Err("the policies do not take effect: is there a network policy controller?".into());
        }
    }
    for _ in 0..shape.rounds {
        report("closed matrix", &fleet.run(plan.clone()).await, |it| it.source.place == it.target.place)?;
    }
    fleet.close().await;
    Ok(())
}

/// How long the cluster may take for anything: a hundred pods at a time are many for two small nodes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Creates a pod. A new namespace refuses pods until its service account is there.
async fn create(client: &Client, pod: &Pod, begun: Instant) -> Result<()> {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    loop {
        match pods(client, &namespace).create(&PostParams::default(), pod).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.is_forbidden() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Of so many probes one may be wrong, with a hundred pods on two cores: fast and wrong is no figure.
const WRONG_AT_MOST: usize = 1_000;

/// Tells how long a round took, and refuses it if what it saw is not what is there.
fn report(what: &str, result: &MatrixResult, is_open: impl Fn(&Entry<'_>) -> bool) -> Result<()> {
    let tally: Vec<_> = result.tally().iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let took = result.span().length().as_secs_f64();
    println!("{what:<14} {:>4} x {took:>7.3} s  {}", result.probes(), tally.join(", "));
    for entry in result.iter().filter(|entry| entry.cell.verdict.kind().is_unclear()).take(3) {
        println!("    {}: {}", entry.attempt(), entry.cell.verdict);
    }
    let wrong =
        result.iter().filter(|it| (it.cell.verdict.kind() == VerdictKind::Open) != is_open(it)).count();
    if wrong * WRONG_AT_MOST > result.probes() {
        return Err(format!("{what}: {wrong} of {} probes saw what is not there", result.probes()).into());
    }
    Ok(())
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

fn pods(client: &Client, namespace: &str) -> Api<Pod> {
    Api::namespaced(client.clone(), namespace)
}

fn agent(namespace: &str, name: &str, image: &str, ports: &[u16]) -> Pod {
    AgentPod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        tenant: namespace.to_owned(),
        image: image.to_owned(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        labels: BTreeMap::from([("pod".to_owned(), name.to_owned())]),
        tcp: ports.to_vec(),
        udp: ports.to_vec(),
        ..AgentPod::default()
    }
    .pod()
}

struct Ready;

impl Condition<Pod> for Ready {
    fn matches_object(&self, pod: Option<&Pod>) -> bool {
        pod.is_some_and(plimsoll::cluster::pod_is_ready)
    }
}
