//! What a run is asked to do, and what it says in the end.

use std::{path::PathBuf, time::Duration};

use cucumber::{gherkin, step};

use crate::{
    bdd::World,
    cluster::RunId,
    engine::{Outcome, Plan, Tally},
    exit::Exit,
    profile::{LoadedPlatform, Timespan},
    report::{Format, LiveReporter, RequirementInfo},
};

/// When to keep the tenants of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Remove them always.
    #[default]
    Never,
    /// Keep them where a scenario did not pass.
    Failed,
    /// Keep them always.
    Always,
}

/// Everything that a run needs to know, resolved and checked.
pub struct RunOrder {
    /// The run's id; its results lie in a directory of this name.
    pub id: RunId,
    /// The command as typed, secrets never.
    pub command: Vec<String>,
    /// The profile.
    pub platform: std::sync::Arc<LoadedPlatform>,
    /// What to run.
    pub plan: Plan,
    /// The features of the plan ([`crate::catalog::Catalog::gherkin`]).
    pub features: Vec<gherkin::Feature>,
    /// The step definitions ([`crate::bdd::step_definitions`]).
    pub steps: step::Collection<World>,
    /// Seed of all randomness.
    pub seed: u64,
    /// Scenarios at the same time.
    pub concurrency: usize,
    /// When to keep tenants.
    pub keep: Keep,
    /// Directory of all runs, known to be writable.
    pub runs: PathBuf,
    /// Further reports, beside those in the run's own directory.
    pub reports: Vec<(Format, PathBuf)>,
    /// The requirements, as reports show them.
    pub requirements: Vec<RequirementInfo>,
    /// Shows the run while it goes.
    pub live: Option<LiveReporter>,
}

impl RunOrder {
    /// How many scenarios run at the same time where nobody says.
    pub const CONCURRENCY: usize = 6;

    /// Where the results of this run lie.
    pub fn directory(&self) -> PathBuf {
        self.runs.join(self.id.as_str())
    }

    pub(super) fn run_deadline(&self) -> Timespan {
        self.platform.platform.spec.deadlines.run
    }

    pub(super) fn teardown_deadline(&self) -> Duration {
        self.platform.platform.spec.deadlines.teardown.get()
    }
}

impl std::fmt::Debug for RunOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunOrder").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Something that is still on the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// `v1/Namespace plim-x7k2-alpha`
    pub reference: String,
    /// Why it is still there.
    pub why: String,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code.
    pub exit: Exit,
    /// The directory of its results.
    pub directory: PathBuf,
    /// Scenarios by outcome.
    pub tally: Tally,
    /// What is still on the cluster; the journal has it too.
    pub leftovers: Vec<Leftover>,
    /// What went wrong with the run's own books: reports that could not be written and the like.
    pub troubles: Vec<String>,
}

impl Ended {
    /// Whether every scenario was proven.
    pub const fn all_passed(&self) -> bool {
        self.tally.of(Outcome::Passed) == self.tally.total()
    }
}

/// A run that could not begin: nothing was touched.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SessionError {
    /// Its journal could not be made.
    #[error("cannot begin the journal of the run: {0}")]
    #[diagnostic(help("name a directory that can be written with --reports-dir"))]
    Journal(#[from] crate::evidence::EvidenceError),
    /// The machine gave no thread.
    #[error("cannot start the thread that writes the journal")]
    Thread(#[source] std::io::Error),
}
