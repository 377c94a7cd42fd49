//! One run of scenarios on a platform that is broken, or sound, beside others.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::SabotageError;
use crate::bdd;
use crate::catalog::{Catalog, PlanRequest};
use crate::cluster::{Cluster, PeerClusters, RunId};
use crate::engine::{Plan, Reason, Selection, Signal};
use crate::evidence::{self, Journal};
use crate::profile::LoadedPlatform;
use crate::report::Model;
use crate::session::{self, ClusterStage, Keep, Leftover, Opened, RunOrder, Signals, Stage, StageRun};
use crate::tenant::{AgentImage, Inspector};

/// What all runs of a grade have in common.
#[derive(Debug)]
pub(super) struct Ground {
    pub cluster: Cluster,
    /// The other clusters of the fleet.
    pub peers: PeerClusters,
    pub catalog: Arc<Catalog>,
    pub image: AgentImage,
    /// The command as typed.
    pub command: Vec<String>,
    /// Scenarios at the same time, in each run.
    pub concurrency: usize,
    /// Where the journals of the runs go.
    pub runs: PathBuf,
    /// Cancelled where everything is to end.
    pub stop: CancellationToken,
}

/// One run.
#[derive(Debug)]
pub(super) struct Lane {
    pub id: RunId,
    pub platform: Arc<LoadedPlatform>,
    pub inspector: Option<Inspector>,
    pub plan: Plan,
    pub seed: u64,
}

impl Ground {
    /// The plan of some scenarios.
    pub fn plan(&self, platform: &LoadedPlatform, scenarios: &[String]) -> Result<Plan, SabotageError> {
        let selection = Selection { scenarios: scenarios.to_vec(), ..Selection::default() };
        let deadline = platform.platform.spec.deadlines.scenario.into();
        self.catalog
            .plan(&PlanRequest { selection, deadline })
            .map_err(|error| SabotageError::Plan { why: error.to_string() })
    }

    /// Runs the scenarios and reads what the journal says of them. `over` is told as soon as the last scenario has
    /// ended; the tenants are removed after that.
    pub async fn run(self: Arc<Self>, lane: Lane, over: oneshot::Sender<()>) -> Result<Model, SabotageError> {
        let runtime = tokio::runtime::Handle::current();
        // Scenarios share state that stays on one thread; each run gets a thread for itself.
        let ran = tokio::task::spawn_blocking(move || runtime.block_on(self.run_here(lane, over))).await;
        ran.map_err(|error| SabotageError::NoReport { why: format!("its thread ended: {error}") })?
    }

    async fn run_here(&self, lane: Lane, over: oneshot::Sender<()>) -> Result<Model, SabotageError> {
        let order = RunOrder {
            id: lane.id,
            command: self.command.clone(),
            platform: Arc::clone(&lane.platform),
            features: self.catalog.gherkin(&lane.plan),
            plan: lane.plan,
            steps: bdd::step_definitions(),
            seed: lane.seed,
            concurrency: self.concurrency,
            keep: Keep::Never,
            runs: self.runs.clone(),
            reports: Vec::new(),
            requirements: Vec::new(),
            live: None,
        };
        let journal = order.directory().join(Journal::FILE);
        let stage = ClusterStage::new(self.cluster.clone(), lane.platform, self.image.clone());
        let stage = stage.inspected_by(lane.inspector).beside(self.peers.clone());
        let mut stage = Watched { stage, over: Some(over) };
        let (sender, mut signals) = Signals::channel();
        let stopped = async {
            self.stop.cancelled().await;
            let _ = sender.send(Signal::Interrupt);
            // The run ends by itself now.
            std::future::pending::<()>().await;
        };
        let no_report = |why: String| SabotageError::NoReport { why };
        tokio::select! {
            ended = session::run_journal_only(order, &mut stage, &mut signals) => {
                ended.map_err(|error| no_report(error.to_string()))?;
            }
            () = stopped => {}
        }
        let journal = evidence::read(&journal).map_err(|error| no_report(error.to_string()))?;
        Ok(Model::from_journal(&journal, &[]))
    }
}

/// The real stage, which tells when the scenarios are over.
struct Watched {
    stage: ClusterStage,
    over: Option<oneshot::Sender<()>>,
}

impl Stage for Watched {
    async fn open(&mut self, run: &StageRun) -> Result<Opened, Reason> {
        self.stage.open(run).await
    }

    async fn lost(&self) -> String {
        self.stage.lost().await
    }

    async fn close(&mut self, deadline: Duration) -> Vec<Leftover> {
        if let Some(over) = self.over.take() {
            let _ = over.send(());
        }
        self.stage.close(deadline).await
    }

    async fn abandon(&mut self) {
        self.stage.abandon().await;
    }
}
