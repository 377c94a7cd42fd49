//! Plan, scheduling, deadlines, outcomes and events. Knows neither Kubernetes nor cucumber.

mod event;
mod outcome;
mod plan;
mod schedule;
mod sink;
mod verdict;
mod waiting;
mod waiver;

pub use event::{
    ComparisonRow, ControlPhase, Event, Evidence, EvidenceBody, Level, StepStatus, TenantRole, micros,
};
pub use outcome::{Outcome, Reason, ReasonKind, Tally};
pub use plan::{Plan, PlannedScenario, PlannedStep, Risk, ScenarioId, Selection};
pub use schedule::Schedule;
pub use sink::{ConsumerFailure, Dispatcher, EventConsumer, EventSink, Recorder, Stamped};
pub use verdict::{RunEnd, Signal, exit};
pub use waiting::{Notes, Waiting, waiting_for};
pub use waiver::Waivers;
