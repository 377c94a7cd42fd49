//! The state of one scenario.

use super::{RunContext, ScenarioContext, Slots, StepError};
use crate::engine::Evidence;

/// What the steps of one scenario share. Made anew for each scenario, thrown away after it.
#[derive(Debug, cucumber::World)]
#[world(init = Self::blank)]
pub struct World {
    scenario: ScenarioContext,
    /// State by type: each domain of steps keeps a struct of its own here.
    pub slots: Slots,
}

impl World {
    fn blank() -> Self {
        Self { scenario: ScenarioContext::detached(), slots: Slots::default() }
    }

    /// Enters a scenario; the runner does so before the first step.
    pub(crate) fn enter(&mut self, scenario: ScenarioContext) {
        self.scenario = scenario;
    }

    /// The scenario.
    pub const fn scenario(&self) -> &ScenarioContext {
        &self.scenario
    }

    /// The run: its id, seed, events, cancel token and services.
    pub fn run(&self) -> &RunContext {
        self.scenario.run()
    }

    /// A service of the run by its type (profile, cluster, tenant pool).
    pub fn service<T: std::any::Any + Send + Sync>(&self) -> Result<std::sync::Arc<T>, StepError> {
        self.run().service()
    }

    /// Attaches evidence to the step that is running.
    pub fn record(&self, evidence: Evidence) {
        self.scenario.record(evidence);
    }
}
