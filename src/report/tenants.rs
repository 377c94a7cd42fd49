//! Who reaches whom: all matrices of a run, folded to tenant x tenant.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::EvidenceBody;
use crate::probe::VerdictKind;

/// What became of the paths from one tenant to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CellState {
    /// Nothing was tried.
    Untried,
    /// Every path is closed, as promised.
    Closed,
    /// Every path is open, as promised.
    Open,
    /// Some are open and some closed, each as promised.
    AsDeclared,
    /// Something was tried of which nothing was promised.
    Seen,
    /// An attempt could not be judged.
    Untold,
    /// A path is closed, but by other means than promised.
    Unexpected,
    /// A path that should be open is closed.
    Blocked,
    /// A path that should be closed is open.
    Breach,
}

impl CellState {
    /// Every state, in the order of a legend.
    pub const ALL: [Self; 9] = [
        Self::Closed,
        Self::Open,
        Self::AsDeclared,
        Self::Breach,
        Self::Blocked,
        Self::Unexpected,
        Self::Untold,
        Self::Seen,
        Self::Untried,
    ];

    /// The word that stands in the cell.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Closed => "closed",
            Self::Open => "open",
            Self::AsDeclared => "as declared",
            Self::Seen => "seen",
            Self::Untold => "untold",
            Self::Unexpected => "unexpected",
            Self::Blocked => "blocked",
            Self::Breach => "breach",
        }
    }

    /// What the word says, for a legend.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Untried => "nothing was tried",
            Self::Closed => "every path closed, as promised",
            Self::Open => "every path open, as promised",
            Self::AsDeclared => "some paths open, some closed, each as promised",
            Self::Seen => "tried, but nothing was promised",
            Self::Untold => "an attempt could not be judged",
            Self::Unexpected => "closed, but by other means than promised",
            Self::Blocked => "a path that should be open is closed",
            Self::Breach => "a path that should be closed is open",
        }
    }

    /// True where the promise is broken or could not be judged.
    pub const fn is_off(self) -> bool {
        matches!(self, Self::Untold | Self::Unexpected | Self::Blocked | Self::Breach)
    }

    /// What one attempt means, given the words that were promised (none: anything goes).
    pub fn of(expected: &str, seen: &str) -> Self {
        if seen.is_empty() {
            return Self::Untried;
        }
        if expected.is_empty() {
            return Self::Seen;
        }
        let (mut accepted, mut open) = (false, false);
        for word in expected.split(['|', ',']).flat_map(|part| part.split(" or ")) {
            accepted |= word.trim() == seen;
            open |= word.trim() == VerdictKind::Open.word();
        }
        // The same judgement as the probes', so that matrix and verdict never disagree.
        match VerdictKind::ALL.into_iter().find(|kind| kind.word() == seen) {
            Some(VerdictKind::Open) if accepted => Self::Open,
            _ if accepted => Self::Closed,
            None => Self::Untold,
            Some(kind) if kind.is_unclear() => Self::Untold,
            _ if open => Self::Blocked,
            Some(kind) if kind.is_breach() => Self::Breach,
            _ => Self::Unexpected,
        }
    }

    /// Two attempts between the same two tenants, told as one.
    fn with(self, other: Self) -> Self {
        match (self.min(other), self.max(other)) {
            (Self::Untried, any) => any,
            (low, high) if low == high || high > Self::Seen => high,
            (low, Self::Seen) => low,
            _ => Self::AsDeclared,
        }
    }
}

/// How often a verdict word was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WordCount {
    /// The verdict.
    pub word: String,
    /// How often.
    pub count: usize,
}

/// The paths from one tenant to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantCell {
    /// All of them in one word.
    pub state: CellState,
    /// Attempts.
    pub tried: usize,
    /// Attempts that were not as promised.
    pub off: usize,
    /// Verdicts seen, most frequent first.
    pub seen: Vec<WordCount>,
}

