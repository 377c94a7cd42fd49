//! The report: everything that a renderer may show, and nothing else. Versioned; members may be added, never
//! changed. Its JSON form is a machine format of its own, with a checked-in schema.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grade::GivenGrade;
use super::tenants::TenantMatrix;
use crate::engine::{Evidence, Level, Outcome, Reason, Risk, Selection, StepStatus, Tally, TenantRole};
use crate::evidence::{Integrity, Problem};

/// Version of [`Model`].
pub const REPORT_SCHEMA: &str = "plimsoll.dev/report/v1";

/// What the catalogue says of a requirement: input to the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequirementInfo {
    /// `NET-02`.
    pub id: String,
    /// Must or should.
    pub level: Level,
    /// The title of its family: `Network isolation`.
    pub family: String,
    /// The promise, in one sentence.
    pub promise: String,
    /// Controls that it supports: `NIST SC-7`, `CIS 5.3.2`.
    pub controls: Vec<String>,
}

/// One run, as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Model {
    /// [`REPORT_SCHEMA`].
    pub schema: String,
    /// What ran, when, and how it ended.
    pub run: RunFacts,
    /// The journal that all of this comes from.
    pub journal: JournalFacts,
    /// The cluster; none where it never answered.
    pub cluster: Option<Cluster>,
    /// What the platform claims, and what was detected.
    pub capabilities: Vec<Capability>,
    /// The throwaway tenants of the run.
    pub tenants: Vec<Tenant>,
    /// Scenarios by outcome.
    pub tally: Tally,
    /// Whether the counts agree with the plan and with the journal's own.
    pub accounting: Accounting,
    /// Every requirement of the catalogue, and any other that a scenario names; sorted by family as the
    /// catalogue has them.
    pub requirements: Vec<Requirement>,
    /// Every scenario, in the order of the plan.
    pub scenarios: Vec<Scenario>,
    /// Who reaches whom, over everything that was measured; none where no matrix was taken.
    pub matrix: Option<TenantMatrix>,
    /// The same for positive controls: the paths without the boundary.
    pub control_matrix: Option<TenantMatrix>,
    /// Accepted deviations.
    pub waivers: Vec<Waived>,
    /// Warnings, in order.
    pub warnings: Vec<String>,
    /// What could not be removed.
    pub leftovers: Vec<Leftover>,
    /// Evidence that belongs to no scenario.
    pub evidence: Vec<RunEvidence>,
    /// The suite's own grade, where it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<GivenGrade>,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It ended by itself.
    Finished,
    /// A signal ended it early, in order.
    Interrupted,
    /// It is still going.
    Running,
    /// It was killed, or the end of its journal was cut off.
    Killed,
}

impl RunState {
    /// The word that stands in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Running => "running",
            Self::Killed => "killed",
        }
    }
}

/// What ran, when, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunFacts {
    /// The run's id.
    pub id: String,
    /// Version of the program.
    pub version: String,
    /// The command as typed.
    pub command: Vec<String>,
    /// Seed of all randomness.
    pub seed: u64,
    /// Name of the profile.
    pub profile: String,
    /// SHA-256 of the profile's bytes.
    pub profile_sha256: String,
    /// What was asked for.
    pub selection: Selection,
    /// UTC, RFC 3339, to the second.
    pub started: String,
    /// UTC, RFC 3339, to the second: of the last record, where the run has no end.
    pub ended: String,
    /// Milliseconds of the whole run: up to the last record, where the run has no end.
    pub took_ms: u64,
    /// How far it came.
    pub state: RunState,
    /// The signal, where one arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The exit code; none where the run has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// The verdict of the run in a few words: `conformant`, `a requirement failed`.
    pub verdict: String,
}

/// The journal that a report comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalFacts {
    /// How many records were used.
    pub records: usize,
    /// Hash of the last record: `plimsoll verify --head HASH` compares it.
    pub head: String,
    /// What the journal is worth.
    pub integrity: Integrity,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its kubelet's version.
    pub version: String,
}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// `lab`, `kubeconfig`, `kind`, `eks`.
    pub provider: String,
    /// Context or name.
    pub context: String,
    /// Address of the API server.
    pub server: String,
    /// Version of the API server.
    pub server_version: String,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// Parts that stand in for what a real platform has: results say nothing of the real part.
    pub stand_ins: Vec<String>,
}

/// A capability, claimed and detected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capability {
    /// `network-policy`.
    pub name: String,
    /// Whether the profile claims it.
    pub claimed: bool,
    /// Whether the cluster shows it; none where it could not be told.
    pub detected: Option<bool>,
    /// What showed it.
    pub probe: String,
}

impl Capability {
    /// How claim and detection stand to each other, in words.
    pub const fn finding(&self) -> &'static str {
        match (self.claimed, self.detected) {
            (true, Some(true)) => "claimed and there",
            (true, Some(false)) => "claimed, not there",
            (false, Some(true)) => "there, not claimed",
            (false, Some(false)) => "neither",
            (true, None) => "claimed, could not be told",
            (false, None) => "could not be told",
        }
    }
}

