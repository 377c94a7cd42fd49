//! The grade for the eye: kill rate by requirement, survivors by name, false alarms.

use super::grade::{Grade, Graded, Kill};
use super::words::count;

/// As text, without colour.
pub fn render(grade: &Grade) -> String {
    let mut out = String::from("REQUIREMENT  NOTICED\n");
    for rate in &grade.requirements {
        let mark = if rate.killed == rate.tried { "" } else { "  <-" };
        out += &format!("{:<11}  {} of {}{mark}\n", rate.requirement, rate.killed, rate.tried);
    }
    out += "\n";
    for one in grade.sabotages.iter().filter(|one| !one.is_killed()) {
        out += &survivor(one);
    }
    if let Some(sound) = &grade.sound {
        for alarm in &sound.false_alarms {
            out += &format!(
                "false alarm in run {} (seed {}): {}: {}: {}\n",
                alarm.run,
                alarm.seed,
                alarm.scenario,
                alarm.outcome,
                alarm.reason.as_deref().unwrap_or("no reason")
            );
        }
        out += &format!(
            "{} on the sound platform, {} each: {}\n",
            count(sound.runs, "run", "runs"),
            count(sound.scenarios, "scenario", "scenarios"),
            count(sound.false_alarms.len(), "false alarm", "false alarms")
        );
    }
    out += &format!(
        "{}, {} noticed for the stated reason, {} not\n",
        count(grade.sabotages.len(), "sabotage", "sabotages"),
        grade.killed(),
        grade.survivors.len()
    );
    for (name, why) in &grade.not_tried {
        out += &format!("not tried: {name}: {why}\n");
    }
    if !grade.complete {
        out += "not complete: it ended before everything was tried\n";
    }
    out
}

/// In one line, below the summary of a run.
pub(super) fn line(grade: &Grade) -> String {
    let mut text = format!(
        "{} of {} noticed for the stated reason",
        grade.killed(),
        count(grade.sabotages.len(), "sabotage", "sabotages")
    );
    if !grade.survivors.is_empty() {
        text += &format!("; not: {}", grade.survivors.join(", "));
    }
    text
}

/// One that was not noticed, with what each of its scenarios said.
pub fn survivor(one: &Graded) -> String {
    let mut out = format!("{}: {} ({})\n", one.verdict.word(), one.name, one.breaks);
    if one.scenarios.is_empty() {
        out += &one.effect.iter().map(|line| format!("    {line}\n")).collect::<String>();
    }
    for (scenario, kill) in &one.scenarios {
        match kill {
            Kill::Killed { .. } => {}
            Kill::WrongReason { reason } => out += &format!("    {scenario}: red, but: {reason}\n"),
            Kill::Survived { outcome, reason } => {
                out += &format!("    {scenario}: {outcome}: {}\n", reason.as_deref().unwrap_or("no reason"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::grade::tests::sample;
    use super::*;

    #[test]
    fn survivors_and_false_alarms_stand_out() {
        insta::assert_snapshot!(render(&sample()), @r"
        REQUIREMENT  NOTICED
        IAM-04       0 of 1  <-
        NET-01       1 of 1
        NET-02       1 of 2  <-
        TEN-03       0 of 1  <-

        SURVIVED: a-survived (breaks | a-survived)
            network/a/b: passed: no reason
        WRONG REASON: c-other (breaks | c-other)
            network/a/b: red, but: something <else>
        NOT IN EFFECT: d-nothing (breaks | d-nothing)
            read back: v1/ConfigMap x
        false alarm in run 3 (seed 10): tenancy/quota/x: inconclusive: a pod was stuck
        50 runs on the sound platform, 40 scenarios each: 1 false alarm
        4 sabotages, 1 noticed for the stated reason, 3 not
        ");
    }
}
