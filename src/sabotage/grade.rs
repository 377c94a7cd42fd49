//! Judging a sabotage by what the scenarios said that were to notice it.

use std::{collections::BTreeMap, time::Duration};

use regex::Regex;

use super::Sabotage;
use crate::{
    engine::Outcome,
    report::{FalseAlarm, Graded, Kill, Model, SabotageVerdict},
};

/// Judges one sabotage by the run of its scenarios. `effect` is what showed that it was in effect.
pub(super) fn judge(sabotage: &Sabotage, model: &Model, effect: Vec<String>, took: Duration) -> Graded {
    // The pattern has been compiled when the data was read.
    let pattern = Regex::new(&sabotage.reason).ok();
    let scenarios: BTreeMap<String, Kill> =
        sabotage.scenarios.iter().map(|id| (id.clone(), kill(model, id, pattern.as_ref()))).collect();
    let verdict = if scenarios.values().any(|kill| matches!(kill, Kill::Survived { .. })) {
        SabotageVerdict::Survived
    } else if scenarios.values().any(|kill| matches!(kill, Kill::WrongReason { .. })) {
        SabotageVerdict::WrongReason
    } else {
        SabotageVerdict::Killed
    };
    Graded { scenarios, ..blank(sabotage, verdict, effect, took) }
}

/// One that could not be put into effect.
pub(super) fn not_effective(sabotage: &Sabotage, why: String, took: Duration) -> Graded {
    blank(sabotage, SabotageVerdict::NotEffective, vec![why], took)
}

fn blank(sabotage: &Sabotage, verdict: SabotageVerdict, effect: Vec<String>, took: Duration) -> Graded {
    Graded {
        name: sabotage.name.clone(),
        breaks: sabotage.breaks.clone(),
        requirements: sabotage.requirements.clone(),
        verdict,
        effect,
        scenarios: BTreeMap::new(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What did not pass though nothing was broken. What does not apply to the platform is no alarm.
pub(super) fn alarms(model: &Model, run: usize) -> Vec<FalseAlarm> {
    model
        .scenarios
        .iter()
        .filter(|scenario| !matches!(scenario.outcome, Outcome::Passed | Outcome::NotApplicable))
        .map(|scenario| FalseAlarm {
            scenario: scenario.id.clone(),
            run,
            seed: model.run.seed,
            outcome: scenario.outcome.word().to_owned(),
            reason: scenario.reason.as_ref().map(|reason| reason.message.clone()),
        })
        .collect()
}

fn kill(model: &Model, id: &str, pattern: Option<&Regex>) -> Kill {
    let Some(scenario) = model.scenario(id) else {
        return Kill::Survived { outcome: "not in the report".to_owned(), reason: None };
    };
    let reason = scenario.reason.as_ref();
    let message = reason.map(|reason| reason.message.clone());
    if scenario.outcome != Outcome::Failed {
        return Kill::Survived { outcome: scenario.outcome.word().to_owned(), reason: message };
    }
    let lines = reason.into_iter().flat_map(|reason| std::iter::once(&reason.message).chain(&reason.details));
    match lines.into_iter().find(|line| pattern.is_some_and(|pattern| pattern.is_match(line))) {
        Some(line) => Kill::Killed { reason: line.clone() },
        None => Kill::WrongReason { reason: message.unwrap_or_default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Reason, ReasonKind};

    fn sabotage(scenarios: &[&str]) -> Sabotage {
        Sabotage {
            name: "a".into(),
            breaks: String::new(),
            requirements: vec!["NET-01".into()],
            scenarios: scenarios.iter().map(|&id| id.to_owned()).collect(),
            reason: "saw OPEN$".into(),
            blueprint: Vec::new(),
            tenants: Vec::new(),
            cluster: Vec::new(),
            lab: Vec::new(),
            effective: Vec::new(),
        }
    }

    fn verdict(outcomes: &[(&str, Outcome, &str)]) -> SabotageVerdict {
        let mut model = crate::report::sample_model();
        let sample = model.scenarios.remove(0);
        model.scenarios = outcomes
            .iter()
            .map(|(id, outcome, message)| {
                let mut scenario = sample.clone();
                (*id).clone_into(&mut scenario.id);
                scenario.outcome = *outcome;
                scenario.reason = Some(Reason::new(ReasonKind::Requirement, *message));
                scenario
            })
            .collect();
        let ids: Vec<_> = ["a/b", "a/c"].into_iter().take(outcomes.len().max(1)).collect();
        judge(&sabotage(&ids), &model, Vec::new(), Duration::ZERO).verdict
    }

    #[test]
    fn every_scenario_has_to_be_red_for_the_stated_reason() {
        use Outcome::{Failed, Inconclusive, Passed};
        use SabotageVerdict::{Killed, Survived, WrongReason};
        let good = "expected DROPPED, saw OPEN";
        assert_eq!(verdict(&[("a/b", Failed, good)]), Killed);
        assert_eq!(verdict(&[("a/b", Failed, "something else")]), WrongReason);
        assert_eq!(verdict(&[("a/b", Inconclusive, good)]), Survived);
        assert_eq!(verdict(&[("a/b", Passed, "")]), Survived);
        assert_eq!(verdict(&[]), Survived);
        assert_eq!(verdict(&[("a/b", Failed, good), ("a/c", Failed, good)]), Killed);
        assert_eq!(verdict(&[("a/b", Failed, good), ("a/c", Failed, "x")]), WrongReason);
        assert_eq!(verdict(&[("a/b", Failed, good), ("a/c", Passed, "")]), Survived);
    }
}
