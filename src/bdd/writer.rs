//! Cucumber's writer edge: turns its events into ours and settles each scenario's outcome.

use std::{collections::HashMap, rc::Rc, sync::Arc, time::Instant};

use cucumber::{Event, Writer, cli, event, gherkin, parser};

use super::{PlanIndex, RunContext, World};
use crate::engine::{self, Outcome, Reason, ReasonKind, StepStatus, Waivers, micros};

/// Emits our events for cucumber's, and keeps every outcome.
#[derive(Debug)]
pub struct EventWriter {
    run: Arc<RunContext>,
    plan: Rc<PlanIndex>,
    waivers: Waivers,
    in_flight: HashMap<usize, InFlight>,
    outcomes: HashMap<usize, Outcome>,
    troubles: Vec<String>,
}

#[derive(Debug)]
struct InFlight {
    started: Instant,
    step_started: Instant,
    next_step: usize,
    reason: Option<Reason>,
}

/// What came of the scenarios that were run.
#[derive(Debug)]
pub struct Results {
    /// The outcome of each scenario that ended, by its index in the plan that was run.
    pub outcomes: HashMap<usize, Outcome>,
    /// What went wrong outside any scenario: each makes the run inconclusive.
    pub troubles: Vec<String>,
    /// The waivers, knowing now which were used.
    pub waivers: Waivers,
}

impl EventWriter {
    /// A writer into the run's events.
    pub fn new(run: Arc<RunContext>, plan: Rc<PlanIndex>, waivers: Waivers) -> Self {
        Self { run, plan, waivers, in_flight: HashMap::new(), outcomes: HashMap::new(), troubles: Vec::new() }
    }

    /// What came of it.
    pub fn into_results(self) -> Results {
        Results { outcomes: self.outcomes, troubles: self.troubles, waivers: self.waivers }
    }

    fn scenario_event(
        &mut self,
        feature: &gherkin::Feature,
        scenario: &gherkin::Scenario,
        event: event::Scenario<World>,
    ) {
        let Some(index) = self.plan.find(feature, scenario) else {
            self.troubles.push(format!("scenario `{}` ran but was not planned", scenario.name));
            return;
        };
        match event {
            event::Scenario::Started => self.scenario_started(index),
            event::Scenario::Background(_, event) | event::Scenario::Step(_, event) => {
                self.step_event(index, event);
            }
            event::Scenario::Hook(_, event::Hook::Failed(_, payload)) => {
                let reason = reason_of(payload.as_ref());
                if let Some(flight) = self.in_flight.get_mut(&index) {
                    flight.reason = Some(reason);
                }
            }
            event::Scenario::Hook(..) | event::Scenario::Log(_) => {}
            event::Scenario::Finished => self.scenario_finished(index),
        }
    }

    fn scenario_started(&mut self, index: usize) {
        let Some(planned) = self.plan.get(index) else { return };
        let now = Instant::now();
        let flight = InFlight { started: now, step_started: now, next_step: 0, reason: None };
        self.in_flight.insert(index, flight);
        self.run.events.emit(engine::Event::ScenarioStarted { id: planned.id.clone() });
    }

    fn step_event(&mut self, index: usize, event: event::Step<World>) {
        let (Some(planned), Some(flight)) = (self.plan.get(index), self.in_flight.get_mut(&index)) else {
            return;
        };
        let text = |step: usize| planned.steps.get(step).map_or("", |step| step.text.as_str());
        let reason = match event {
            event::Step::Started => {
                flight.step_started = Instant::now();
                return;
            }
            event::Step::Passed(..) => None,
            event::Step::Skipped | event::Step::Failed(.., event::StepError::NotFound) => {
                Some(undefined(text(flight.next_step)))
            }
            event::Step::Failed(.., event::StepError::AmbiguousMatch(error)) => {
                let mut reason = Reason::new(
                    ReasonKind::Trouble,
                    format!("more than one step definition fits `{}`", text(flight.next_step)),
                );
                reason.details = error
                    .possible_matches
                    .iter()
                    .map(|(regex, place)| {
                        place.map_or_else(|| regex.to_string(), |place| format!("{regex} at {place}"))
                    })
                    .collect();
                Some(reason)
            }
            event::Step::Failed(.., event::StepError::Panic(payload)) => Some(reason_of(payload.as_ref())),
        };
        let status = if reason.is_some() { StepStatus::Stopped } else { StepStatus::Passed };
        self.run.events.emit(engine::Event::StepFinished {
            id: planned.id.clone(),
            step: flight.next_step,
            status,
            took_us: micros(flight.step_started.elapsed()),
            reason: reason.clone(),
        });
        flight.next_step += 1;
        if reason.is_some() {
            flight.reason = reason;
        }
    }

    fn scenario_finished(&mut self, index: usize) {
        let (Some(planned), Some(flight)) = (self.plan.get(index), self.in_flight.remove(&index)) else {
            return;
        };
        let InFlight { started, next_step, reason, .. } = flight;
        for step in next_step..planned.steps.len() {
            self.run.events.emit(engine::Event::StepFinished {
                id: planned.id.clone(),
                step,
                status: StepStatus::NotReached,
                took_us: 0,
                reason: None,
            });
        }
        // A scenario that passes must have run every step: anything else would be a silent skip.
        let reason = reason.or_else(|| {
            (next_step < planned.steps.len() || planned.steps.is_empty()).then(|| {
                Reason::new(
                    ReasonKind::Trouble,
                    format!("only {next_step} of {} steps ran", planned.steps.len()),
                )
            })
        });
        let reason = reason.map(|reason| self.waivers.apply(planned, reason));
        let outcome = reason.as_ref().map_or(Outcome::Passed, Reason::outcome);
        self.outcomes.insert(index, outcome);
        self.run.events.emit(engine::Event::ScenarioFinished {
            id: planned.id.clone(),
            outcome,
            reason,
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}

impl Writer<World> for EventWriter {
    type Cli = cli::Empty;

    async fn handle_event(&mut self, event: parser::Result<Event<event::Cucumber<World>>>, _: &cli::Empty) {
        match event.map(Event::into_inner) {
            Err(error) => self.troubles.push(error.to_string()),
            Ok(event::Cucumber::Feature(feature, event)) => match event {
                event::Feature::Scenario(scenario, event)
                | event::Feature::Rule(_, event::Rule::Scenario(scenario, event)) => {
                    self.scenario_event(&feature, &scenario, event.event);
                }
                event::Feature::Started | event::Feature::Finished | event::Feature::Rule(..) => {}
            },
            Ok(
                event::Cucumber::Started
                | event::Cucumber::ParsingFinished { .. }
                | event::Cucumber::Finished,
            ) => {}
        }
    }
}

/// Events of scenarios that run side by side may interleave: each of ours names its scenario.
impl cucumber::writer::Normalized for EventWriter {}

fn undefined(text: &str) -> Reason {
    let mut reason = Reason::new(ReasonKind::Trouble, format!("no step definition fits `{text}`"));
    reason.hint = Some("`plimsoll lint` names the nearest one".into());
    reason
}

/// The reason that our runner put into cucumber's event.
fn reason_of(payload: &(dyn std::any::Any + Send)) -> Reason {
    payload
        .downcast_ref::<Reason>()
        .cloned()
        .unwrap_or_else(|| Reason::new(ReasonKind::Trouble, "the step ended without a reason"))
}
