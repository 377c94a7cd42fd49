//! The edges of cucumber (parser, runner, writer, command line, outcome channel), the world and the steps.

mod book;
mod context;
mod error;
mod index;
mod panics;
mod parser;
mod polarity;
mod run;
mod runner;
mod slots;
pub mod steps;
mod world;
mod writer;

pub use book::{Definition, StepBook};
pub use context::{RunContext, ScenarioContext};
pub use error::{Raised, StepError, StepResult};
pub use index::PlanIndex;
pub use polarity::{Polarity, StepPolarity};
pub use run::{run_scenarios, step_definitions};
pub use slots::{Services, Slots};
pub use world::World;
pub use writer::Results;

#[cfg(test)]
mod tests;
