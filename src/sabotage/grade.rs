//! The suite's grade: which sabotages were noticed, by whom, and for which reason.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde::Serialize;
use serde_json::Value;

use super::{Sabotage, SabotageError};

/// What one scenario made of a sabotage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kill")]
pub enum Kill {
    /// It turned red, for the stated reason.
    Killed {
        /// The reason.
        reason: String,
    },
    /// It turned red, but for another reason.
    WrongReason {
        /// The reason.
        reason: String,
    },
    /// It did not turn red.
    Survived {
        /// Its outcome.
        outcome: String,
        /// Its reason, where it had one.
        reason: Option<String>,
    },
}

/// One sabotage with what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Graded {
    /// Its name.
    pub name: String,
    /// What it broke.
    pub breaks: String,
    /// The requirements that were to notice.
    pub requirements: Vec<String>,
    /// By scenario.
    pub scenarios: BTreeMap<String, Kill>,
}

impl Graded {
    /// Every scenario that was to notice did, for the stated reason.
    pub fn is_killed(&self) -> bool {
        self.scenarios.values().all(|kill| matches!(kill, Kill::Killed { .. }))
    }
}

/// All of them, and the scenarios that are red without any sabotage.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Grade {
    /// By name.
    pub sabotages: Vec<Graded>,
    /// Those that were not tried, by name, with the reason. They count neither way.
    pub not_tried: BTreeMap<String, String>,
    /// Scenarios that did not pass on the sound platform, each with its outcome; none where that was not asked for.
    pub false_alarms: Option<BTreeMap<String, String>>,
}

impl Grade {
    /// Those that were not noticed, or not for the stated reason.
    pub fn survivors(&self) -> impl Iterator<Item = &Graded> {
        self.sabotages.iter().filter(|one| !one.is_killed())
    }

    /// Whether every sabotage was noticed, and nothing else was.
    pub fn is_perfect(&self) -> bool {
        self.survivors().next().is_none() && self.false_alarms.as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Killed and tried, by requirement.
    pub fn by_requirement(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for one in &self.sabotages {
            for requirement in &one.requirements {
                let count = counts.entry(requirement).or_default();
                count.0 += usize::from(one.is_killed());
                count.1 += 1;
            }
        }
        counts
    }
}

/// Requirements whose scenarios log in by tokens. A defect of the login would show in each of them.
const BY_LOGGING_IN: [&str; 5] = ["IAM-01", "IAM-02", "IAM-03", "IAM-08", "IAM-09"];

/// Puts sabotages together that do not get into each other's way: no two of a batch edit the same object or kind of
/// object, no two are to be noticed by the same requirement, and at most one touches how people log in. Each batch costs
/// one run.
pub fn batches(sabotages: &[Sabotage]) -> Result<Vec<Vec<&Sabotage>>, SabotageError> {
    let mut batches: Vec<(BTreeSet<String>, Vec<&Sabotage>)> = Vec::new();
    for sabotage in sabotages {
        let mut claims: BTreeSet<String> = sabotage.requirements.iter().cloned().collect();
        for edit in sabotage.blueprint.iter().chain(&sabotage.cluster) {
            claims.insert(edit.of()?.kind);
        }
        let logins = sabotage.requirements.iter().any(|id| BY_LOGGING_IN.contains(&id.as_str()));
        if logins || !sabotage.lab.is_empty() {
            claims.insert("logins".to_owned());
        }
        match batches.iter_mut().find(|(taken, _)| taken.is_disjoint(&claims)) {
            Some((taken, batch)) => {
                taken.extend(claims);
                batch.push(sabotage);
            }
            None => batches.push((claims, vec![sabotage])),
        }
    }
    Ok(batches.into_iter().map(|(_, batch)| batch).collect())
}

/// Judges one sabotage by the report of the run of its scenarios.
pub(super) fn judge(sabotage: &Sabotage, report: &Value) -> Graded {
    // The pattern has been compiled when the data was read.
    let pattern = Regex::new(&sabotage.reason).ok();
    let scenarios =
        sabotage.scenarios.iter().map(|id| (id.clone(), kill(found(report, id), pattern.as_ref()))).collect();
    Graded {
        name: sabotage.name.clone(),
        breaks: sabotage.breaks.clone(),
        requirements: sabotage.requirements.clone(),
        scenarios,
    }
}

/// The scenarios of a report that did not pass.
pub(super) fn not_passed(report: &Value) -> BTreeMap<String, String> {
    let scenarios = report["scenarios"].as_array().cloned().unwrap_or_default();
    scenarios
        .iter()
        .filter(|scenario| scenario["outcome"] != "passed")
        .map(|scenario| {
            let reason = scenario["reason"]["message"].as_str().unwrap_or("no reason");
            let outcome = scenario["outcome"].as_str().unwrap_or("unknown");
            (scenario["id"].as_str().unwrap_or_default().to_owned(), format!("{outcome}: {reason}"))
        })
        .collect()
}

fn found<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["scenarios"].as_array()?.iter().find(|scenario| scenario["id"] == id)
}

