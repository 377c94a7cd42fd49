//! The agents of a scenario's pods, on streams that the whole run shares.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};

use super::api::typed;
use crate::{
    bdd::{StepError, World},
    cluster::{Cluster, wait_pods_ready},
    engine::waiting_for,
    probe::{
        AddressKind, AgentStream, Attempt, Fleet, MatrixPlan, MatrixResult, Source, Target, Transport, VerdictKind,
    },
    profile::LoadedPlatform,
    tenant::{Tenant, TenantPool, agent_pod},
};

/// The held streams of a run: an exec is opened once for each pod, however many scenarios ask its agent.
#[derive(Debug, Default)]
pub struct Streams(Mutex<Fleet>);

impl Streams {
    /// The agents of these pods (`namespace/name`), with whatever others the run has.
    fn enlist(&self, client: &kube::Client, pods: &[(String, String)]) -> Fleet {
        let mut fleet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (namespace, pod) in pods {
            fleet.enlist(client, namespace, pod);
        }
        fleet.clone()
    }
}

/// The agents of these pods, each given as namespace and name.
pub fn fleet(world: &World, pods: &[(String, String)]) -> Result<Fleet, StepError> {
    let cluster = world.service::<Cluster>()?;
    match world.service::<Streams>() {
        Ok(streams) => Ok(streams.enlist(&cluster.client(), pods)),
        // A run without shared streams has its own for each scenario: slower, and no less right.
        Err(_) => Ok(Fleet::new(pods.iter().map(|(namespace, pod)| {
            AgentStream::new(cluster.client(), namespace, pod)
        }))),
    }
}

/// A pod of one scenario, which no policy of the tenant's own names.
#[derive(Clone, Debug)]
pub struct Stray {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// What reports call it: `alpha/fresh`.
    pub place: String,
    /// Where it listens, over TCP and UDP.
    pub port: u16,
}

impl Stray {
    /// The pod, for a fleet.
    pub fn pod(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }

    /// The pod as a target, by its own address.
    pub fn target(&self, transport: Transport) -> Target {
        Target {
            place: self.place.clone(),
            by: AddressKind::PodAddress,
            transport,
            host: self.address.clone(),
            port: self.port,
            expect: vec![format!("{}/{}", self.namespace, self.name)],
            question: None,
        }
    }

    /// The pod as one who tries.
    pub fn source(&self) -> Source {
        Source { agent: format!("{}/{}", self.namespace, self.name), place: self.place.clone() }
    }
}

/// Starts a pod without labels but those that say whose it is, acting as the tenant's administrator, and waits until
/// it is Ready. Two scenarios may do so in the same tenant: the name holds a part of the scenario's own seed.
pub async fn stray(world: &World, tenant: &Tenant, called: &str, port: u16) -> Result<Stray, StepError> {
    let cluster = world.service::<Cluster>()?;
    let pool = world.service::<TenantPool>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let delivery = pool.delivery().await.map_err(StepError::from)?;
    let name = format!("{called}-{:04x}", world.scenario().seed() & 0xffff);
    let image = &pool.settings().image.reference;
    let manifest = agent_pod(&name, tenant.id(), &BTreeMap::new(), &[port], None, image, delivery);
    let mut pod: Pod = typed(manifest)?;
    if port < 1024
        && let Some(context) = pod.spec.as_mut().and_then(|spec| spec.security_context.as_mut())
    {
        // Among the sysctls that pod security deems safe: it lets a pod that is not root use low ports of its own.
        context.sysctls = Some(vec![k8s_openapi::api::core::v1::Sysctl {
            name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
            value: "0".to_owned(),
        }]);
    }
    tenant.ownership().of_scenario(world.scenario().id().0.clone()).stamp(&mut pod.metadata);
    let namespace = tenant.namespace().to_owned();
    Api::<Pod>::namespaced(tenant.admin().client.clone(), &namespace)
        .create(&PostParams::default(), &pod)
        .await
        .map_err(|error| cluster.error(format!("create pod {namespace}/{name}"), error))?;
    let within = profile.platform.spec.deadlines.pod_ready.get();
    let selector = format!("{}={}", crate::cluster::TENANT_LABEL, tenant.id());
    let waiting = waiting_for(format!("pod {namespace}/{name} to be Ready"));
    let ready =
        wait_pods_ready(&cluster, cluster.client(), &namespace, &selector, std::slice::from_ref(&name), within)
            .await
            .map_err(StepError::from)?;
    drop(waiting);
    let address = ready
        .first()
        .and_then(|pod| pod.status.as_ref()?.pod_ip.clone())
        .ok_or_else(|| StepError::trouble(format!("pod {namespace}/{name} is Ready and has no address")))?;
    Ok(Stray { place: format!("{}/{called}", tenant.name()), namespace, name, address, port })
}