impl Default for TenantCell {
    fn default() -> Self {
        Self { state: CellState::Untried, tried: 0, off: 0, seen: Vec::new() }
    }
}

/// Tenant x tenant, over every matrix of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantMatrix {
    /// Sources.
    pub rows: Vec<String>,
    /// Destinations.
    pub columns: Vec<String>,
    /// By row, by column.
    pub cells: Vec<Vec<TenantCell>>,
    /// What was tried, each once: `TCP 8080 by pod address`.
    pub captions: Vec<String>,
    /// Attempts in all.
    pub probes: usize,
}

impl TenantMatrix {
    /// Folds the matrices among `bodies`; none where there is none.
    pub fn fold<'a>(bodies: impl IntoIterator<Item = &'a EvidenceBody>) -> Option<Self> {
        let mut fold = Fold::default();
        for body in bodies {
            if let EvidenceBody::Matrix { caption, rows, columns, cells, expected, .. } = body {
                fold.add(caption, rows, columns, cells, expected);
            }
        }
        fold.finish()
    }

    /// Cells that are not as promised: source, destination, cell.
    pub fn off(&self) -> impl Iterator<Item = (&str, &str, &TenantCell)> {
        self.rows.iter().zip(&self.cells).flat_map(move |(row, cells)| {
            self.columns
                .iter()
                .zip(cells)
                .filter(|(_, cell)| cell.state.is_off())
                .map(move |(column, cell)| (row.as_str(), column.as_str(), cell))
        })
    }
}

/// The tenant of a label such as `alpha/web-0` or `bravo/db:8080/TCP`.
fn tenant_of(label: &str) -> &str {
    label.split_once('/').map_or(label, |(tenant, _)| tenant)
}

#[derive(Default)]
struct Fold {
    rows: Names,
    columns: Names,
    cells: BTreeMap<(usize, usize), (CellTally, BTreeMap<String, usize>)>,
    captions: Names,
    probes: usize,
}

#[derive(Default)]
struct CellTally {
    state: Option<CellState>,
    tried: usize,
    off: usize,
}

/// Names in the order in which they were first seen.
#[derive(Default)]
struct Names {
    order: Vec<String>,
    index: BTreeMap<String, usize>,
}

impl Names {
    fn of(&mut self, name: &str) -> usize {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        self.order.push(name.to_owned());
        self.index.insert(name.to_owned(), self.order.len() - 1);
        self.order.len() - 1
    }
}

