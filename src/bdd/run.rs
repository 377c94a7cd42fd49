//! Puts the edges together.

use std::{rc::Rc, sync::Arc};

use cucumber::{Cucumber, cli, gherkin, step};

use super::{
    PlanIndex, RunContext, World,
    parser::PlannedFeatures,
    runner::ScenarioRunner,
    writer::{EventWriter, Results},
};
use crate::engine::{PlannedScenario, Waivers};

/// Every step definition of the program.
pub fn step_definitions() -> step::Collection<World> {
    <World as cucumber::World>::collection()
}

/// Runs `scenarios`, whose features are `features`, with at most `concurrency` at the same time. Returns when
/// all have ended or, once the run is cancelled, those that had started.
pub async fn run_scenarios(
    run: Arc<RunContext>,
    scenarios: Vec<PlannedScenario>,
    features: Vec<gherkin::Feature>,
    steps: step::Collection<World>,
    concurrency: usize,
    waivers: Waivers,
) -> Results {
    let plan = Rc::new(PlanIndex::new(scenarios));
    let runner = ScenarioRunner::new(Arc::clone(&run), Rc::clone(&plan), steps, concurrency);
    let writer = EventWriter::new(run, plan, waivers);
    // Cucumber would otherwise parse our command line as its own.
    let options = cli::Opts::<_, _, _, cli::Empty> {
        re_filter: None,
        tags_filter: None,
        parser: cli::Empty,
        runner: cli::Empty,
        writer: cli::Empty,
        custom: cli::Empty,
    };
    Cucumber::<World, _, _, _, _, cli::Empty>::custom(PlannedFeatures, runner, writer)
        .with_cli(options)
        .run(features)
        .await
        .into_results()
}
