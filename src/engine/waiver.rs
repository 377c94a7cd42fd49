//! Accepted deviations: applied to an outcome after the fact, never before.

use jiff::civil::Date;

use super::{PlannedScenario, Reason, ReasonKind};

/// A deviation that somebody answers for, until a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// The requirement that is waived: `NET-05`.
    pub requirement: String,
    /// Where set, only this scenario of it.
    pub scenario: Option<String>,
    /// Why it is accepted.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it holds.
    pub expires: Date,
}

impl Waiver {
    fn covers(&self, scenario: &PlannedScenario) -> bool {
        scenario.requirements.contains(&self.requirement)
            && self.scenario.as_ref().is_none_or(|id| *id == scenario.id.0)
    }

    fn name(&self) -> String {
        match &self.scenario {
            Some(scenario) => format!("waiver of {} for `{scenario}`", self.requirement),
            None => format!("waiver of {}", self.requirement),
        }
    }
}

/// The waivers of a run.
#[derive(Clone, Debug, Default)]
pub struct Waivers {
    list: Vec<(Waiver, bool)>,
    today: Date,
}

impl Waivers {
    /// The waivers of a profile, as of `today`.
    pub fn new(waivers: impl IntoIterator<Item = Waiver>, today: Date) -> Self {
        Self { list: waivers.into_iter().map(|waiver| (waiver, false)).collect(), today }
    }

    /// The reason after waivers: only a broken promise can be waived, only by a waiver in force, and only if
    /// every requirement of the scenario is covered, since a scenario fails all that it proves.
    pub fn apply(&mut self, scenario: &PlannedScenario, reason: Reason) -> Reason {
        if reason.kind != ReasonKind::Requirement || scenario.requirements.is_empty() {
            return reason;
        }
        let today = self.today;
        let mut accepted = Vec::new();
        for requirement in &scenario.requirements {
            let found = self.list.iter().position(|(waiver, _)| {
                waiver.requirement == *requirement && waiver.covers(scenario) && waiver.expires >= today
            });
            match found {
                Some(index) => accepted.push(index),
                None => return reason,
            }
        }
        let mut details = reason.details;
        for index in accepted {
            if let Some((waiver, used)) = self.list.get_mut(index) {
                *used = true;
                details.push(format!(
                    "{} accepted by {} until {}: {}",
                    waiver.requirement, waiver.owner, waiver.expires, waiver.reason
                ));
            }
        }
        Reason { kind: ReasonKind::Waiver, details, ..reason }
    }

    /// What is wrong with the waivers after the run of `plan`: each makes the run fail. A waiver counts as
    /// unused only if a scenario that it covers was run, so that a narrow selection does not blame the rest.
    pub fn problems<'a>(&self, ran: impl IntoIterator<Item = &'a PlannedScenario>) -> Vec<String> {
        let ran: Vec<_> = ran.into_iter().collect();
        self.list
            .iter()
            .filter_map(|(waiver, used)| {
                if waiver.expires < self.today {
                    Some(format!(
                        "{} expired on {}; its owner is {}",
                        waiver.name(),
                        waiver.expires,
                        waiver.owner
                    ))
                } else if !used && ran.iter().any(|scenario| waiver.covers(scenario)) {
                    Some(format!("{} is not used: nothing that it covers failed", waiver.name()))
                } else {
                    None
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::engine::ScenarioId;

    fn waiver(requirement: &str, expires: Date) -> Waiver {
        Waiver {
            requirement: requirement.into(),
            scenario: None,
            reason: "the old ingress".into(),
            owner: "team-net".into(),
            expires,
        }
    }

    fn scenario(requirements: &[&str]) -> PlannedScenario {
        PlannedScenario {
            id: ScenarioId("network/x/y".into()),
            requirements: requirements.iter().map(ToString::to_string).collect(),
            ..PlannedScenario::default()
        }
    }

    fn failure() -> Reason {
        Reason::new(ReasonKind::Requirement, "expected DROPPED, saw OPEN")
    }

    const TODAY: Date = date(2026, 11, 23);

    #[test]
    fn a_waiver_in_force_turns_failed_into_waived_and_counts_as_used() {
        let mut waivers = Waivers::new([waiver("NET-05", TODAY)], TODAY);
        let planned = scenario(&["NET-05"]);
        let reason = waivers.apply(&planned, failure());
        assert_eq!(reason.kind, ReasonKind::Waiver);
        assert_eq!(reason.message, "expected DROPPED, saw OPEN");
        assert_eq!(reason.details, ["NET-05 accepted by team-net until 2026-11-23: the old ingress"]);
        assert_eq!(waivers.problems([&planned]), Vec::<String>::new());
    }

    #[test]
    fn only_a_broken_promise_can_be_waived() {
        let mut waivers = Waivers::new([waiver("NET-05", TODAY)], TODAY);
        let planned = scenario(&["NET-05"]);
        let trouble = Reason::new(ReasonKind::Trouble, "API server away");
        assert_eq!(waivers.apply(&planned, trouble.clone()), trouble);
        assert_eq!(
            waivers.problems([&planned]),
            ["waiver of NET-05 is not used: nothing that it covers failed"]
        );
    }

    #[test]
    fn an_expired_waiver_waives_nothing_and_is_a_problem_even_if_nothing_ran() {
        let mut waivers = Waivers::new([waiver("NET-05", date(2026, 11, 22))], TODAY);
        assert_eq!(waivers.apply(&scenario(&["NET-05"]), failure()), failure());
        assert_eq!(waivers.problems([]), ["waiver of NET-05 expired on 2026-11-22; its owner is team-net"]);
    }

    #[test]
    fn every_requirement_of_the_scenario_must_be_covered() {
        let mut waivers = Waivers::new([waiver("NET-05", TODAY)], TODAY);
        assert_eq!(waivers.apply(&scenario(&["NET-05", "NET-02"]), failure()), failure());
    }

    #[test]
    fn a_waiver_that_was_not_tried_is_no_problem() {
        let waivers = Waivers::new([waiver("NET-05", TODAY)], TODAY);
        assert_eq!(waivers.problems([&scenario(&["NET-01"])]), Vec::<String>::new());
    }
}
