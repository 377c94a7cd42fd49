//! What became of a scenario, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The outcome of a scenario. Only [`Outcome::Passed`] is proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step held, each denial with its positive control.
    Passed,
    /// The platform breaks its promise.
    Failed,
    /// The cluster or the harness could not tell.
    Inconclusive,
    /// The platform breaks its promise, and a waiver in force accepts it.
    Waived,
    /// The platform does not have the part; the reason names the probe that showed it.
    NotApplicable,
    /// Planned, but never started (interrupt, deadline of the run).
    NotRun,
}

impl Outcome {
    /// Every outcome, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Passed, Self::Failed, Self::Inconclusive, Self::Waived, Self::NotApplicable, Self::NotRun];

    /// The word that stands in every report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Waived => "waived",
            Self::NotApplicable => "not-applicable",
            Self::NotRun => "not-run",
        }
    }
}

/// Which of the three families of trouble a reason belongs to. They are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonKind {
    /// The platform fails the requirement: expected X, saw Y.
    Requirement,
    /// A positive control was not open, so the denial proves nothing.
    NoControl,
    /// The cluster or the harness could not tell (API server away, pod stuck, deadline passed).
    Trouble,
    /// The platform lacks the capability.
    Capability,
    /// An accepted deviation.
    Waiver,
    /// The run was interrupted.
    Interrupted,
}

/// Why an outcome is what it is: one sentence that stands alone, generated from expectation and observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The family.
    pub kind: ReasonKind,
    /// One lower-case sentence: `expected DROPPED from alpha/web to bravo/db:8080/TCP, saw OPEN`.
    pub message: String,
    /// Further lines: one a deviation, already bounded in number by who made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What to do next, where there is something (names a command).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Reason {
    /// A reason with its sentence alone.
    pub fn new(kind: ReasonKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), hint: None }
    }

    /// The outcome that a scenario gets when a step ends with this reason.
    pub const fn outcome(&self) -> Outcome {
        match self.kind {
            ReasonKind::Requirement => Outcome::Failed,
            ReasonKind::NoControl | ReasonKind::Trouble | ReasonKind::Interrupted => Outcome::Inconclusive,
            ReasonKind::Capability => Outcome::NotApplicable,
            ReasonKind::Waiver => Outcome::Waived,
        }
    }
}

/// How many scenarios ended how. The sum must equal the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// [`Outcome::Passed`]
    pub passed: usize,
    /// [`Outcome::Failed`]
    pub failed: usize,
    /// [`Outcome::Inconclusive`]
    pub inconclusive: usize,
    /// [`Outcome::Waived`]
    pub waived: usize,
    /// [`Outcome::NotApplicable`]
    pub not_applicable: usize,
    /// [`Outcome::NotRun`]
    pub not_run: usize,
}

impl Tally {
    /// Counts one more.
    pub const fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Inconclusive => self.inconclusive += 1,
            Outcome::Waived => self.waived += 1,
            Outcome::NotApplicable => self.not_applicable += 1,
            Outcome::NotRun => self.not_run += 1,
        }
    }

    /// The count of one outcome.
    pub const fn of(&self, outcome: Outcome) -> usize {
        match outcome {
            Outcome::Passed => self.passed,
            Outcome::Failed => self.failed,
            Outcome::Inconclusive => self.inconclusive,
            Outcome::Waived => self.waived,
            Outcome::NotApplicable => self.not_applicable,
            Outcome::NotRun => self.not_run,
        }
    }

    /// The sum over all outcomes.
    pub const fn total(&self) -> usize {
        self.passed + self.failed + self.inconclusive + self.waived + self.not_applicable + self.not_run
    }
}

impl FromIterator<Outcome> for Tally {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.add(outcome);
        }
        tally
    }
}
