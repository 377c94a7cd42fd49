//! Pieces of evidence on the page.

use askama::Template;
use serde_json::Value;

use super::grid::{Cell, Grid, class_of};
use super::tenants::CellState;
use super::words::{count, duration_us};
use crate::engine::{ComparisonRow, ControlPhase, Evidence, EvidenceBody};

/// Characters of one object or text on the page; the JSON report and the journal have all of it.
const MOST_CHARS: usize = 60_000;

/// Lines that a text may have to stand open.
const MOST_OPEN: usize = 6;

/// Lines that say what is off beside a picture.
const MOST_OFF: usize = 100;

#[derive(Template)]
#[template(path = "evidence.html")]
struct Block<'a> {
    title: &'a str,
    view: View<'a>,
}

enum View<'a> {
    Attempts(Attempts),
    Matrix(Matrix),
    Comparison(&'a [ComparisonRow]),
    Timing(Timing),
    Text(Text),
}

struct Attempts {
    /// True where all of them are positive controls.
    control: bool,
    rows: Vec<Attempt>,
}

struct Attempt {
    title: String,
    control: &'static str,
    from: String,
    to: String,
    accepted: String,
    verdict: String,
    tone: &'static str,
    took: String,
    detail: String,
}

struct Matrix {
    control: &'static str,
    caption: String,
    summary: String,
    body: Grid,
    off: Vec<String>,
}

struct Timing {
    head: String,
    rows: Vec<TimingRow>,
}

struct TimingRow {
    name: String,
    value: String,
    percent: u64,
    tone: &'static str,
    note: &'static str,
}

struct Text {
    content: String,
    note: String,
    short: bool,
}

/// Renders evidence in order; attempts that follow each other share a table.
pub(super) fn blocks(evidence: &[Evidence]) -> askama::Result<Vec<String>> {
    let mut blocks = Vec::new();
    let mut attempts: Vec<Attempt> = Vec::new();
    for piece in evidence {
        if let Some(attempt) = attempt(piece) {
            attempts.push(attempt);
            continue;
        }
        flush(&mut attempts, &mut blocks)?;
        blocks.push(Block { title: &piece.title, view: view(&piece.body) }.render()?);
    }
    flush(&mut attempts, &mut blocks)?;
    Ok(blocks)
}

fn flush(attempts: &mut Vec<Attempt>, blocks: &mut Vec<String>) -> askama::Result<()> {
    if !attempts.is_empty() {
        let rows = std::mem::take(attempts);
        let control = rows.iter().all(|row| !row.control.is_empty());
        blocks.push(Block { title: "", view: View::Attempts(Attempts { control, rows }) }.render()?);
    }
    Ok(())
}

const fn control_word(control: Option<ControlPhase>) -> &'static str {
    match control {
        None => "",
        Some(ControlPhase::Before) => "positive control, before",
        Some(ControlPhase::After) => "positive control, after",
    }
}

fn attempt(piece: &Evidence) -> Option<Attempt> {
    let EvidenceBody::Attempt { from, to, accepted, verdict, took_us, control, detail } = &piece.body else {
        return None;
    };
    Some(Attempt {
        title: piece.title.clone(),
        control: control_word(*control),
        from: from.clone(),
        to: to.clone(),
        accepted: accepted.join(" or "),
        verdict: verdict.clone(),
        tone: if accepted.contains(verdict) { "passed" } else { "failed" },
        took: duration_us(*took_us),
        detail: if detail.is_null() { String::new() } else { yaml(detail) },
    })
}

fn view(body: &EvidenceBody) -> View<'_> {
    match body {
        EvidenceBody::Matrix { caption, rows, columns, cells, expected, control, probes, took_us } => {
            let seen = |r: usize, c: usize| cell_of(cells, r, c);
            let promised = |r: usize, c: usize| cell_of(expected, r, c);
            let state = |r: usize, c: usize| CellState::of(promised(r, c), seen(r, c));
            let body = Grid::new(rows, columns, state, |r, c| Cell {
                class: class_of(state(r, c)),
                word: if seen(r, c).is_empty() { "\u{2013}".to_owned() } else { seen(r, c).to_owned() },
                note: String::new(),
                title: if state(r, c).is_off() {
                    format!("expected {}", promised(r, c).replace('|', " or "))
                } else {
                    String::new()
                },
            });
            let mut off = Vec::new();
            for (r, row) in rows.iter().enumerate() {
                for (c, column) in columns.iter().enumerate().filter(|(c, _)| state(r, *c).is_off()) {
                    let promised = promised(r, c).replace('|', " or ");
                    off.push(format!("{row} to {column}: expected {promised}, saw {}", seen(r, c)));
                }
            }
            let off_count = if off.is_empty() {
                "all as promised".to_owned()
            } else {
                format!("{} not as promised", off.len())
            };
            let summary = format!(
                "{} in {}, {off_count}",
                count(*probes, "attempt", "attempts"),
                duration_us(*took_us)
            );
            if off.len() > MOST_OFF {
                let more = off.len() - MOST_OFF;
                off.truncate(MOST_OFF);
                off.push(format!("and {more} more, in the JSON report"));
            }
            View::Matrix(Matrix {
                control: control_word(*control),
                caption: caption.clone(),
                summary,
                body,
                off,
            })
        }
        EvidenceBody::Comparison { rows } => View::Comparison(rows),
        EvidenceBody::Timing { values_us, bound_us } => View::Timing(timing(values_us, *bound_us)),
        EvidenceBody::Object { reference, object } => View::Text(text(&yaml(object), reference)),
        EvidenceBody::Text { lines } => View::Text(text(&lines.join("\n"), "")),
        // Gathered into tables before; alone it is still said.
        EvidenceBody::Attempt { from, to, verdict, .. } => {
            View::Text(text(&format!("{from} to {to}: {verdict}"), ""))
        }
    }
}

fn cell_of(cells: &[Vec<String>], row: usize, column: usize) -> &str {
    cells.get(row).and_then(|cells| cells.get(column)).map_or("", String::as_str)
}

fn timing(values: &[(String, u64)], bound: Option<u64>) -> Timing {
    let full = bound.or_else(|| values.iter().map(|(_, us)| *us).max()).unwrap_or(0).max(1);
    let rows = values
        .iter()
        .map(|(name, us)| {
            let (tone, note) = match bound {
                None => ("none", ""),
                Some(bound) if *us <= bound => ("passed", "within the bound"),
                Some(_) => ("failed", "over the bound"),
            };
            let percent = us.saturating_mul(100).div_euclid(full).min(100);
            TimingRow { name: name.clone(), value: duration_us(*us), percent, tone, note }
        })
        .collect();
    let head = bound.map_or_else(String::new, |bound| format!("Bound {}", duration_us(bound)));
    Timing { head, rows }
}

fn text(full: &str, note: &str) -> Text {
    let lines = full.lines().count();
    let mut text = full.to_owned();
    let mut notes: Vec<String> = Vec::new();
    if !note.is_empty() {
        notes.push(note.to_owned());
    }
    if let Some((cut, _)) = full.char_indices().nth(MOST_CHARS) {
        text.truncate(cut);
        notes.push(format!("the first {MOST_CHARS} characters; all of it is in the JSON report"));
    }
    Text { content: text, note: notes.join(", "), short: lines <= MOST_OPEN && full.len() < 2_000 }
}

/// As an engineer reads objects; JSON where it has no such form.
fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string()).trim_end().to_owned()
}
