//! What will be run, decided before anything is touched. Needs no cluster.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The stable name of a scenario: `<feature path>/<slug of its name>`, with `#<row>` for a row of an
/// outline. Example: `network/tenants-apart/every-path-between-tenants-is-closed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ScenarioId(pub String);

impl fmt::Display for ScenarioId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a scenario may do to the cluster. A profile says how far a run may go.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Touches its own throwaway tenants only.
    #[default]
    None,
    /// Loads what it shares with others, within its quota.
    Load,
    /// Breaks something on purpose, undone by itself.
    Fault,
}

/// A step as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// `Given`, `When`, `Then` (`And` and `But` resolved to what they continue).
    pub keyword: String,
    /// The text, with the values of an outline's row filled in.
    pub text: String,
    /// The line in the feature file.
    pub line: usize,
    /// True for a step of the feature's background.
    pub background: bool,
}

/// One scenario (or one row of an outline) of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedScenario {
    /// The stable name.
    pub id: ScenarioId,
    /// The feature file, as the user would name it: `features/network/tenants-apart.feature`.
    pub file: String,
    /// The line of the scenario (of the row, for an outline).
    pub line: usize,
    /// The name of the feature.
    pub feature: String,
    /// The name of the scenario.
    pub name: String,
    /// The requirements that it proves: `NET-02`.
    pub requirements: Vec<String>,
    /// All its tags without `@`, inherited ones included, sorted.
    pub tags: Vec<String>,
    /// What it may do to the cluster.
    pub risk: Risk,
    /// Names of the capabilities that it needs (`network-policy`).
    pub needs: Vec<String>,
    /// True where it must not share its tenants or the cluster with scenarios at the same time.
    pub serial: bool,
    /// Names of what it must have for itself while it runs; no two that share one run at the same time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<String>,
    /// Its deadline in milliseconds.
    pub deadline_ms: u64,
    /// Its steps, those of the background first.
    pub steps: Vec<PlannedStep>,
}

/// What the user asked for, as it stands in the report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Selection {
    /// The suite's name.
    pub suite: Option<String>,
    /// A tag expression: `@NET-02 and not @slow`.
    pub tags: Option<String>,
    /// Requirement ids.
    pub requirements: Vec<String>,
    /// Scenario ids.
    pub scenarios: Vec<String>,
    /// Scenario ids, requirement ids and tags that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
}

/// The whole plan, in the order of reports. The sums of the outcomes must match it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// What was asked for.
    pub selection: Selection,
    /// Everything that was selected.
    pub scenarios: Vec<PlannedScenario>,
}
