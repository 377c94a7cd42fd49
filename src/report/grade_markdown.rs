//! The grade as a section of the Markdown report.

use super::grade::GivenGrade;
use super::grade_html::lines;
use super::markdown::text;
use super::words::count;

/// More survivors than this are counted only.
const MOST: usize = 20;

/// The section.
pub(super) fn render(given: &GivenGrade) -> String {
    let grade = &given.grade;
    let mut out = format!(
        "\n### The suite's own grade\n\n{}, {} noticed for the stated reason{}.\n",
        count(grade.sabotages.len(), "sabotage", "sabotages"),
        grade.killed(),
        if grade.complete { "" } else { "; **not complete**" }
    );
    if let Some(sound) = &grade.sound {
        out += &format!(
            "{} on the sound platform: {}.\n",
            count(sound.runs, "run", "runs"),
            count(sound.false_alarms.len(), "false alarm", "false alarms")
        );
    }
    let weak: Vec<_> = grade.requirements.iter().filter(|rate| rate.killed < rate.tried).collect();
    if !weak.is_empty() {
        out += "\n| requirement | noticed |\n| --- | --- |\n";
        for rate in weak {
            out += &format!("| {} | **{} of {}** |\n", text(&rate.requirement), rate.killed, rate.tried);
        }
        out += "\n";
    }
    let survivors: Vec<_> = grade.sabotages.iter().filter(|one| !one.is_killed()).collect();
    for one in survivors.iter().take(MOST) {
        out += &format!("- **{}** {}: {}\n", text(&one.name), one.verdict.word(), text(&one.breaks));
        for line in lines(one) {
            out += &format!("  - {}\n", text(&line));
        }
    }
    if survivors.len() > MOST {
        out += &format!("- and {} more\n", survivors.len() - MOST);
    }
    for (name, why) in &grade.not_tried {
        out += &format!("- **{}** not tried: {}\n", text(name), text(why));
    }
    let recorded = if given.recorded { "recorded in the journal" } else { "not part of the journal" };
    out + &format!("\n<sub>grade `{}`, {recorded}</sub>\n", given.sha256)
}

#[cfg(test)]
mod tests {
    use super::super::grade::tests::sample;
    use super::*;

    #[test]
    fn weak_requirements_and_survivors_stand_by_name() {
        let given = GivenGrade { sha256: "ab".into(), recorded: true, grade: sample() };
        let out = render(&given);
        for words in [
            "4 sabotages, 1 noticed",
            "| NET-02 | **1 of 2** |",
            "**a-survived** SURVIVED",
            "&lt;else&gt;",
            "recorded in",
        ] {
            assert!(out.contains(words), "{words}: {out}");
        }
        assert!(!out.contains("| NET-01 |") && !out.contains("b-noticed"), "{out}");
    }
}
