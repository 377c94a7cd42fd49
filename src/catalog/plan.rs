//! From what the user asked for to a plan. Needs no cluster.

use std::time::Duration;

use super::{Catalog, SelectError, Selector, SuiteEntry, select::Criteria};
use crate::engine::{Plan, PlannedScenario, Selection};
use crate::profile::Deadlines;

/// What to plan.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// What was asked for. Where it names nothing at all, everything is selected.
    pub selection: Selection,
    /// The deadline of a scenario that has none of its own.
    pub deadline: Duration,
}

impl Catalog {
    /// Selects scenarios. Unknown names are errors; that nothing is left is not, here: the plan is empty.
    pub fn plan(&self, request: &PlanRequest) -> Result<Plan, SelectError> {
        let selection = &request.selection;
        let criteria = Criteria::new(
            self,
            selection.tags.as_deref(),
            selection.requirements.iter().map(String::as_str),
            selection.scenarios.iter().map(String::as_str),
        )?;
        let skip = Criteria::skip(self, selection.skip.iter().map(String::as_str))?;
        let suite = selection.suite.as_deref().map(|name| self.suite(name)).transpose()?;
        let suite = suite.map(|entry| SuiteFilter::new(self, entry)).transpose()?;

        let usual_ms = u64::try_from(request.deadline.as_millis()).unwrap_or(u64::MAX);
        let scenarios = self
            .scenarios()
            .filter(|scenario| suite.as_ref().is_none_or(|suite| suite.holds(scenario)))
            .filter(|scenario| criteria.matches(scenario))
            .filter(|scenario| !skip.iter().any(|skip| skip.matches(scenario)))
            .map(|scenario| {
                let mut planned: PlannedScenario = scenario.planned.clone();
                planned.deadline_ms = deadline_ms(planned.deadline_ms, usual_ms);
                planned
            })
            .collect();
        Ok(Plan { selection: selection.clone(), scenarios })
    }

    /// The checks of a suite that stands for somebody else's catalogue, each with its scenarios, in the order of the
    /// suite; an outline's rows that are all meant are one entry.
    pub fn checks(&self, suite: &SuiteEntry) -> Result<Vec<(String, Vec<String>)>, SelectError> {
        let mut checks: Vec<(String, Vec<String>)> = Vec::new();
        for selector in &suite.suite.spec.include {
            let Some(check) = &selector.check else { continue };
            let criteria = criteria(self, selector)?;
            let meant = |scenario: &&super::Scenario| criteria.matches(scenario);
            let mut names: Vec<String> = Vec::new();
            for scenario in self.scenarios().filter(meant) {
                let whole =
                    self.scenarios().filter(|other| other.outline == scenario.outline).all(|row| meant(&row));
                let name = if whole { &scenario.outline.0 } else { &scenario.planned.id.0 };
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            match checks.iter_mut().find(|(known, _)| known == check) {
                Some((_, known)) => known.extend(names),
                None => checks.push((check.clone(), names)),
            }
        }
        Ok(checks)
    }

    /// A suite by its name.
    pub fn suite(&self, name: &str) -> Result<&SuiteEntry, SelectError> {
        self.suites().iter().find(|entry| entry.suite.metadata.name == name).ok_or_else(|| {
            let known = self.suites().iter().map(|entry| entry.suite.metadata.name.as_str());
            SelectError::unknown("suite", name, known, "suites")
        })
    }
}

/// How long a scenario may take, in milliseconds, by what its tag says (0 where it has none) and by what is usual.
///
/// Tags are written for a cluster of usual speed, so that a profile that gives every scenario more time than usual gives
/// those more as well, in proportion. Never less: what has a tag needs that time on the fastest cluster.
fn deadline_ms(tagged_ms: u64, usual_ms: u64) -> u64 {
    if tagged_ms == 0 {
        return usual_ms;
    }
    let standard = Deadlines::default().scenario.as_millis();
    let stretched = u128::from(tagged_ms) * u128::from(usual_ms) / u128::from(standard.max(1));
    u64::try_from(stretched).unwrap_or(u64::MAX).max(tagged_ms)
}

/// A suite, checked.
pub(super) struct SuiteFilter<'a> {
    entry: &'a SuiteEntry,
    include: Vec<Criteria>,
    exclude: Vec<Criteria>,
}

impl<'a> SuiteFilter<'a> {
    pub fn new(catalog: &Catalog, entry: &'a SuiteEntry) -> Result<Self, SelectError> {
        let check = |selectors: &[Selector]| -> Result<Vec<_>, _> {
            selectors.iter().map(|selector| criteria(catalog, selector)).collect()
        };
        let spec = &entry.suite.spec;
        Ok(Self { entry, include: check(&spec.include)?, exclude: check(&spec.exclude)? })
    }

    pub fn holds(&self, scenario: &super::Scenario) -> bool {
        self.include.iter().any(|criteria| criteria.matches(scenario))
            && !self.exclude.iter().any(|criteria| criteria.matches(scenario))
            && self.entry.suite.spec.max_risk.is_none_or(|risk| scenario.planned.risk <= risk)
    }
}

pub(super) fn criteria(catalog: &Catalog, selector: &Selector) -> Result<Criteria, SelectError> {
    Criteria::new(
        catalog,
        selector.tags.as_ref().map(|tags| tags.value.as_str()),
        selector.requirements.iter().map(|id| id.value.as_str()),
        selector.scenarios.iter().map(|pattern| pattern.value.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_profile_stretches_the_deadlines_of_tags_too_and_a_strict_one_cuts_none() {
        let of = |usual: u64, tagged: u64| deadline_ms(tagged * 1000, usual * 1000) / 1000;
        assert_eq!(of(120, 0), 120);
        assert_eq!(of(120, 300), 300);
        assert_eq!(of(960, 0), 960);
        assert_eq!(of(960, 300), 2400);
        assert_eq!(of(30, 0), 30);
        assert_eq!(of(30, 300), 300);
        assert_eq!(of(u64::MAX / 1000, 300), u64::MAX / 1000);
    }
}
