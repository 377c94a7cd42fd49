//! The real stage: a cluster and the tenants of the run.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{task::JoinHandle, time::Instant};

use super::{Detected, Leftover, Opened, Stage, StageRun};
use crate::{
    bdd::Services,
    cluster::{self, CapabilityCheck, Cluster, ClusterError, Ownership, PeerClusters, SweepSelection},
    engine::{Event, EventSink, Evidence, Reason},
    probe::SharedFleet,
    profile::{LoadedPlatform, Platform},
    tenant::{AgentImage, Inspector, PoolSettings, TenantPool},
};

/// How long the API server may be away until the run counts it as lost: longer than a restart of it.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_secs(3);

/// A cluster and the tenants of the run.
#[derive(Debug)]
pub struct ClusterStage {
    cluster: Cluster,
    platform: Arc<LoadedPlatform>,
    image: AgentImage,
    peers: PeerClusters,
    inspector: Option<Inspector>,
    /// What the run was given to go with its report.
    given: Vec<Evidence>,
    /// Whether capabilities are looked for even where no scenario depends on the answer.
    looks_at_all: bool,
    /// Set while the stage is open.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    run: StageRun,
    pool: TenantPool,
    detection: Option<JoinHandle<Vec<CapabilityCheck>>>,
}

impl ClusterStage {
    /// A stage on a cluster that has been connected to, which sends nothing yet.
    pub const fn new(cluster: Cluster, platform: Arc<LoadedPlatform>, image: AgentImage) -> Self {
        Self {
            cluster,
            platform,
            image,
            peers: PeerClusters::new(Vec::new()),
            inspector: None,
            given: Vec::new(),
            looks_at_all: true,
            open: None,
        }
    }

    /// With other clusters of the fleet.
    #[must_use]
    pub fn beside(mut self, peers: PeerClusters) -> Self {
        self.peers = peers;
        self
    }

    /// The same, where each tenant is looked at before a scenario gets it, and capabilities only where a scenario
    /// depends on them.
    #[must_use]
    pub fn inspected_by(mut self, inspector: Option<Inspector>) -> Self {
        self.inspector = inspector;
        self.looks_at_all = false;
        self
    }

    /// The same, with evidence that the run was given.
    #[must_use]
    pub fn given(mut self, evidence: Option<Evidence>) -> Self {
        self.given = evidence.into_iter().collect();
        self
    }

    /// Says what is there: server, nodes, clock.
    async fn look(&self, run: &StageRun) -> Result<Opened, ClusterError> {
        let mut versions = see(&self.cluster, &self.platform.platform, &run.events).await?;
        versions["agentImage"] = self.image.reference.clone().into();
        Ok(Opened {
            context: self.cluster.context().to_owned(),
            services: Services::default(),
            capabilities: Vec::new(),
            versions,
        })
    }

    /// Looks for every capability and tells of each. It is a task of its own, since it takes some seconds and
    /// hardly any scenario depends on its answer.
    fn detect(&self, run: &StageRun, ownership: Ownership) -> JoinHandle<Vec<CapabilityCheck>> {
        let (cluster, platform, events) =
            (self.cluster.clone(), Arc::clone(&self.platform), run.events.clone());
        tokio::spawn(async move {
            match cluster::detect(&cluster, &platform, &ownership).await {
                Ok(checks) => {
                    for check in &checks {
                        events.emit(check.event());
                    }
                    checks
                }
                Err(error) => {
                    events.warn(format!("the capabilities of the cluster could not be looked at: {error}"));
                    Vec::new()
                }
            }
        })
    }

    /// Finds everything that still carries the run's label, removes it, and says what stays.
    async fn sweep(&self, run: &StageRun, within: Duration) -> Result<Vec<Leftover>, ClusterError> {
        let selection = SweepSelection::Runs([run.id.to_string()].into());
        let found = cluster::find_leftovers(&self.cluster, &selection).await?;
        if let Some(unseen) = found.blind_spots() {
            run.events.warn(format!("looking for leftovers: {unseen}"));
        }
        if found.meant.is_empty() {
            return Ok(Vec::new());
        }
        let stays = cluster::remove_leftovers(&self.cluster, &found.meant, within).await?;
        Ok(stays
            .into_iter()
            .map(|left| Leftover {
                reference: left.reference,
                why: left.stuck.unwrap_or_else(|| "it is still there".into()),
            })
            .collect())
    }
}

/// Tells what cluster it is: server, nodes, what stands in for what, and how its clock goes. Returns the versions of what
/// was found, for the bundle.
///
/// # Errors
/// The cluster cannot be asked.
pub async fn see(
    cluster: &Cluster,
    platform: &Platform,
    events: &EventSink,
) -> Result<serde_json::Value, ClusterError> {
    let (server, nodes, skew) = futures::join!(cluster.server_info(), cluster.nodes(), cluster.clock_skew());
    let (server, nodes) = (server?, nodes?);
    // The profile is the user's; what the provider knows stands there whatever a profile leaves out.
    let mut stand_ins = cluster.provider().stand_ins();
    let listed =
        platform.spec.stand_ins.iter().filter(|it| !stand_ins.contains(it)).cloned().collect::<Vec<_>>();
    stand_ins.extend(listed);
    for planted in cluster.provider().planted().await {
        events.warn(planted.clone());
        stand_ins.push(planted);
    }
    events.emit(Event::ClusterSeen {
        provider: cluster.provider().name().to_owned(),
        context: cluster.context().to_owned(),
        server: cluster.server().to_owned(),
        server_version: server.version.clone(),
        nodes: nodes.iter().map(|node| (node.name.clone(), node.kubelet.clone())).collect(),
        stand_ins,
    });
    match skew {
        Ok(skew) => mind_skew(skew, platform, events),
        Err(error) => events.warn(format!("the clocks could not be compared: {error}")),
    }
    let kubelets: Vec<_> =
        nodes.iter().map(|node| json!({ "name": node.name, "kubelet": node.kubelet })).collect();
    Ok(json!({ "server": server.version, "serverPlatform": server.platform, "nodes": kubelets }))
}

