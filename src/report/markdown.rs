//! Markdown for a comment on a change or a step summary: short enough for either, details folded away.

use super::model::{Model, Scenario};
use super::words::{BY_WEIGHT, count, duration_ms, one_line, shown, tally};
use crate::engine::{Level, Outcome};

/// A comment on GitHub holds 65,536 characters.
const MOST_CHARS: usize = 60_000;
const MOST_TENANTS: usize = 12;

/// The whole report; what does not fit is counted, never dropped in silence.
pub(super) fn render(model: &Model) -> String {
    let mut out = head(model);
    out += &requirements(model);
    out += &matrix(model);
    out += &model.grade.as_ref().map(super::grade_markdown::render).unwrap_or_default();
    let mut left = 0;
    for outcome in BY_WEIGHT.into_iter().filter(|outcome| *outcome != Outcome::Passed) {
        let scenarios: Vec<&Scenario> = model.with_outcome(outcome).collect();
        if scenarios.is_empty() {
            continue;
        }
        out += &format!("\n### {} ({})\n\n", capitalised(outcome.word()), scenarios.len());
        for scenario in scenarios {
            let text = trouble(scenario);
            if out.len() + text.len() > MOST_CHARS {
                left += 1;
            } else {
                out += &text;
            }
        }
    }
    if left > 0 {
        out += &format!(
            "\n{} left out here; the HTML and JSON reports have them.\n",
            count(left, "scenario is", "scenarios are")
        );
    }
    out + &tail(model)
}

fn head(model: &Model) -> String {
    let run = &model.run;
    // The exit code of a journal that is not to be relied on is no more than a claim.
    let exit = run.exit.filter(|_| model.unsound().is_none());
    let exit = exit.map_or_else(String::new, |exit| format!(" (exit {exit})"));
    let mut out = format!("## Plimsoll: {}{exit}\n\n", text(&run.verdict));
    out += &format!(
        "**{}**: {}. Run `{}` of {}, {}, profile {}, seed {}.\n",
        count(model.accounting.planned, "scenario", "scenarios"),
        tally(&model.tally),
        code(&run.id),
        run.started,
        duration_ms(run.took_ms),
        text(&run.profile),
        run.seed
    );
    if let Some(cluster) = &model.cluster {
        out += &format!(
            "Cluster {} {}, {}, {}.\n",
            text(&cluster.provider),
            text(&cluster.context),
            text(&cluster.server_version),
            count(cluster.nodes.len(), "node", "nodes")
        );
        if !cluster.stand_ins.is_empty() {
            let parts: Vec<String> = cluster.stand_ins.iter().map(|part| text(part)).collect();
            out += &format!("\n> **Stand-ins:** {}\n", parts.join("; "));
        }
    }
    for problem in &model.accounting.problems {
        out += &format!("\n> **Does not add up:** {}\n", text(problem));
    }
    // Also of an intact journal: a record that this version does not know is left out of what follows.
    for problem in &model.journal.problems {
        let word = model.journal.integrity.word();
        out += &format!("\n> **Journal {word}:** {}\n", text(&problem.to_string()));
    }
    out
}

