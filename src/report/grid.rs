//! A matrix on a page: a table of words while it can be read, a picture with a list of what is off beyond that.

use std::fmt::Write as _;

use super::tenants::CellState;

/// More rows or columns than this are drawn, not written.
pub(super) const MOST_WRITTEN: usize = 40;

/// More columns than this are set smaller.
const MOST_ROOMY: usize = 12;

/// A matrix, ready for a template.
pub(super) enum Grid {
    /// Cell by cell, in words.
    Table(Table),
    /// An inline picture.
    Map(String),
}

pub(super) struct Table {
    pub(super) compact: bool,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
}

pub(super) struct Cell {
    pub(super) class: &'static str,
    pub(super) word: String,
    pub(super) note: String,
    pub(super) title: String,
}

impl Grid {
    /// `state` is asked for every cell; `cell` only where cells are written.
    pub(super) fn new(
        rows: &[String],
        columns: &[String],
        state: impl Fn(usize, usize) -> CellState,
        cell: impl Fn(usize, usize) -> Cell,
    ) -> Self {
        if rows.len() > MOST_WRITTEN || columns.len() > MOST_WRITTEN {
            return Self::Map(map(rows.len(), columns.len(), state));
        }
        Self::Table(Table {
            compact: columns.len() > MOST_ROOMY,
            columns: columns.to_vec(),
            rows: rows
                .iter()
                .enumerate()
                .map(|(r, name)| Row {
                    name: name.clone(),
                    cells: (0..columns.len()).map(|c| cell(r, c)).collect(),
                })
                .collect(),
        })
    }
}

/// The look of a cell. What is off is filled or framed, so that it stands out without colour.
pub(super) const fn class_of(state: CellState) -> &'static str {
    match state {
        CellState::Closed | CellState::AsDeclared => "tone-passed",
        CellState::Open => "tone-not-run",
        CellState::Breach | CellState::Blocked | CellState::Unexpected => "tone-failed bad",
        CellState::Untold => "tone-inconclusive doubt",
        CellState::Seen => "tone-none",
        CellState::Untried => "tone-none untried",
    }
}

/// The tone of a word that stands for a state.
pub(super) const fn tone_of(state: CellState) -> &'static str {
    match state {
        CellState::Closed | CellState::AsDeclared | CellState::Open => "passed",
        CellState::Breach | CellState::Blocked | CellState::Unexpected => "failed",
        CellState::Untold => "inconclusive",
        CellState::Seen | CellState::Untried => "none",
    }
}

/// One path a state, runs of equal cells merged: a uniform matrix of any size is a few hundred bytes a row.
fn map(rows: usize, columns: usize, state: impl Fn(usize, usize) -> CellState) -> String {
    let mut paths: Vec<(CellState, String)> = Vec::new();
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let here = state(row, column);
            let start = column;
            while column < columns && state(row, column) == here {
                column += 1;
            }
            if here == CellState::Untried {
                continue;
            }
            let at = paths.iter().position(|(state, _)| *state == here).unwrap_or_else(|| {
                paths.push((here, String::new()));
                paths.len() - 1
            });
            // Writing into a string cannot fail.
            let _ = write!(paths[at].1, "M{start} {row}.5h{}", column - start);
        }
    }
    // What is off is drawn last, over everything.
    paths.sort_by_key(|(state, _)| state.is_off());
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {columns} {rows}\" shape-rendering=\"crispEdges\" role=\"img\" \
         aria-label=\"Matrix of {rows} sources by {columns} destinations; what is off is listed as text\">"
    );
    for (state, path) in paths {
        let class = state.word().replace(' ', "-");
        let _ = write!(svg, "<path class=\"{class}\" d=\"{path}\" fill=\"none\" stroke-width=\"1\"/>");
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_matrix_is_drawn_in_few_bytes_and_nothing_off_is_lost() {
        let names: Vec<String> = (0..300).map(|n| format!("tenant-{n}")).collect();
        let state = |r, c| match (r, c) {
            (17, 203) => CellState::Breach,
            (r, c) if r == c => CellState::Open,
            _ => CellState::Closed,
        };
        let Grid::Map(svg) = Grid::new(&names, &names, state, |_, _| unreachable!()) else {
            panic!("it is written");
        };
        assert!(svg.len() < 40_000, "{}", svg.len());
        assert!(svg.contains(r#"<path class="breach" d="M203 17.5h1""#));
        assert!(svg.find("class=\"closed\"") < svg.find("class=\"breach\""));
    }
}
