//! The agents of a scenario's pods, on streams that the whole run shares.

use std::{
    collections::BTreeMap,
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
    engine::{TenantRole, waiting_for},
    probe::{
        AddressKind, Attempt, Fleet, MatrixPlan, MatrixResult, Pace, SharedFleet, Source, Target, Transport,
        VerdictKind, api::verdict_of,
    },
    profile::LoadedPlatform,
    tenant::{Tenant, TenantPool, agent_pod},
};

/// The agents of these pods, each given as namespace and name.
pub fn fleet(world: &World, pods: &[(String, String)]) -> Result<Fleet, StepError> {
    let cluster = world.service::<Cluster>()?;
    Ok(world.service::<SharedFleet>()?.enlist(&cluster.client(), pods))
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

/// How long admission may take to learn that a namespace has another level.
const ADMISSION_LEARNS: Duration = Duration::from_secs(3);

/// Starts a pod as [`stray_with`] does, as it is.
pub async fn stray(world: &World, tenant: &Tenant, called: &str, port: u16) -> Result<Stray, StepError> {
    stray_with(world, tenant, called, port, |_| {}).await
}

/// Starts a pod without labels but those that say whose it is, acting as the tenant's administrator, and waits until
/// it is Ready. Two scenarios may do so in the same tenant: the name holds a part of the scenario's own seed.
///
/// `edit` makes of the pod what the scenario needs.
///
/// # Errors
/// Where admission refuses such pods to the platform itself, the scenario does not apply.
pub async fn stray_with(
    world: &World,
    tenant: &Tenant,
    called: &str,
    port: u16,
    edit: impl FnOnce(&mut Pod),
) -> Result<Stray, StepError> {
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
    edit(&mut pod);
    let namespace = tenant.namespace().to_owned();
    let pods = Api::<Pod>::namespaced(tenant.admin().client.clone(), &namespace);
    let mut created = pods.create(&PostParams::default(), &pod).await;
    if tenant.role() == TenantRole::Control {
        let began = Instant::now();
        let refused = |created: &Result<Pod, kube::Error>| {
            Some(verdict_of(created, None)).filter(|verdict| verdict.kind() == VerdictKind::AdmissionDenied)
        };
        // Admission learns of the level of a namespace by a watch of its own.
        while refused(&created).is_some() && began.elapsed() < ADMISSION_LEARNS {
            tokio::time::sleep(Duration::from_millis(100)).await;
            created = pods.create(&PostParams::default(), &pod).await;
        }
        if let Some(verdict) = refused(&created) {
            let message = format!("the cluster refuses such a pod to the platform itself: {verdict}");
            return Err(StepError::capability(message));
        }
    }
    created.map_err(|error| cluster.error(format!("create pod {namespace}/{name}"), error))?;
    let within = profile.platform.spec.deadlines.pod_ready.get();
    let selector = format!("{}={}", crate::cluster::TENANT_LABEL, tenant.id());
    let waiting = waiting_for(format!("pod {namespace}/{name} to be Ready"));
    let ready = wait_pods_ready(
        &cluster,
        cluster.client(),
        &namespace,
        &selector,
        std::slice::from_ref(&name),
        within,
    )
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
pub async fn relabel(tenant: &Tenant, stray: &Stray, labels: serde_json::Value) -> Result<(), StepError> {
    let patch = serde_json::json!({"metadata": {"labels": labels}});
    Api::<Pod>::namespaced(tenant.admin().client.clone(), &stray.namespace)
        .patch(&stray.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map_err(|error| {
            tenant.cluster().error(format!("label pod {}/{}", stray.namespace, stray.name), error)
        })?;
    Ok(())
}

/// A second try takes longer: what was slow to answer on a busy machine is heard, what is closed stays closed.
pub fn patient() -> Pace {
    Pace { deadline_ms: 3_000, attempts_ms: vec![0, 500, 1_000, 2_000] }
}

/// Tries a matrix until every pair in it is open: services, names and policies take effect a moment after they are
/// made. What is not open by then is for the caller to judge.
pub async fn until_open(fleet: &Fleet, plan: &MatrixPlan, within: Duration) -> MatrixResult {
    until_settled(fleet, plan, within, "be open", |kind| kind == VerdictKind::Open).await
}

/// Tries a matrix until every pair in it can be judged: a name that could not be looked up says nothing about a path.
pub async fn until_judged(fleet: &Fleet, plan: &MatrixPlan, within: Duration) -> MatrixResult {
    until_settled(fleet, plan, within, "be judged", |kind| !kind.is_unclear()).await
}

/// Tries a matrix, and those of its pairs that are not as wanted again, until all are or the time is up.
async fn until_settled(
    fleet: &Fleet,
    plan: &MatrixPlan,
    within: Duration,
    what: &str,
    settled: impl Fn(VerdictKind) -> bool,
) -> MatrixResult {
    let began = Instant::now();
    let waiting = waiting_for(format!("{} paths to {what}", plan.probes()));
    let mut result = fleet.run(plan.clone()).await;
    loop {
        let open: Vec<_> = result.iter().filter(|entry| !settled(entry.cell.verdict.kind())).collect();
        let Some(first) = open.first() else { return result };
        if began.elapsed() >= within {
            return result;
        }
        waiting.saw(format!("{} is {} (and {} more)", first.attempt(), first.cell.verdict, open.len() - 1));
        let again: Vec<_> = open.iter().map(|entry| (entry.source.clone(), entry.target.clone())).collect();
        let rest = plan
            .clone()
            .with_pace(patient())
            .keep(|source, target| again.iter().any(|(of, to)| of == source && to == target));
        let later = fleet.run(rest).await;
        result = result.and_then(later);
    }
}

/// Tries one path until it is as wanted so many times in a row. Returns how long it took until the first of these, or
/// the last attempt if that did not come in time.
pub async fn until(
    fleet: &Fleet,
    source: &Source,
    target: &Target,
    pace: &Pace,
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
            // What began in time may still be confirmed; each further look is bounded by its own deadline.
            None if began.elapsed() >= within => return Err(attempt),
            _ => {}
        }
    }
}
