//! What a step can reach: the run that it is part of, and its scenario.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Services, StepError};
use crate::engine::{Event, EventSink, Evidence, PlannedScenario, ScenarioId};

/// One run: shared by all its scenarios.
#[derive(Debug)]
pub struct RunContext {
    /// Short and unique; in the label of every object.
    pub run_id: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// Where events go.
    pub events: EventSink,
    /// Cancelled when the run is to end quickly.
    pub cancel: CancellationToken,
    /// Profile, cluster, tenant pool and the like, by type.
    pub services: Services,
}

impl RunContext {
    /// A run of nothing, with nothing to reach: what a world has before its scenario starts.
    pub fn detached() -> Self {
        Self {
            run_id: String::new(),
            seed: 0,
            events: EventSink::discard(),
            cancel: CancellationToken::new(),
            services: Services::default(),
        }
    }

    /// A service of the run by its type, or trouble that names it.
    pub fn service<T: std::any::Any + Send + Sync>(&self) -> Result<Arc<T>, StepError> {
        self.services.get()
    }
}

/// One scenario of a run. Cheap to clone; clones share the position.
#[derive(Clone, Debug)]
pub struct ScenarioContext {
    run: Arc<RunContext>,
    id: ScenarioId,
    deadline: Instant,
    step: Arc<AtomicUsize>,
}

impl ScenarioContext {
    /// A scenario that starts now.
    pub fn new(run: Arc<RunContext>, planned: &PlannedScenario) -> Self {
        let deadline = Instant::now() + Duration::from_millis(planned.deadline_ms);
        Self { run, id: planned.id.clone(), deadline, step: Arc::default() }
    }

    /// A scenario outside any run.
    pub fn detached() -> Self {
        Self {
            run: Arc::new(RunContext::detached()),
            id: ScenarioId(String::new()),
            deadline: Instant::now(),
            step: Arc::default(),
        }
    }

    /// The run.
    pub fn run(&self) -> &Arc<RunContext> {
        &self.run
    }

    /// The stable name of the scenario.
    pub const fn id(&self) -> &ScenarioId {
        &self.id
    }

    /// When the scenario must be over. The runner sees to it; a step needs this only to pass it on.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What is left until the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// A seed of the scenario's own: the same for the same run seed, whatever runs beside it.
    pub fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.run.seed, &self.id.0).hash(&mut hasher);
        hasher.finish()
    }

    /// Attaches evidence to the step that is running.
    pub fn record(&self, evidence: Evidence) {
        self.run.events.emit(Event::EvidenceTaken {
            id: Some(self.id.clone()),
            step: Some(self.step.load(Ordering::Relaxed)),
            evidence,
        });
    }

    /// Moves on to a step.
    pub(crate) fn at_step(&self, index: usize) {
        self.step.store(index, Ordering::Relaxed);
    }
}
