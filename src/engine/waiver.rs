//! Accepted deviations: applied to an outcome after the fact, never before.

use jiff::civil::Date;

use super::{PlannedScenario, Reason, ReasonKind};
use crate::profile::{Waiver, WaiverState};

/// The waivers of a run.
#[derive(Clone, Debug, Default)]
pub struct Waivers {
    list: Vec<(Waiver, bool)>,
    context: String,
    today: Date,
}

impl Waivers {
    /// The waivers of a profile, as they hold for `context` on `today`.
    pub fn new(waivers: &[Waiver], context: impl Into<String>, today: Date) -> Self {
        let list = waivers.iter().map(|waiver| (waiver.clone(), false)).collect();
        Self { list, context: context.into(), today }
    }

    /// The reason after waivers. Only a broken promise can be waived, only by waivers in force, and only if
    /// every requirement of the scenario is covered, since a scenario fails all that it proves.
    pub fn apply(&mut self, scenario: &PlannedScenario, reason: Reason) -> Reason {
        if reason.kind != ReasonKind::Requirement {
            return reason;
        }
        let in_force: Vec<usize> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, (waiver, _))| waiver.in_force(&self.context, self.today))
            .map(|(index, _)| index)
            .collect();
        let covering = |requirements: &[String]| {
            let covers = |index: &usize| {
                self.list.get(*index).is_some_and(|(waiver, _)| waiver.covers(&scenario.id.0, requirements))
            };
            in_force.iter().copied().find(covers)
        };
        let accepted: Option<Vec<usize>> = match scenario.requirements.as_slice() {
            [] => covering(&[]).map(|index| vec![index]),
            several => several.iter().map(|id| covering(std::slice::from_ref(id))).collect(),
        };
        let Some(mut accepted) = accepted else { return reason };
        accepted.dedup();
        let mut details = reason.details;
        for index in accepted {
            if let Some((waiver, used)) = self.list.get_mut(index) {
                *used = true;
                details.push(format!(
                    "{} accepted by {} until {}: {}",
                    waiver.subject(),
                    waiver.owner,
                    waiver.expires,
                    waiver.reason
                ));
            }
        }
        Reason { kind: ReasonKind::Waiver, details, ..reason }
    }

    /// What became of each waiver.
    pub fn states(&self) -> impl Iterator<Item = (&Waiver, WaiverState)> {
        self.list.iter().map(|(waiver, used)| (waiver, waiver.state(&self.context, self.today, *used)))
    }

    /// What is wrong with the waivers after the run: each makes the run fail. A waiver counts as unused only
    /// if something that it covers has run to an end, so that a narrow selection does not blame the rest.
    pub fn problems<'a>(&self, judged: impl IntoIterator<Item = &'a PlannedScenario>) -> Vec<String> {
        let judged: Vec<_> = judged.into_iter().collect();
        self.states()
            .filter_map(|(waiver, state)| match state {
                WaiverState::Used | WaiverState::OutOfScope => None,
                WaiverState::Expired => Some(format!(
                    "the waiver of {} expired on {}; its owner is {}",
                    waiver.subject(),
                    waiver.expires,
                    waiver.owner
                )),
                WaiverState::Unused => judged
                    .iter()
                    .any(|scenario| waiver.covers(&scenario.id.0, &scenario.requirements))
                    .then(|| {
                        format!(
                            "the waiver of {} is not used: nothing that it covers failed",
                            waiver.subject()
                        )
                    }),
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
            requirement: Some(requirement.into()),
            scenario: None,
            reason: "the old ingress".into(),
            owner: "team-net".into(),
            expires,
            contexts: Vec::new(),
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
        let mut waivers = Waivers::new(&[waiver("NET-05", TODAY)], "lab", TODAY);
        let planned = scenario(&["NET-05"]);
        let reason = waivers.apply(&planned, failure());
        assert_eq!(reason.kind, ReasonKind::Waiver);
        assert_eq!(reason.message, "expected DROPPED, saw OPEN");
        assert_eq!(reason.details, ["NET-05 accepted by team-net until 2026-11-23: the old ingress"]);
        assert_eq!(waivers.problems([&planned]), Vec::<String>::new());
    }

    #[test]
    fn only_a_broken_promise_can_be_waived() {
        let mut waivers = Waivers::new(&[waiver("NET-05", TODAY)], "lab", TODAY);
        let planned = scenario(&["NET-05"]);
        let trouble = Reason::new(ReasonKind::Trouble, "API server away");
        assert_eq!(waivers.apply(&planned, trouble.clone()), trouble);
        assert_eq!(
            waivers.problems([&planned]),
            ["the waiver of NET-05 is not used: nothing that it covers failed"]
        );
    }

    #[test]
    fn an_expired_waiver_waives_nothing_and_is_a_problem_even_if_nothing_ran() {
        let mut waivers = Waivers::new(&[waiver("NET-05", date(2026, 11, 22))], "lab", TODAY);
        assert_eq!(waivers.apply(&scenario(&["NET-05"]), failure()), failure());
        assert_eq!(
            waivers.problems([]),
            ["the waiver of NET-05 expired on 2026-11-22; its owner is team-net"]
        );
    }

    #[test]
    fn every_requirement_of_the_scenario_must_be_covered() {
        let mut waivers = Waivers::new(&[waiver("NET-05", TODAY)], "lab", TODAY);
        assert_eq!(waivers.apply(&scenario(&["NET-05", "NET-02"]), failure()), failure());
    }

    #[test]
    fn a_waiver_that_was_not_tried_is_no_problem() {
        let waivers = Waivers::new(&[waiver("NET-05", TODAY)], "lab", TODAY);
        assert_eq!(waivers.problems([&scenario(&["NET-01"])]), Vec::<String>::new());
    }
}