/// A throwaway tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// Its name in the features.
    pub name: String,
    /// What it is for.
    pub role: TenantRole,
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// How it was onboarded.
    pub adapter: String,
    /// Milliseconds to usable.
    pub ready_ms: u64,
    /// Milliseconds to gone; none where it was never seen gone.
    pub removed_ms: Option<u64>,
}

/// Whether everything that was planned is accounted for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accounting {
    /// Scenarios in the plan.
    pub planned: usize,
    /// Scenarios with an outcome: of the journal, or given by the report to what has none.
    pub counted: usize,
    /// Scenarios whose outcome stands in the journal.
    pub ended: usize,
    /// Everything that does not add up. Empty, or the report is not to be relied on.
    pub problems: Vec<String>,
}

/// A requirement and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requirement {
    /// What the catalogue says.
    #[serde(flatten)]
    pub info: RequirementInfo,
    /// The worst outcome of its scenarios; none where none was selected.
    pub outcome: Option<Outcome>,
    /// Its scenarios by outcome.
    pub tally: Tally,
    /// Ids of its scenarios.
    pub scenarios: Vec<String>,
}

impl Requirement {
    /// The word that stands in every report.
    pub fn word(&self) -> &'static str {
        self.outcome.map_or("not-selected", Outcome::word)
    }
}

/// A scenario and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// Its stable name.
    pub id: String,
    /// Its feature file.
    pub file: String,
    /// Its line there.
    pub line: usize,
    /// The name of its feature.
    pub feature: String,
    /// Its own name.
    pub name: String,
    /// The requirements that it proves.
    pub requirements: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it may do to the cluster.
    pub risk: Risk,
    /// Capabilities that it needs.
    pub needs: Vec<String>,
    /// Its deadline in milliseconds.
    pub deadline_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, for every outcome but passed.
    pub reason: Option<Reason>,
    /// Microseconds from the start of the run to its own; none where it never started.
    pub started_us: Option<u64>,
    /// Milliseconds; none where it has no end.
    pub took_ms: Option<u64>,
    /// Its steps, those of the background first.
    pub steps: Vec<Step>,
    /// Evidence of the scenario as a whole.
    pub evidence: Vec<Evidence>,
    /// The command that repeats it; for every outcome but passed.
    pub repeat: Option<String>,
}

impl Scenario {
    /// Every piece of evidence, in the order of the steps, those of the whole last.
    pub fn all_evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.steps.iter().flat_map(|step| &step.evidence).chain(&self.evidence)
    }
}

/// A step and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// `Given`, `When`, `Then`.
    pub keyword: String,
    /// Its text.
    pub text: String,
    /// Its line in the feature file.
    pub line: usize,
    /// True for a step of the background.
    pub background: bool,
    /// How it ended; not-reached where the journal has no end of it.
    pub status: StepStatus,
    /// Microseconds; none where it has no end.
    pub took_us: Option<u64>,
    /// Set where it stopped the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// A scenario whose deviation a waiver accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waived {
    /// Id of the scenario.
    pub scenario: String,
    /// The requirements concerned.
    pub requirements: Vec<String>,
    /// Who accepts what until when, as the run said it.
    pub reason: Reason,
}

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leftover {
    /// `v1/Namespace plim-x7k2-alpha`.
    pub reference: String,
    /// Why it is still there.
    pub why: String,
}

/// Evidence that belongs to the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunEvidence {
    /// Microseconds from the start of the run.
    pub at_us: u64,
    /// The evidence.
    pub evidence: Evidence,
}

impl Model {
    /// Why nothing in it is to be relied on, and so no verdict either; none of a sound journal.
    pub fn unsound(&self) -> Option<&'static str> {
        if self.journal.integrity == Integrity::Broken {
            Some("the journal was changed")
        } else if self.run.exit.is_some() && !self.accounting.problems.is_empty() {
            Some("the journal does not add up")
        } else {
            None
        }
    }

    /// Takes in a grade that was given with the report; the journal says whether the run knew it.
    pub fn give(&mut self, mut grade: GivenGrade) {
        grade.recorded =
            self.grade.as_ref().is_some_and(|known| known.recorded && known.sha256 == grade.sha256);
        self.grade = Some(grade);
    }

    /// The scenario of that id.
    pub fn scenario(&self, id: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.id == id)
    }

    /// Scenarios of one outcome, in the order of the plan.
    pub fn with_outcome(&self, outcome: Outcome) -> impl Iterator<Item = &Scenario> {
        self.scenarios.iter().filter(move |scenario| scenario.outcome == outcome)
    }

    /// Requirements in groups of one family each, in order.
    pub fn families(&self) -> Vec<(&str, Vec<&Requirement>)> {
        let mut families: Vec<(&str, Vec<&Requirement>)> = Vec::new();
        for requirement in &self.requirements {
            let family = requirement.info.family.as_str();
            match families.iter_mut().find(|(name, _)| *name == family) {
                Some((_, members)) => members.push(requirement),
                None => families.push((family, vec![requirement])),
            }
        }
        families
    }

    /// Verdicts of the requirements that were selected.
    pub fn requirement_tally(&self) -> Tally {
        self.requirements.iter().filter_map(|requirement| requirement.outcome).collect()
    }
}