fn kill(scenario: Option<&Value>, pattern: Option<&Regex>) -> Kill {
    let Some(scenario) = scenario else {
        return Kill::Survived { outcome: "not in the report".to_owned(), reason: None };
    };
    let message = scenario["reason"]["message"].as_str().map(str::to_owned);
    let outcome = scenario["outcome"].as_str().unwrap_or("unknown");
    if outcome != "failed" {
        return Kill::Survived { outcome: outcome.to_owned(), reason: message };
    }
    let details = scenario["reason"]["details"].as_array().cloned().unwrap_or_default();
    let lines = message.iter().map(String::as_str).chain(details.iter().filter_map(Value::as_str));
    match lines.into_iter().find(|line| pattern.is_some_and(|pattern| pattern.is_match(line))) {
        Some(line) => Kill::Killed { reason: line.to_owned() },
        None => Kill::WrongReason { reason: message.unwrap_or_default() },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sabotage::{Edit, Of};

    fn sabotage(name: &str, requirement: &str, kind: &str) -> Sabotage {
        let of = Of { api_version: "v1".into(), kind: kind.into(), name: "x".into(), namespace: None };
        Sabotage {
            name: name.into(),
            breaks: String::new(),
            requirements: vec![requirement.into()],
            scenarios: vec!["a/b".into()],
            reason: "saw OPEN$".into(),
            blueprint: vec![Edit::Remove { of }],
            cluster: Vec::new(),
            lab: Vec::new(),
        }
    }

    #[test]
    fn only_what_does_not_touch_shares_a_batch() {
        let all = [
            sabotage("a", "NET-01", "NetworkPolicy"),
            sabotage("b", "TEN-04", "LimitRange"),
            sabotage("c", "NET-02", "NetworkPolicy"),
            sabotage("d", "NET-01", "Namespace"),
        ];
        let names: Vec<Vec<_>> = batches(&all)
            .unwrap()
            .iter()
            .map(|batch| batch.iter().map(|one| one.name.as_str()).collect())
            .collect();
        assert_eq!(names, [vec!["a", "b"], vec!["c", "d"]]);
    }

    #[test]
    fn what_breaks_logins_is_alone_among_those_who_log_in() {
        let all = [
            sabotage("a", "IAM-01", "X"),
            sabotage("b", "IAM-02", "RoleBinding"),
            sabotage("c", "NET-02", "NetworkPolicy"),
        ];
        let sizes: Vec<_> = batches(&all).unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn red_for_another_reason_is_no_kill() {
        let one = sabotage("a", "NET-01", "NetworkPolicy");
        let report = |outcome: &str, message: &str| json!({"scenarios": [{"id": "a/b", "outcome": outcome, "reason": {"message": message}}]});
        assert!(judge(&one, &report("failed", "expected DROPPED, saw OPEN")).is_killed());
        for (outcome, message) in [("failed", "something else"), ("inconclusive", "saw OPEN"), ("passed", "")]
        {
            assert!(!judge(&one, &report(outcome, message)).is_killed(), "{outcome} {message}");
        }
        assert!(!judge(&one, &json!({"scenarios": []})).is_killed());
    }
}
