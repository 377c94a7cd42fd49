//! The edges of cucumber, with toy features and toy steps, in process.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cucumber::{given, then, when};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    catalog::{Catalog, PlanRequest, Requirements, Source},
    engine::{
        Dispatcher, Event, Evidence, EvidenceBody, Outcome, Plan, Reason, ReasonKind, Recorder, Selection,
        StepStatus, Tally, Waivers, waiting_for,
    },
};

#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[given("toy: nothing")]
#[when("toy: nothing")]
#[then("toy: nothing")]
async fn nothing(_: &mut World) {}

#[then("toy: a promise is broken")]
async fn broken(_: &mut World) -> StepResult {
    let error = StepError::requirement("expected DROPPED from alpha/web, saw OPEN")
        .details(["alpha/web -> bravo/db"])
        .hint("look at the policies of bravo");
    Err(error.into())
}

#[then("toy: the control was shut")]
async fn no_control(_: &mut World) -> StepResult {
    Err(StepError::no_control("the control path was DROPPED").into())
}

#[when("toy: it panics")]
async fn panics(_: &mut World) {
    panic!("a defect of {}", "the step");
}

#[when("toy: it hangs")]
async fn hangs(world: &mut World) {
    let waiting = waiting_for("pod alpha/web-0 to be Ready");
    waiting.saw("Pending: ErrImageNeverPull");
    if let Ok(hung) = world.service::<tokio::sync::Notify>() {
        hung.notify_one();
    }
    pending::<()>().await;
}

#[when(expr = "toy: {int} attempts are made")]
async fn attempts(world: &mut World, count: u32) {
    world.slots.insert(count);
    for attempt in 0..count {
        let body = EvidenceBody::Text { lines: vec![attempt.to_string()] };
        world.record(Evidence { title: format!("attempt {attempt}"), body });
        tokio::task::yield_now().await;
    }
}

#[then(expr = "toy: {int} are remembered")]
async fn remembered(world: &mut World, count: u32) -> StepResult {
    let made = *world.slots.require::<u32>("attempts")?;
    if made == count {
        Ok(())
    } else {
        Err(StepError::requirement(format!("expected {count}, saw {made}")).into())
    }
}

#[when("toy: it takes a while")]
async fn a_while(world: &mut World) -> StepResult {
    let gauge = world.service::<Gauge>()?;
    let now = gauge.now.fetch_add(1, Ordering::SeqCst) + 1;
    gauge.most.fetch_max(now, Ordering::SeqCst);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    gauge.now.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[when(regex = "^toy: ambig.*$")]
async fn ambiguous_one(_: &mut World) {}

#[when(regex = "^toy: ambiguous$")]
async fn ambiguous_two(_: &mut World) {}

/// What came of a feature.
struct Ran {
    plan: Plan,
    events: Vec<Event>,
    results: Results,
}

impl Ran {
    fn outcome(&self, name: &str) -> Option<(Outcome, Option<Reason>)> {
        let id = self.plan.scenarios.iter().find(|scenario| scenario.name == name)?.id.clone();
        self.events.iter().find_map(|event| match event {
            Event::ScenarioFinished { id: found, outcome, reason, .. } if *found == id => {
                Some((*outcome, reason.clone()))
            }
            _ => None,
        })
    }

    fn message(&self, name: &str) -> String {
        self.outcome(name).and_then(|(_, reason)| reason).map(|reason| reason.message).unwrap_or_default()
    }

    fn tally(&self) -> Tally {
        self.results.outcomes.values().copied().collect()
    }
}

struct Setting {
    services: Services,
    cancel: CancellationToken,
    concurrency: usize,
    deadline: Duration,
    waivers: Waivers,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            services: Services::default(),
            cancel: CancellationToken::new(),
            concurrency: 4,
            deadline: Duration::from_hours(1),
            waivers: Waivers::default(),
        }
    }
}

