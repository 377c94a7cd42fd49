//! From a scenario as cucumber knows it to the scenario of the plan.

use std::{collections::HashMap, path::Path};

use cucumber::gherkin;

use crate::engine::PlannedScenario;

/// The plan's scenarios by file and line. The line of a row is the row's own, so both together are unique.
#[derive(Debug, Default)]
pub struct PlanIndex {
    scenarios: Vec<PlannedScenario>,
    by_place: HashMap<(String, usize), usize>,
}

impl PlanIndex {
    /// Indexes the scenarios that are to be run.
    pub fn new(scenarios: Vec<PlannedScenario>) -> Self {
        let by_place = scenarios
            .iter()
            .enumerate()
            .map(|(index, scenario)| ((scenario.file.clone(), scenario.line), index))
            .collect();
        Self { scenarios, by_place }
    }

    /// The index of a scenario in the plan.
    pub fn find(&self, feature: &gherkin::Feature, scenario: &gherkin::Scenario) -> Option<usize> {
        let file = feature.path.as_deref().and_then(Path::to_str)?;
        self.by_place.get(&(file.to_owned(), scenario.position.line)).copied()
    }

    /// A scenario by its index.
    pub fn get(&self, index: usize) -> Option<&PlannedScenario> {
        self.scenarios.get(index)
    }

    /// All scenarios, in the order of the plan.
    pub fn scenarios(&self) -> &[PlannedScenario] {
        &self.scenarios
    }
}
