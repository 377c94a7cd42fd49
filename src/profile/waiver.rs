//! Accepted deviations.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::glob;

/// An accepted deviation. One that is expired, or that nothing failing used, fails the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waiver {
    /// The requirement that is not met: `NET-07`. Either this or `scenario`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirement: Option<String>,
    /// The scenario that fails, by its id; `*` and `?` match as in a shell. Either this or `requirement`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Why it is accepted, so that an auditor understands it.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it holds: `2027-03-31`.
    #[schemars(with = "String", regex(pattern = r"^\d{4}-\d{2}-\d{2}$"))]
    pub expires: Date,
    /// Contexts in which it holds; everywhere where absent. `*` and `?` match as in a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
}

/// What became of a waiver in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaiverState {
    /// In force, and something that failed used it.
    Used,
    /// In force, but nothing that failed needed it.
    Unused,
    /// Its last day is over.
    Expired,
    /// It is for other contexts.
    OutOfScope,
}

impl Waiver {
    /// What it waives, for messages: `NET-07` or the scenario's pattern.
    pub fn subject(&self) -> &str {
        self.requirement.as_deref().or(self.scenario.as_deref()).unwrap_or_default()
    }

    /// Whether it speaks of this scenario, wherever and whenever.
    pub fn covers(&self, scenario: &str, requirements: &[String]) -> bool {
        let by_requirement = self.requirement.as_ref().is_some_and(|id| requirements.contains(id));
        let by_scenario = self.scenario.as_ref().is_some_and(|pattern| glob::matches(pattern, scenario));
        by_requirement || by_scenario
    }

    /// Whether it holds for this context on this day.
    pub fn in_force(&self, context: &str, today: Date) -> bool {
        today <= self.expires && self.in_scope(context)
    }

    /// What became of it, given whether something that failed used it.
    pub fn state(&self, context: &str, today: Date, used: bool) -> WaiverState {
        if !self.in_scope(context) {
            WaiverState::OutOfScope
        } else if today > self.expires {
            WaiverState::Expired
        } else if used {
            WaiverState::Used
        } else {
            WaiverState::Unused
        }
    }

    fn in_scope(&self, context: &str) -> bool {
        self.contexts.is_empty() || self.contexts.iter().any(|pattern| glob::matches(pattern, context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_waiver_holds_until_its_last_day_and_in_its_contexts() {
        let waiver = Waiver {
            requirement: Some("NET-07".into()),
            scenario: None,
            reason: "conntrack is kept by design".into(),
            owner: "network team".into(),
            expires: date(2027, 3, 31),
            contexts: vec!["qa-*".into()],
        };
        assert!(waiver.covers("network/x/y", &["NET-07".into()]));
        assert!(!waiver.covers("network/x/y", &["NET-01".into()]));
        assert!(waiver.in_force("qa-eu", date(2027, 3, 31)));
        assert_eq!(waiver.state("qa-eu", date(2027, 3, 31), true), WaiverState::Used);
        assert_eq!(waiver.state("qa-eu", date(2027, 3, 31), false), WaiverState::Unused);
        assert_eq!(waiver.state("qa-eu", date(2027, 4, 1), true), WaiverState::Expired);
        assert_eq!(waiver.state("prod", date(2027, 4, 1), false), WaiverState::OutOfScope);
    }
}