fn requirements(model: &Model) -> String {
    let mut out = String::from(
        "\n| verdict | requirement | level | promise | proven by |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut any = false;
    for requirement in model.requirements.iter().filter(|r| r.outcome.is_some()) {
        any = true;
        let level = match requirement.info.level {
            Level::Must => "must",
            Level::Should => "should",
        };
        let word = requirement.word();
        let word = if word == "passed" { word.to_owned() } else { format!("**{word}**") };
        out += &format!(
            "| {word} | {} | {level} | {} | {} of {} |\n",
            text(&requirement.info.id),
            text(&requirement.info.promise),
            requirement.tally.passed,
            requirement.tally.total()
        );
    }
    if any { out } else { String::new() }
}

fn matrix(model: &Model) -> String {
    let Some(matrix) = &model.matrix else { return String::new() };
    let mut out = format!("\n### Who reaches whom ({})\n\n", count(matrix.probes, "attempt", "attempts"));
    if matrix.rows.len() > MOST_TENANTS || matrix.columns.len() > MOST_TENANTS {
        let off: Vec<_> = matrix.off().collect();
        out += &format!(
            "{} x {} tenants, {} not as promised\n",
            matrix.rows.len(),
            matrix.columns.len(),
            count(off.len(), "pair", "pairs")
        );
        for (from, to, cell) in off.into_iter().take(20) {
            out += &format!(
                "- {} to {}: **{}**, {} of {}\n",
                text(from),
                text(to),
                cell.state.word(),
                cell.off,
                cell.tried
            );
        }
        return out;
    }
    let heads: Vec<String> = matrix.columns.iter().map(|column| text(column)).collect();
    out += &format!("| from / to | {} |\n|{}\n", heads.join(" | "), " --- |".repeat(heads.len() + 1));
    for (row, cells) in matrix.rows.iter().zip(&matrix.cells) {
        let words: Vec<String> = cells
            .iter()
            .map(|cell| match cell.off {
                0 => cell.state.word().to_owned(),
                off => format!("**{}** ({off} of {})", cell.state.word(), cell.tried),
            })
            .collect();
        out += &format!("| {} | {} |\n", text(row), words.join(" | "));
    }
    out
}

fn trouble(scenario: &Scenario) -> String {
    let mut out = format!("- **{}** {}", text(&scenario.requirements.join(" ")), text(&scenario.name));
    if let Some(reason) = &scenario.reason {
        out += &format!("  \n  {}", text(&reason.message));
    }
    out += &format!("  \n  `{}:{}`\n", code(&scenario.file), scenario.line);
    let repeat = scenario.repeat.as_ref().filter(|_| scenario.outcome != Outcome::NotApplicable);
    let mut block: Vec<String> = Vec::new();
    if let Some(reason) = &scenario.reason {
        block.extend(reason.details.iter().take(10).map(|detail| one_line(detail)));
        if reason.details.len() > 10 {
            block.push(format!("and {} more", reason.details.len() - 10));
        }
        block.extend(reason.hint.iter().map(|hint| format!("hint: {}", one_line(hint))));
    }
    block.extend(repeat.map(|repeat| shown(repeat)));
    if !block.is_empty() {
        // A fence longer than any in the text cannot be closed by it.
        let fence = "`".repeat(longest_run(&block).max(2) + 1);
        out += &format!("  <details><summary>details and repeat</summary>\n\n  {fence}text\n");
        for line in block {
            out += &format!("  {line}\n");
        }
        out += &format!("  {fence}\n\n  </details>\n");
    }
    out
}

fn tail(model: &Model) -> String {
    let mut out = String::new();
    if !model.leftovers.is_empty() {
        out += "\n### Left behind\n\n";
        for leftover in &model.leftovers {
            out += &format!("- {}: {}\n", text(&leftover.reference), text(&leftover.why));
        }
    }
    if !model.warnings.is_empty() {
        out += "\n### Warnings\n\n";
        for warning in &model.warnings {
            out += &format!("- {}\n", text(warning));
        }
    }
    out + &format!(
        "\n<sub>plimsoll {}, journal head `{}`</sub>\n",
        text(&model.run.version),
        code(&model.journal.head)
    )
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn longest_run(lines: &[String]) -> usize {
    lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0)
}

/// Text of others between backticks, which it cannot close.
fn code(raw: &str) -> String {
    one_line(raw).replace('`', "'")
}

/// Text of others: no mark-up, no mention, no cell border comes out of it.
pub(super) fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in one_line(raw).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A zero-width joiner keeps `@name` from calling anybody.
            '@' => out.push_str("@\u{200d}"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '#' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_status_is_there() {
        insta::assert_snapshot!(render(&sample::model()));
    }

    #[test]
    fn it_stays_short_enough_for_a_comment_and_says_what_it_left_out() {
        let mut model = sample::model();
        let failed = model.with_outcome(Outcome::Failed).next().unwrap().clone();
        model.scenarios = vec![failed; 2_000];
        let text = render(&model);
        assert!(text.len() < 65_536, "{}", text.len());
        assert!(text.contains("scenarios are left out here"));
    }

    #[test]
    fn text_of_others_is_only_text() {
        assert_eq!(text("a|b <b>@you</b> `x`\n# y"), "a\\|b &lt;b&gt;@\u{200d}you&lt;/b&gt; \\`x\\` \\# y");
    }
}