async fn run(feature: &str, setting: Setting) -> Ran {
    let requirements =
        Requirements::parse("- { id: NET-02, level: must, promise: apart, source: Network }").unwrap();
    let source = Source::new("features/toy.feature", "toy", feature);
    let catalog = Catalog::from_sources(requirements, vec![source], Vec::new(), Vec::new());
    let plan =
        catalog.plan(&PlanRequest { selection: Selection::default(), deadline: setting.deadline }).unwrap();
    assert!(!plan.scenarios.is_empty(), "the toy feature cannot be read");
    let recorder = Recorder::default();
    let (events, dispatcher) =
        Dispatcher::start(vec![Box::new(recorder.clone())], setting.cancel.clone()).unwrap();
    let context = Arc::new(RunContext {
        run_id: "toy".into(),
        seed: 7,
        events,
        cancel: setting.cancel,
        services: setting.services,
    });
    let results = run_scenarios(
        context,
        plan.scenarios.clone(),
        catalog.gherkin(&plan),
        step_definitions(),
        setting.concurrency,
        setting.waivers,
    )
    .await;
    assert!(dispatcher.close().is_empty());
    Ran { plan, events: recorder.events(), results }
}

const WAYS: &str = "@NET-02
Feature: Ways to end

  Background:
    Given toy: nothing

  Scenario: passes
    When toy: 2 attempts are made
    Then toy: 2 are remembered

  Scenario: fails
    When toy: nothing
    Then toy: a promise is broken
    And toy: nothing

  Scenario: fails by a check
    When toy: 2 attempts are made
    Then toy: 3 are remembered

  Scenario: has no control
    Then toy: the control was shut

  Scenario: panics
    When toy: it panics
    Then toy: nothing

  Scenario: is undefined
    When toy: nobody wrote this

  Scenario: is ambiguous
    When toy: ambiguous

  Scenario: cannot parse
    When toy: 99999999999 attempts are made

  Scenario: lacks a step before
    Then toy: 2 are remembered

  Rule: Under a rule
    Background:
      Given toy: nothing

    Scenario Outline: row <count>
      When toy: <count> attempts are made
      Then toy: 2 are remembered

      Examples:
        | count |
        | 1     |
        | 2     |
";

#[tokio::test]
async fn every_way_to_end_has_its_outcome_and_its_reason() {
    let ran = run(WAYS, Setting::default()).await;
    let seen: Vec<_> = ran
        .plan
        .scenarios
        .iter()
        .map(|scenario| {
            let (outcome, reason) = ran.outcome(&scenario.name).unwrap();
            format!("{}: {} {:?}", scenario.name, outcome.word(), reason)
        })
        .collect();
    let places = regex::Regex::new(r"tests\.rs:\d+:\d+").unwrap();
    insta::assert_snapshot!(places.replace_all(&seen.join("\n"), "tests.rs:LINE:COLUMN"));
    assert_eq!(ran.tally().total(), ran.plan.scenarios.len());
    assert!(ran.results.troubles.is_empty());
}

