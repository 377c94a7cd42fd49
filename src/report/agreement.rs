//! Whether runs of the same plan on the same platform agree: a suite that contradicts itself proves nothing.

use std::collections::BTreeMap;

use super::model::Model;
use super::words::{count, duration_ms, tally};
use crate::engine::Outcome;

/// Several runs of one plan, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    runs: Vec<String>,
    /// By scenario and outcome: the runs, from 1.
    outcomes: BTreeMap<String, BTreeMap<&'static str, Vec<usize>>>,
    /// One reason for each outcome that is not passed, by scenario.
    reasons: BTreeMap<(String, &'static str), String>,
}

impl Agreement {
    /// Takes in the next run. Gives one line that says how it went.
    pub fn add(&mut self, model: &Model) -> String {
        let run = self.runs.len() + 1;
        let line = format!(
            "run {run}: {} (seed {}) in {}: {}",
            model.run.id,
            model.run.seed,
            duration_ms(model.run.took_ms),
            tally(&model.tally)
        );
        for scenario in &model.scenarios {
            let word = scenario.outcome.word();
            self.outcomes.entry(scenario.id.clone()).or_default().entry(word).or_default().push(run);
            if scenario.outcome != Outcome::Passed {
                let reason = scenario.reason.as_ref().map_or("no reason", |reason| reason.message.as_str());
                let key = (scenario.id.clone(), word);
                self.reasons.entry(key).or_insert_with(|| format!("run {run}: {reason}"));
            }
        }
        self.runs.push(line.clone());
        line
    }

    /// How many runs there were.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Whether every scenario ended in the same way each time.
    pub fn holds(&self) -> bool {
        self.outcomes.values().all(|outcomes| outcomes.len() == 1)
    }

    /// What there is to say in the end.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for line in &self.runs {
            out += &format!("{line}\n");
        }
        for (scenario, outcomes) in &self.outcomes {
            if outcomes.len() == 1 {
                continue;
            }
            let words: Vec<_> = outcomes
                .iter()
                .map(|(word, runs)| {
                    let runs: Vec<_> = runs.iter().take(10).map(ToString::to_string).collect();
                    format!("{word} in run {}", runs.join(", "))
                })
                .collect();
            out += &format!("DISAGREES: {scenario}: {}\n", words.join("; "));
            for word in outcomes.keys() {
                if let Some(reason) = self.reasons.get(&(scenario.clone(), *word)) {
                    out += &format!("    {reason}\n");
                }
            }
        }
        let disagree = self.outcomes.values().filter(|outcomes| outcomes.len() > 1).count();
        out + &format!(
            "{} of {}: {}\n",
            count(self.runs.len(), "run", "runs"),
            count(self.outcomes.len(), "scenario", "scenarios"),
            match disagree {
                0 => "all agree".to_owned(),
                some => format!("{some} disagree"),
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn one_scenario_that_ends_otherwise_once_is_a_disagreement() {
        let mut agreement = Agreement::default();
        let mut model = sample::model();
        agreement.add(&model);
        agreement.add(&model);
        assert!(agreement.holds());
        assert!(agreement.render().contains("all agree"));
        let scenario = model.scenarios.iter_mut().find(|one| one.outcome == Outcome::Passed).unwrap();
        scenario.outcome = Outcome::Inconclusive;
        let id = scenario.id.clone();
        agreement.add(&model);
        assert!(!agreement.holds());
        let text = agreement.render();
        assert!(
            text.contains(&format!("DISAGREES: {id}: inconclusive in run 3; passed in run 1, 2")),
            "{text}"
        );
        assert!(text.ends_with("1 disagree\n"), "{text}");
    }
}
