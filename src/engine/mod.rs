//! Plan, scheduling, deadlines, outcomes and events. Knows neither Kubernetes nor cucumber.

mod event;
mod outcome;
mod plan;
mod sink;
mod waiting;

pub use event::{ComparisonRow, ControlPhase, Event, Evidence, EvidenceBody, Level, StepStatus, TenantRole};
pub use outcome::{Outcome, Reason, ReasonKind, Tally};
pub use plan::{Plan, PlannedScenario, PlannedStep, Risk, ScenarioId, Selection};
pub use sink::{ConsumerFailure, Dispatcher, EventConsumer, EventSink, Recorder, Stamped};
pub use waiting::{Notes, Waiting, waiting_for};