/// Times of the cluster and ours stand side by side in the evidence, so a reader must know if they differ.
fn mind_skew(skew: cluster::ClockSkew, platform: &Platform, events: &EventSink) {
    let bound = platform.spec.bounds.clock_skew;
    let bound = bound.map_or(Duration::from_secs(5), Into::into);
    if skew.exceeds(bound) {
        let direction = if skew.ahead_ms > 0 { "ahead of" } else { "behind" };
        events.warn(format!(
            "the API server's clock is {:.1}s {direction} ours (give or take {:.1}s): compare times of the journal with \
             times of the cluster with that in mind",
            skew.ahead_ms.unsigned_abs() as f64 / 1000.0,
            skew.uncertainty_ms as f64 / 1000.0,
        ));
    }
}

impl Stage for ClusterStage {
    async fn open(&mut self, run: &StageRun) -> Result<Opened, Reason> {
        for evidence in self.given.drain(..) {
            run.events.emit(Event::EvidenceTaken { id: None, step: None, evidence });
        }
        let mut opened = self.look(run).await.map_err(Reason::from)?;
        let mut settings = PoolSettings::new(
            run.id.clone(),
            Arc::clone(&self.platform),
            self.image.clone(),
            run.events.clone(),
        );
        settings.inspector.clone_from(&self.inspector);
        let pool = TenantPool::new(self.cluster.clone(), settings);
        opened.services = Services::default()
            .with(Arc::new(self.cluster.clone()))
            .with(Arc::clone(&self.platform))
            .with(Arc::new(pool.clone()))
            .with(Arc::new(self.peers.clone()))
            .with(Arc::new(SharedFleet::default()));
        let claimed = |need: &String| {
            self.platform.platform.spec.capabilities.iter().any(|claimed| claimed.name() == need)
        };
        let all_claimed = run.needs.iter().all(claimed);
        let detection =
            (self.looks_at_all || !all_claimed).then(|| self.detect(run, pool.ownership().clone()));
        // From here on there is something to close, even if the rest of this is cut off.
        let open = self.open.insert(Open { run: run.clone(), pool, detection });
        // What the profile claims is run, whatever the cluster shows. Only what it does not claim is left out,
        // and then the reader is told what the cluster shows.
        if !all_claimed && let Some(detection) = open.detection.as_mut() {
            let checks = detection.await.unwrap_or_default();
            open.detection = None;
            opened.capabilities = checks
                .into_iter()
                .map(|check| Detected {
                    name: check.capability.name().to_owned(),
                    detected: check.detected,
                    probe: check.probe,
                })
                .collect();
        }
        Ok(opened)
    }

    async fn lost(&self) -> String {
        let mut answered = Instant::now();
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let limit = answered + LOST_AFTER;
            let why = match tokio::time::timeout_at(limit, self.cluster.server_info()).await {
                Ok(Err(
                    error @ (ClusterError::Unreachable { .. }
                    | ClusterError::Slow { .. }
                    | ClusterError::Credentials { .. }),
                )) => error.to_string(),
                // Whoever answers is there, whatever it says.
                Ok(_) => {
                    answered = Instant::now();
                    continue;
                }
                Err(_) => format!("the API server {} does not answer", self.cluster.server()),
            };
            if Instant::now() >= limit {
                return format!("{why} (for {}s)", answered.elapsed().as_secs());
            }
        }
    }

    async fn close(&mut self, deadline: Duration) -> Vec<Leftover> {
        // Not open: nothing was made.
        let Some(Open { run, pool, detection }) = &mut self.open else { return Vec::new() };
        let started = Instant::now();
        let detected = async {
            if let Some(detection) = detection
                && tokio::time::timeout(deadline, &mut *detection).await.is_err()
            {
                detection.abort();
            }
        };
        let (report, ()) = futures::join!(pool.close(deadline), detected);
        *detection = None;
        let run = run.clone();
        let mut leftovers: Vec<Leftover> =
            report.leftovers.into_iter().map(|(reference, why)| Leftover { reference, why }).collect();
        let within = deadline.saturating_sub(started.elapsed()).max(Duration::from_secs(5));
        match self.sweep(&run, within).await {
            Ok(stays) => {
                for left in stays {
                    if !leftovers.iter().any(|known| known.reference == left.reference) {
                        leftovers.push(left);
                    }
                }
            }
            Err(error) => leftovers.push(Leftover {
                reference: format!("whatever carries the label {}={}", cluster::RUN_LABEL, run.id),
                why: format!("nobody could look: {error}"),
            }),
        }
        self.open = None;
        leftovers
    }

    async fn abandon(&mut self) {
        let Some(Open { pool, detection, .. }) = self.open.take() else { return };
        if let Some(detection) = detection {
            detection.abort();
            let _ = detection.await;
        }
        pool.abandon().await;
    }
}
