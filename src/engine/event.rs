//! The one event enumeration. Everything that a report says comes from these, through the journal.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Outcome, Plan, Reason, ScenarioId, Tally};

/// The level of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// The platform is not conformant without it.
    Must,
    /// Reported, and counted apart.
    Should,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepStatus {
    /// It held.
    Passed,
    /// It ended with a reason; the scenario's outcome follows from the reason.
    Stopped,
    /// Not reached, because an earlier step stopped the scenario.
    NotReached,
}

/// What a tenant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TenantRole {
    /// A subject of the run, onboarded the platform's way.
    Subject,
    /// A namespace without the boundary: the positive control.
    Control,
}

/// Where a positive control stands towards the denial that it supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ControlPhase {
    /// Just before the denied attempt.
    Before,
    /// Just after the denied attempt.
    After,
}

/// Microseconds, as events and evidence have them.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The content of a piece of evidence, in a form that a renderer can show without knowing the step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "form")]
pub enum EvidenceBody {
    /// One attempt: who tried what, what was expected, what came.
    Attempt {
        /// Who: `alpha/web-0` or a user or service account.
        from: String,
        /// What: `bravo/db:8080/TCP by pod address`, `create pods in namespace x`.
        to: String,
        /// The verdicts that the step accepts (words of the closed enumeration).
        accepted: Vec<String>,
        /// The verdict seen.
        verdict: String,
        /// Microseconds from start to verdict.
        took_us: u64,
        /// Set where this attempt is a positive control.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        control: Option<ControlPhase>,
        /// What was said on the wire: status, message, echo; secrets never.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        detail: Value,
    },
    /// Many attempts at once: rows x columns of verdict words.
    Matrix {
        /// What the cells are: `TCP 8080 by pod address`.
        caption: String,
        /// Sources.
        rows: Vec<String>,
        /// Destinations.
        columns: Vec<String>,
        /// Verdict words, by row, by column; empty where nothing was tried.
        cells: Vec<Vec<String>>,
        /// Expected words in the same shape (`OPEN`, `DROPPED|REJECTED`), empty where anything goes.
        expected: Vec<Vec<String>>,
        /// Set where this matrix is a positive control.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        control: Option<ControlPhase>,
        /// Probes in all, and wall time of the whole matrix in microseconds.
        probes: usize,
        /// See `probes`.
        took_us: u64,
    },
    /// A Kubernetes object or a part of one (managed fields and secrets taken out).
    Object {
        /// `v1/ResourceQuota tenant-a/tenant`.
        reference: String,
        /// The object.
        object: Value,
    },
    /// Named values, compared: the value promised and the value seen.
    Comparison {
        /// Column heads are fixed: name, expected, seen. One row a value.
        rows: Vec<ComparisonRow>,
    },
    /// A measured duration or a set of them.
    Timing {
        /// Named microsecond values: `p50`, `p99`, `took`.
        values_us: Vec<(String, u64)>,
        /// The bound of the profile in microseconds, where one applies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bound_us: Option<u64>,
    },
    /// Lines of text, as seen.
    Text {
        /// The lines.
        lines: Vec<String>,
    },
}

/// One row of [`EvidenceBody::Comparison`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonRow {
    /// What is compared: `requests.cpu`.
    pub name: String,
    /// The value that the profile promises.
    pub expected: String,
    /// The value seen on the cluster.
    pub seen: String,
    /// Whether they agree.
    pub holds: bool,
}

/// A piece of evidence, attached to the step that produced it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// One line: what this shows.
    pub title: String,
    /// The content.
    pub body: EvidenceBody,
}

/// Everything that happens in a run. Versioned by [`Event::RunStarted`]'s `schema`; append-only: kinds and
/// fields may be added, never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    /// First event.
    RunStarted {
        /// Version of this enumeration: `plimsoll.dev/journal/v1`.
        schema: String,
        /// The run's id: short, unique, in every object's label.
        run_id: String,
        /// Version of the program.
        version: String,
        /// Seed of all randomness.
        seed: u64,
        /// The command as typed, secrets never.
        command: Vec<String>,
        /// Name of the profile.
        profile: String,
        /// SHA-256 of the profile's bytes, in hexadecimal.
        profile_sha256: String,
    },
    /// What will be run.
    Planned {
        /// The plan.
        plan: Plan,
    },
    /// The cluster answered.
    ClusterSeen {
        /// `lab`, `kubeconfig`, `kind`, `eks`.
        provider: String,
        /// Context or name.
        context: String,
        /// Address of the API server.
        server: String,
        /// `gitVersion` of the API server.
        server_version: String,
        /// Names and kubelet versions of the nodes.
        nodes: Vec<(String, String)>,
        /// Parts of the platform that are stand-ins, by name; shown wherever results are.
        stand_ins: Vec<String>,
    },
    /// A capability, claimed and detected.
    CapabilityChecked {
        /// `network-policy`.
        name: String,
        /// Whether the profile claims it.
        claimed: bool,
        /// Whether the cluster shows it; none where it could not be told.
        detected: Option<bool>,
        /// What showed it.
        probe: String,
    },
    /// A tenant is usable.
    TenantReady {
        /// Its name in the features: `alpha`.
        name: String,
        /// What it is for.
        role: TenantRole,
        /// Its namespaces on the cluster.
        namespaces: Vec<String>,
        /// The onboarding adapter: `manifests`, `command`, `existing`.
        adapter: String,
        /// Milliseconds from the first request to usable.
        took_ms: u64,
    },
    /// A tenant is gone. What could not be removed is a [`Event::Leftover`] at the end of the run.
    TenantRemoved {
        /// Its name.
        name: String,
        /// Its namespaces.
        namespaces: Vec<String>,
        /// Milliseconds from the first delete to nothing left.
        took_ms: u64,
    },
    /// A scenario starts.
    ScenarioStarted {
        /// Which.
        id: ScenarioId,
    },
    /// A step ended.
    StepFinished {
        /// Of which scenario.
        id: ScenarioId,
        /// Index in [`super::PlannedScenario::steps`].
        step: usize,
        /// How.
        status: StepStatus,
        /// Microseconds.
        took_us: u64,
        /// Set where it stopped the scenario.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    },
    /// Evidence of a step.
    EvidenceTaken {
        /// Of which scenario; none for what belongs to the run.
        id: Option<ScenarioId>,
        /// Index of the step.
        step: Option<usize>,
        /// The evidence.
        evidence: Evidence,
    },
    /// A scenario ended.
    ScenarioFinished {
        /// Which.
        id: ScenarioId,
        /// How.
        outcome: Outcome,
        /// Why, for every outcome but passed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// Milliseconds.
        took_ms: u64,
    },
    /// A warning that belongs into the report (clock skew, slow API server, unused waiver).
    Warning {
        /// One sentence.
        message: String,
    },
    /// A signal arrived.
    Interrupted {
        /// `SIGINT`, `SIGTERM`.
        signal: String,
    },
    /// Something could not be removed.
    Leftover {
        /// `v1/Namespace plim-x7k2-alpha`.
        reference: String,
        /// Why it is still there (finalizers, conditions).
        why: String,
    },
    /// Last event.
    RunFinished {
        /// Counts; their sum equals the plan.
        tally: Tally,
        /// The exit code.
        exit: u8,
        /// Milliseconds of the whole run.
        took_ms: u64,
    },
}
