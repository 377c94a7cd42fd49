//! The grade as a section of the page.

use askama::Template;

use super::format::RenderError;
use super::grade::{GivenGrade, Graded, Kill};
use super::words::{count, duration_ms};

#[derive(Template)]
#[template(path = "grade.html")]
struct Section<'a> {
    given: &'a GivenGrade,
    intro: String,
    rates: Vec<Rate<'a>>,
    survivors: Vec<Survivor<'a>>,
    sound: Option<String>,
}

struct Rate<'a> {
    requirement: &'a str,
    word: String,
    tone: &'static str,
}

struct Survivor<'a> {
    sabotage: &'a Graded,
    lines: Vec<String>,
}

/// The section, as HTML.
pub(super) fn render(given: &GivenGrade) -> Result<String, RenderError> {
    let grade = &given.grade;
    let section = Section {
        given,
        intro: format!(
            "{} broke the platform {} of {}, within {}: {} of them noticed for the stated reason.",
            count(grade.sabotages.len(), "sabotage", "sabotages"),
            grade.context,
            grade.started,
            duration_ms(grade.took_ms),
            grade.killed()
        ),
        rates: grade
            .requirements
            .iter()
            .map(|rate| Rate {
                requirement: &rate.requirement,
                word: format!("{} of {}", rate.killed, rate.tried),
                tone: if rate.killed == rate.tried { "passed" } else { "failed" },
            })
            .collect(),
        survivors: grade
            .sabotages
            .iter()
            .filter(|one| !one.is_killed())
            .map(|sabotage| Survivor { sabotage, lines: lines(sabotage) })
            .collect(),
        sound: grade.sound.as_ref().map(|sound| {
            format!(
                "{} on the sound platform, {} each: {}.",
                count(sound.runs, "run", "runs"),
                count(sound.scenarios, "scenario", "scenarios"),
                count(sound.false_alarms.len(), "false alarm", "false alarms")
            )
        }),
    };
    Ok(section.render()?)
}

/// What a survivor's scenarios said, or why it was not in effect.
pub(super) fn lines(one: &Graded) -> Vec<String> {
    if one.scenarios.is_empty() {
        return one.effect.clone();
    }
    let said = one.scenarios.iter().filter_map(|(scenario, kill)| match kill {
        Kill::Killed { .. } => None,
        Kill::WrongReason { reason } => Some(format!("{scenario}: red, but: {reason}")),
        Kill::Survived { outcome, reason } => {
            Some(format!("{scenario}: {outcome}: {}", reason.as_deref().unwrap_or("no reason")))
        }
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::super::grade::tests::sample;
    use super::*;

    #[test]
    fn survivors_stand_by_name_and_text_of_others_is_only_text() {
        let given = GivenGrade { sha256: "ab".into(), recorded: false, grade: sample() };
        let html = render(&given).unwrap();
        for words in
            ["a-survived", "NET-02", "1 of 2", "something &#60;else&#62;", "1 false alarm", "not part of"]
        {
            assert!(html.contains(words), "{words}: {html}");
        }
        assert!(!html.contains("b-noticed"), "{html}");
    }
}