#[tokio::test]
async fn a_reason_arrives_whole_and_later_steps_are_not_reached() {
    let ran = run(WAYS, Setting::default()).await;
    let (outcome, reason) = ran.outcome("fails").unwrap();
    assert_eq!(outcome, Outcome::Failed);
    let reason = reason.unwrap();
    assert_eq!(reason.kind, ReasonKind::Requirement);
    assert_eq!(reason.details, ["alpha/web -> bravo/db"]);
    assert_eq!(reason.hint.as_deref(), Some("look at the policies of bravo"));
    let steps: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StepFinished { id, step, status, reason, .. } if id.0 == "toy/fails" => {
                Some((*step, *status, reason.is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        steps,
        [
            (0, StepStatus::Passed, false),
            (1, StepStatus::Passed, false),
            (2, StepStatus::Stopped, true),
            (3, StepStatus::NotReached, false)
        ]
    );
}

#[tokio::test]
async fn a_panic_names_its_place() {
    let ran = run(WAYS, Setting::default()).await;
    let message = ran.message("panics");
    assert!(message.starts_with("the step panicked at src/bdd/tests.rs:"), "{message}");
    assert!(message.ends_with(": a defect of the step"), "{message}");
}

#[tokio::test]
async fn events_keep_the_order_in_which_things_happened() {
    let ran = run(WAYS, Setting::default()).await;
    let of_one: Vec<_> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::ScenarioStarted { id } if id.0 == "toy/passes" => Some("started".to_owned()),
            Event::StepFinished { id, step, .. } if id.0 == "toy/passes" => Some(format!("step {step}")),
            Event::EvidenceTaken { id: Some(id), step, evidence } if id.0 == "toy/passes" => {
                Some(format!("{} of step {}", evidence.title, step.unwrap()))
            }
            Event::ScenarioFinished { id, .. } if id.0 == "toy/passes" => Some("finished".to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(
        of_one,
        ["started", "step 0", "attempt 0 of step 1", "attempt 1 of step 1", "step 1", "step 2", "finished"]
    );
}

const HANGS: &str = "@NET-02
Feature: Hanging

  Scenario: hangs
    When toy: it hangs
    Then toy: nothing

  Scenario: passes beside it
    Then toy: nothing

  @serial
  Scenario: comes later
    Then toy: nothing
";

#[tokio::test(start_paused = true)]
async fn a_hanging_step_ends_at_its_deadline_and_says_what_it_waited_for() {
    let ran = run(HANGS, Setting { deadline: Duration::from_secs(90), ..Setting::default() }).await;
    assert_eq!(
        ran.message("hangs"),
        "the scenario's deadline of 1m 30s passed while waiting for pod alpha/web-0 to be Ready \
         (last seen: Pending: ErrImageNeverPull)"
    );
    assert_eq!(ran.outcome("hangs").unwrap().0, Outcome::Inconclusive);
    assert_eq!(ran.outcome("passes beside it").unwrap().0, Outcome::Passed);
    assert_eq!(ran.outcome("comes later").unwrap().0, Outcome::Passed);
}

#[tokio::test]
async fn cancelling_ends_what_runs_and_starts_nothing_more() {
    let cancel = CancellationToken::new();
    let hung = Arc::new(tokio::sync::Notify::new());
    let setting = Setting {
        services: Services::default().with(Arc::clone(&hung)),
        cancel: cancel.clone(),
        ..Setting::default()
    };
    let (ran, ()) = tokio::join!(run(HANGS, setting), async {
        hung.notified().await;
        cancel.cancel();
    });
    let (outcome, reason) = ran.outcome("hangs").unwrap();
    assert_eq!(outcome, Outcome::Inconclusive);
    let reason = reason.unwrap();
    assert_eq!(reason.kind, ReasonKind::Interrupted);
    assert!(
        reason.message.starts_with("interrupted while waiting for pod alpha/web-0"),
        "{}",
        reason.message
    );
    assert_eq!(ran.outcome("comes later"), None);
}

#[tokio::test]
async fn a_waiver_turns_failed_into_waived() {
    let waiver = crate::profile::Waiver {
        requirement: Some("NET-02".into()),
        scenario: None,
        reason: "known".into(),
        owner: "team".into(),
        expires: jiff::civil::date(2030, 1, 1),
        contexts: Vec::new(),
    };
    let waivers = Waivers::new(&[waiver], "toy", jiff::civil::date(2026, 11, 23));
    let ran = run(WAYS, Setting { waivers, ..Setting::default() }).await;
    assert_eq!(ran.outcome("fails").unwrap().0, Outcome::Waived);
    assert_eq!(ran.outcome("panics").unwrap().0, Outcome::Inconclusive);
    assert!(ran.results.waivers.problems(&ran.plan.scenarios).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn scenarios_run_side_by_side_up_to_the_limit(limit in 1_usize..6, count in 1_usize..12) {
        let gauge = Arc::new(Gauge::default());
        let scenario = |index| format!("\n  Scenario: number {index}\n    When toy: it takes a while\n    Then toy: nothing\n");
        let feature = format!("@NET-02\nFeature: Many\n{}", (0..count).map(scenario).collect::<String>());
        let setting = Setting {
            services: Services::default().with(Arc::clone(&gauge)),
            concurrency: limit,
            ..Setting::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ran = runtime.block_on(run(&feature, setting));
        prop_assert_eq!(ran.tally().passed, count);
        prop_assert_eq!(gauge.most.load(Ordering::SeqCst), limit.min(count));
    }
}
