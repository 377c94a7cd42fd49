//! The summary for the eye: 80 columns, and every status is a word.

use tabled::builder::Builder;
use tabled::settings::object::{Cell, Columns, Rows};
use tabled::settings::peaker::PriorityMax;
use tabled::settings::width::Wrap;
use tabled::settings::{Color, Padding, Style};

use super::model::{Model, RunState};
use super::palette::Palette;
use super::tenants::TenantMatrix;
use super::words::{BY_WEIGHT, count, duration_ms, one_line, shown, tally};
use crate::engine::{Level, Outcome};
use crate::evidence::Integrity;

const WIDTH: usize = 80;

/// More tenants than this do not fit beside each other.
const MOST_TENANTS: usize = 5;

/// The summary, with colours where asked.
pub fn render(model: &Model, color: bool) -> String {
    let palette = Palette(color);
    let mut sections =
        vec![head(model, palette), requirements(model, color), matrix(model), troubles(model, palette)];
    sections.push(notes(model, palette));
    sections.push(counts(model, palette));
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

fn head(model: &Model, palette: Palette) -> String {
    let run = &model.run;
    let mut text = format!(
        "{} run {} of {}, {}, {}\n",
        palette.strong(&format!("plimsoll {}", shown(&run.version))),
        shown(&run.id),
        run.started,
        duration_ms(run.took_ms),
        run.state.word()
    );
    text += &wrapped("profile", &format!("{}, seed {}", run.profile, run.seed));
    match &model.cluster {
        Some(cluster) => {
            let nodes = count(cluster.nodes.len(), "node", "nodes");
            text += &wrapped(
                "cluster",
                &format!("{} {}, {}, {nodes}", cluster.provider, cluster.context, cluster.server_version),
            );
            for stand_in in &cluster.stand_ins {
                text += &wrapped("stand-in", stand_in);
            }
        }
        None => text += &wrapped("cluster", "it never answered"),
    }
    if let Some(given) = &model.grade {
        text += &wrapped("grade", &super::grade_text::line(&given.grade));
    }
    // The exit code of a journal that is not to be relied on is no more than a claim.
    let exit = run.exit.filter(|_| model.unsound().is_none());
    let exit = exit.map_or_else(String::new, |exit| format!(" (exit {exit})"));
    text += &wrapped(&palette.strong("verdict"), &format!("{}{exit}", run.verdict));
    text + &worth(model, palette)
}

/// What is wrong with the journal: right under the verdict, since nothing below is worth more than that.
fn worth(model: &Model, palette: Palette) -> String {
    let mut text = String::new();
    if model.run.state == RunState::Killed || model.journal.integrity != Integrity::Intact {
        text += &wrapped(&palette.warn("journal"), &format!("it is {}", model.journal.integrity.word()));
    }
    for problem in &model.journal.problems {
        text += &wrapped(&palette.warn("journal"), &problem.to_string());
    }
    for problem in &model.accounting.problems {
        text += &wrapped(&palette.warn("does not add up"), problem);
    }
    text
}

fn requirements(model: &Model, color: bool) -> String {
    let selected: Vec<_> = model.requirements.iter().filter(|r| r.outcome.is_some()).collect();
    if selected.is_empty() {
        return String::new();
    }
    let mut rows = vec![["verdict", "id", "level", "promise", "proven by"].map(str::to_owned)];
    for requirement in &selected {
        let level = match requirement.info.level {
            Level::Must => "must",
            Level::Should => "should",
        };
        rows.push([
            requirement.word().to_owned(),
            shown(&requirement.info.id),
            level.to_owned(),
            one_line(&requirement.info.promise),
            format!("{} of {}", requirement.tally.passed, requirement.tally.total()),
        ]);
    }
    // The promise takes what the others leave.
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0) + 1;
    let promise = WIDTH.saturating_sub([0, 1, 2, 4].map(widest).iter().sum::<usize>() + 5).max(20);
    let mut builder = Builder::default();
    for [verdict, id, level, sentence, proven] in rows {
        builder.push_record([verdict, id, level, fold(&sentence, promise).join("\n"), proven]);
    }
    let mut table = builder.build();
    table.with(Style::blank()).with(Padding::new(0, 1, 0, 0));
    if color {
        for (row, requirement) in selected.iter().enumerate() {
            table.modify(Cell::new(row + 1, 0), color_of(requirement.outcome));
        }
        table.modify(Rows::first(), Color::BOLD);
    }
    let mut text = trimmed(&table.to_string());
    let others = model.requirements.len() - selected.len();
    if others > 0 {
        text +=
            &format!("{} not selected\n", count(others, "more requirement was", "more requirements were"));
    }
    text
}

fn color_of(outcome: Option<Outcome>) -> Color {
    match outcome {
        Some(Outcome::Passed) => Color::FG_GREEN,
        Some(Outcome::Failed) => Color::BOLD | Color::FG_RED,
        Some(Outcome::Inconclusive) => Color::BOLD | Color::FG_YELLOW,
        Some(Outcome::Waived) => Color::FG_CYAN,
        Some(Outcome::NotRun) => Color::FG_MAGENTA,
        Some(Outcome::NotApplicable) | None => Color::FG_WHITE,
    }
}