impl Fold {
    fn add(
        &mut self,
        caption: &str,
        rows: &[String],
        columns: &[String],
        cells: &[Vec<String>],
        expected: &[Vec<String>],
    ) {
        self.captions.of(caption);
        let columns: Vec<usize> = columns.iter().map(|label| self.columns.of(tenant_of(label))).collect();
        for (r, label) in rows.iter().enumerate() {
            let row = self.rows.of(tenant_of(label));
            for (c, seen) in cells.get(r).into_iter().flatten().enumerate() {
                let Some(column) = columns.get(c) else { break };
                let promised = expected.get(r).and_then(|row| row.get(c)).map_or("", String::as_str);
                let state = CellState::of(promised, seen);
                if state == CellState::Untried {
                    continue;
                }
                let (tally, words) = self.cells.entry((row, *column)).or_default();
                tally.state = Some(tally.state.map_or(state, |before| before.with(state)));
                tally.tried += 1;
                tally.off += usize::from(state.is_off());
                self.probes += 1;
                match words.get_mut(seen) {
                    Some(count) => *count += 1,
                    None => {
                        words.insert(seen.clone(), 1);
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Option<TenantMatrix> {
        if self.captions.order.is_empty() {
            return None;
        }
        let mut cells = Vec::with_capacity(self.rows.order.len());
        for row in 0..self.rows.order.len() {
            cells.push(
                (0..self.columns.order.len())
                    .map(|column| {
                        self.cells.remove(&(row, column)).map_or_else(TenantCell::default, finish_cell)
                    })
                    .collect(),
            );
        }
        Some(TenantMatrix {
            rows: self.rows.order,
            columns: self.columns.order,
            cells,
            captions: self.captions.order,
            probes: self.probes,
        })
    }
}

fn finish_cell((tally, words): (CellTally, BTreeMap<String, usize>)) -> TenantCell {
    let mut seen: Vec<WordCount> = words.into_iter().map(|(word, count)| WordCount { word, count }).collect();
    // Stable, so that equal counts stay in alphabetical order.
    seen.sort_by_key(|word| std::cmp::Reverse(word.count));
    TenantCell { state: tally.state.unwrap_or(CellState::Untried), tried: tally.tried, off: tally.off, seen }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_attempt_is_told_as_the_probes_judge_it() {
        for closed in ["DROPPED|REJECTED", "DROPPED or REJECTED", "DROPPED, REJECTED or REFUSED"] {
            let of = |seen| CellState::of(closed, seen);
            assert_eq!(of("DROPPED"), CellState::Closed);
            assert_eq!(of("REJECTED"), CellState::Closed);
            assert_eq!(of("OPEN"), CellState::Breach);
            assert_eq!(of("ASYMMETRIC"), CellState::Breach);
            assert_eq!(of("DNS_FAILED"), CellState::Untold);
            assert_eq!(of("TLS_FAILED"), CellState::Unexpected);
            assert_eq!(of("WHATEVER"), CellState::Untold);
            assert_eq!(of(""), CellState::Untried);
        }
        assert_eq!(CellState::of("OPEN", "OPEN"), CellState::Open);
        assert_eq!(CellState::of("OPEN", "DROPPED"), CellState::Blocked);
        assert_eq!(CellState::of("OPEN", "PROBE_ERROR"), CellState::Untold);
        assert_eq!(CellState::of("", "DROPPED"), CellState::Seen);
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["", "OPEN", "DROPPED", "REJECTED", "TLS_FAILED", "PROBE_ERROR"])
    }

    proptest! {
        /// Whatever is off in any attempt is off in the cell that tells them all, and every attempt is counted.
        #[test]
        fn folding_loses_nothing(
            tries in prop::collection::vec((0..3_usize, 0..3_usize, word(), word()), 0..30)
        ) {
            let tenants = ["alpha", "bravo", "zulu"];
            let bodies: Vec<EvidenceBody> = tries
                .iter()
                .map(|(from, to, seen, expected)| EvidenceBody::Matrix {
                    caption: "TCP".to_owned(),
                    rows: vec![format!("{}/web", tenants[*from])],
                    columns: vec![format!("{}/db:1/TCP", tenants[*to])],
                    cells: vec![vec![(*seen).to_owned()]],
                    expected: vec![vec![(*expected).to_owned()]],
                    control: None,
                    probes: 1,
                    took_us: 1,
                })
                .collect();
            let Some(matrix) = TenantMatrix::fold(&bodies) else {
                prop_assert!(tries.is_empty());
                return Ok(());
            };
            let tried = tries.iter().filter(|(_, _, seen, _)| !seen.is_empty()).count();
            let off = tries.iter().filter(|(_, _, seen, expected)| CellState::of(expected, seen).is_off()).count();
            let cells: Vec<&TenantCell> = matrix.cells.iter().flatten().collect();
            prop_assert_eq!(matrix.probes, tried);
            prop_assert_eq!(cells.iter().map(|cell| cell.tried).sum::<usize>(), tried);
            prop_assert_eq!(cells.iter().map(|cell| cell.off).sum::<usize>(), off);
            for cell in cells {
                prop_assert_eq!(cell.state.is_off(), cell.off > 0);
                prop_assert_eq!(cell.seen.iter().map(|word| word.count).sum::<usize>(), cell.tried);
            }
        }
    }
}