/// Sets or takes away labels of a pod, acting as the tenant's administrator.
pub async fn relabel(
    tenant: &Tenant,
    stray: &Stray,
    labels: serde_json::Value,
) -> Result<(), StepError> {
    let patch = serde_json::json!({"metadata": {"labels": labels}});
    Api::<Pod>::namespaced(tenant.admin().client.clone(), &stray.namespace)
        .patch(&stray.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map_err(|error| {
            tenant.cluster().error(format!("label pod {}/{}", stray.namespace, stray.name), error)
        })?;
    Ok(())
}

/// Tries a matrix until every pair in it is open, and returns the last, complete result: services, names and policies
/// take effect a moment after they are made. What is not open by then is for the caller to judge.
pub async fn until_open(fleet: &Fleet, plan: &MatrixPlan, within: Duration) -> MatrixResult {
    let began = Instant::now();
    let waiting = waiting_for(format!("{} paths to be open", plan.probes()));
    loop {
        let result = fleet.run(plan.clone()).await;
        let shut: Vec<_> =
            result.iter().filter(|entry| entry.cell.verdict.kind() != VerdictKind::Open).collect();
        if shut.is_empty() || began.elapsed() >= within {
            return result;
        }
        if let Some(first) = shut.first() {
            let more = shut.len() - 1;
            waiting.saw(format!("{} is {} (and {more} more)", first.attempt(), first.cell.verdict));
        }
    }
}

/// Tries one path until it is as wanted so many times in a row. Returns how long it took until the first of these, or
/// the last attempt if that did not come in time.
pub async fn until(
    fleet: &Fleet,
    source: &Source,
    target: &Target,
    pace: &crate::probe::Pace,
    within: Duration,
    wanted: impl Fn(VerdictKind) -> bool,
) -> Result<Duration, Attempt> {
    const IN_A_ROW: usize = 3;
    let began = Instant::now();
    let waiting = waiting_for(format!("{} to reach {} or not", source.place, target.label()));
    let mut settled: Option<(Duration, usize)> = None;
    loop {
        let started = began.elapsed();
        let plan = MatrixPlan::all_pairs(vec![source.clone()], vec![target.clone()]).with_pace(pace.clone());
        let result = fleet.run(plan).await;
        let Some(attempt) = result.iter().next().map(|entry| entry.attempt()) else {
            return Err(Attempt::make(source.place.clone(), target.label(), async {
                crate::probe::Verdict::probe_error("nothing was tried")
            })
            .await);
        };
        waiting.saw(attempt.verdict.to_string());
        settled = match (wanted(attempt.verdict.kind()), settled) {
            (true, None) => Some((started, 1)),
            (true, Some((since, count))) => Some((since, count + 1)),
            (false, _) => None,
        };
        match settled {
            Some((since, count)) if count >= IN_A_ROW => return Ok(since),
            _ if began.elapsed() >= within => return Err(attempt),
            _ => {}
        }
    }
}
