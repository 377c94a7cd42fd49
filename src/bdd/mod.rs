//! The edges of cucumber (parser, runner, writer, command line, outcome channel), the world and the steps.

mod context;
mod error;
mod polarity;
mod slots;
pub mod steps;
mod world;

pub use context::{RunContext, ScenarioContext};
pub use error::{Raised, StepError, StepResult};
pub use polarity::{Polarity, StepPolarity};
pub use slots::{Services, Slots};
pub use world::World;
