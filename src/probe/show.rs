//! Attempts and denials in the terms of the engine: evidence to show, reasons to end a scenario with.

use std::collections::BTreeMap;

use serde_json::Value;

use super::attempt::{Attempt, NotOpen, Open};
use super::denial::{Denial, NotDenied};
use super::matrix::{MatrixResult, Source, Target, transport_word};
use super::verdict::{Accepted, VerdictKind};
use crate::engine::{ControlPhase, Evidence, EvidenceBody, Reason, ReasonKind, micros};

impl Attempt {
    /// This attempt as a piece of evidence.
    pub fn to_evidence(&self, accepted: &Accepted, control: Option<ControlPhase>) -> Evidence {
        let what = match control {
            None => "attempt",
            Some(ControlPhase::Before) => "control before",
            Some(ControlPhase::After) => "control after",
        };
        let detail = match (self.verdict.detail(), &self.evidence) {
            (None, evidence) => evidence.clone(),
            (Some(text), Value::Null) => Value::String(text),
            (Some(text), evidence) => serde_json::json!({ "verdict": text, "seen": evidence }),
        };
        let to = match &self.variant {
            Some(variant) => format!("{} ({variant})", self.target),
            None => self.target.clone(),
        };
        Evidence {
            title: format!("{what}: {self}: {}", self.verdict.kind()),
            body: EvidenceBody::Attempt {
                from: self.actor.clone(),
                to,
                accepted: accepted.iter().map(|kind| kind.word().to_owned()).collect(),
                verdict: self.verdict.kind().word().to_owned(),
                took_us: self.took_us.unwrap_or_else(|| micros(self.span.length())),
                control,
                detail,
            },
        }
    }
}

impl Open {
    /// This attempt as a piece of evidence.
    pub fn to_evidence(&self) -> Evidence {
        self.attempt().to_evidence(&Accepted::only(VerdictKind::Open), None)
    }
}

impl Denial {
    /// The control before, the attempt, the control after.
    pub fn to_evidence(&self, accepted: &Accepted) -> [Evidence; 3] {
        let open = Accepted::only(VerdictKind::Open);
        [
            self.before().attempt().to_evidence(&open, Some(ControlPhase::Before)),
            self.attempt().to_evidence(accepted, None),
            self.after().attempt().to_evidence(&open, Some(ControlPhase::After)),
        ]
    }
}

impl MatrixResult {
    /// One table for each port, transport and kind of address. `expected` says what each pair should come to, as in
    /// `DROPPED or REJECTED`; `None` where anything goes.
    pub fn to_evidence(
        &self,
        title: &str,
        expected: impl Fn(&Source, &Target) -> Option<String>,
        control: Option<ControlPhase>,
    ) -> Vec<Evidence> {
        let mut tables: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (column, target) in self.plan().targets.iter().enumerate() {
            tables.entry(caption(target)).or_default().push(column);
        }
        let took_us = micros(self.span().length());
        tables
            .into_iter()
            .map(|(caption, columns)| {
                let plan = self.plan();
                let row = |row: usize, source: &Source| {
                    let cells = columns.iter().map(|&column| self.cell(row, column));
                    let seen: Vec<_> = cells
                        .clone()
                        .map(|cell| {
                            cell.map(|cell| cell.verdict.kind().word()).unwrap_or_default().to_owned()
                        })
                        .collect();
                    let wanted: Vec<_> = columns
                        .iter()
                        .zip(cells)
                        .map(|(&column, cell)| {
                            let target = plan.targets.get(column).filter(|_| cell.is_some());
                            target.and_then(|target| expected(source, target)).unwrap_or_default()
                        })
                        .collect();
                    (source.place.clone(), seen, wanted)
                };
                let rows: Vec<_> =
                    plan.sources.iter().enumerate().map(|(index, source)| row(index, source)).collect();
                let probes =
                    rows.iter().flat_map(|(_, seen, _)| seen).filter(|word| !word.is_empty()).count();
                let (mut names, mut cells, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
                for (name, seen, expected) in rows {
                    names.push(name);
                    cells.push(seen);
                    wanted.push(expected);
                }
                let places = columns.iter().filter_map(|&column| plan.targets.get(column));
                Evidence {
                    title: format!("{title}: {caption}"),
                    body: EvidenceBody::Matrix {
                        caption,
                        rows: names,
                        columns: places.map(|target| target.place.clone()).collect(),
                        cells,
                        expected: wanted,
                        control,
                        probes,
                        took_us,
                    },
                }
            })
            .collect()
    }
}

/// What the cells of one table have in common.
fn caption(target: &Target) -> String {
    let transport = transport_word(target.transport);
    match target.port {
        0 => transport.to_owned(),
        port => format!("{transport} {port} by {}", target.by),
    }
}

impl NotDenied {
    /// The family of trouble that this is.
    pub const fn reason_kind(&self) -> ReasonKind {
        match self {
            Self::Breach { .. } | Self::Unexpected { .. } => ReasonKind::Requirement,
            Self::NoControl { .. } => ReasonKind::NoControl,
            Self::Unclear { .. } | Self::Unrelated { .. } => ReasonKind::Trouble,
        }
    }
}

impl From<NotDenied> for Reason {
    fn from(no: NotDenied) -> Self {
        Self::new(no.reason_kind(), no.to_string())
    }
}

impl From<NotOpen> for Reason {
    fn from(no: NotOpen) -> Self {
        let kind = if no.is_unclear() { ReasonKind::Trouble } else { ReasonKind::Requirement };
        Self::new(kind, no.to_string())
    }
}
