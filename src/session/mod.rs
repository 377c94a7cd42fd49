//! One run from end to end: plan, stage, scenarios, journal, reports, exit code.

mod books;
mod cluster_stage;
mod decide;
mod finish;
mod latest;
mod order;
mod record;
mod run;
mod signals;
mod stage;

pub use cluster_stage::{ClusterStage, see};
pub use latest::{LATEST, point_latest};
pub use order::{Ended, Keep, Leftover, RunOrder, SessionError};
pub use record::{Closing, Recording};
pub use run::{run, run_journal_only};
pub use signals::Signals;
pub use stage::{Detected, Opened, Stage, StageRun};

#[cfg(test)]
mod tests;