fn matrix(model: &Model) -> String {
    let Some(matrix) = &model.matrix else { return String::new() };
    // A run that tries every kind of address has more captions than a line holds; the page lists them all.
    let paths = match matrix.captions.as_slice() {
        few if few.len() <= 2 => shown(&few.join(", ")),
        many => count(many.len(), "kind of path", "kinds of path"),
    };
    let title = format!("tenant x tenant, {} ({paths})\n", count(matrix.probes, "attempt", "attempts"));
    let body = if matrix.rows.len() <= MOST_TENANTS && matrix.columns.len() <= MOST_TENANTS {
        grid(matrix)
    } else {
        let off: Vec<String> = matrix
            .off()
            .map(|(from, to, cell)| {
                let (from, to) = (shown(from), shown(to));
                format!("{from} -> {to}: {}, {} of {}", cell.state.word(), cell.off, cell.tried)
            })
            .collect();
        listing(&off, "every pair of tenants is as promised")
    };
    title + &body
}

fn grid(matrix: &TenantMatrix) -> String {
    let mut builder = Builder::default();
    let heads = matrix.columns.iter().map(|column| shown(column));
    builder.push_record(std::iter::once("from \\ to".to_owned()).chain(heads));
    for (row, cells) in matrix.rows.iter().zip(&matrix.cells) {
        let words = cells.iter().map(|cell| {
            if cell.off == 0 {
                cell.state.word().to_owned()
            } else {
                format!("{} ({} of {})", cell.state.word(), cell.off, cell.tried)
            }
        });
        builder.push_record(std::iter::once(shown(row)).chain(words));
    }
    let mut table = builder.build();
    table.with(Style::blank()).with(Padding::new(0, 1, 0, 0));
    table.modify(Columns::first(), Padding::new(2, 1, 0, 0));
    table.with(Wrap::new(WIDTH).keep_words(true).priority(PriorityMax::right()));
    trimmed(&table.to_string())
}

fn listing(lines: &[String], none: &str) -> String {
    const MOST: usize = 10;
    if lines.is_empty() {
        return format!("  {none}\n");
    }
    let mut text: String = lines.iter().take(MOST).map(|line| format!("  {line}\n")).collect();
    if lines.len() > MOST {
        text += &format!("  and {} more\n", lines.len() - MOST);
    }
    text
}

fn troubles(model: &Model, palette: Palette) -> String {
    let mut text = String::new();
    for outcome in BY_WEIGHT.into_iter().filter(|outcome| *outcome != Outcome::Passed) {
        for scenario in model.with_outcome(outcome) {
            let word = palette.outcome(outcome, outcome.word());
            let requirements = scenario.requirements.join(" ");
            let title =
                fold(&format!("{} {requirements} {}", outcome.word(), one_line(&scenario.name)), WIDTH - 2);
            text += &title.join("\n  ").replacen(outcome.word(), &word, 1);
            text.push('\n');
            if let Some(reason) = &scenario.reason {
                text += &indented(&one_line(&reason.message));
            }
            // On one line, whatever its length, so that it can be copied.
            if let Some(repeat) = scenario.repeat.as_ref().filter(|_| outcome != Outcome::NotApplicable) {
                text += &format!("  {}\n", palette.dim(&shown(repeat)));
            }
        }
    }
    text
}

fn notes(model: &Model, palette: Palette) -> String {
    let mut text = String::new();
    for leftover in &model.leftovers {
        text +=
            &wrapped(&palette.warn("left"), &format!("{}: {}", leftover.reference, one_line(&leftover.why)));
    }
    for warning in &model.warnings {
        text += &wrapped(&palette.warn("warning"), &one_line(warning));
    }
    text
}

fn counts(model: &Model, palette: Palette) -> String {
    let planned = count(model.accounting.planned, "scenario", "scenarios");
    let all = fold(&format!("{planned} planned: {}", tally(&model.tally)), WIDTH);
    let mut text: String = all.iter().map(|line| palette.strong(line) + "\n").collect();
    text += &format!("journal head {}\n", shown(&model.journal.head));
    text
}

/// `label   text`, wrapped at 80 columns under the text.
fn wrapped(label: &str, text: &str) -> String {
    let lines = fold(text, WIDTH - 10);
    let mut out = String::new();
    for (n, line) in lines.iter().enumerate() {
        let visible = visible(label);
        let pad = if n == 0 { 9_usize.saturating_sub(visible) } else { 9 };
        let label = if n == 0 { label } else { "" };
        out += &format!("{label}{:pad$} {line}\n", "");
    }
    out
}

/// The columns of a text: colour codes take none.
fn visible(text: &str) -> usize {
    let mut parts = text.split('\u{1b}');
    let plain = parts.next().map_or(0, |part| part.chars().count());
    plain + parts.map(|part| part.split_once('m').map_or(0, |(_, rest)| rest.chars().count())).sum::<usize>()
}

fn indented(text: &str) -> String {
    fold(text, WIDTH - 2).iter().map(|line| format!("  {line}\n")).collect()
}

/// Breaks between words; a word that is longer than a line stays whole. Colours come later: until then all text
/// is that of others, and nothing in it may act on the terminal.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in shown(text).split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            word.clone_into(line);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Without the blanks at the ends of lines that a table pads with.
fn trimmed(table: &str) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_status_is_a_word() {
        insta::assert_snapshot!(render(&sample::model(), false));
    }

    #[test]
    fn it_fits_eighty_columns_but_for_commands_and_hashes() {
        for line in render(&sample::model(), false).lines() {
            let copied = line.trim_start().starts_with("plimsoll run") || line.starts_with("journal head");
            assert!(copied || line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn colour_is_on_top_of_words() {
        let colored = render(&sample::model(), true);
        assert!(colored.contains("\u{1b}[1;31m") || colored.contains("\u{1b}[1m\u{1b}[31m"));
        assert!(!render(&sample::model(), false).contains('\u{1b}'));
    }
}
