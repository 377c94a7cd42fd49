//! A fuzz run on record as any other run is: its cases as the scenarios of a plan, and what came of them as events.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use super::case::Case;
use super::measure::{Deviation, Measured, agrees, key};
use super::progress::{Entered, Looked, Progress};
use super::run::Source;
use super::shrink::Shrunk;
use crate::engine::{
    Event, EventSink, Evidence, EvidenceBody, Outcome, Plan, PlannedScenario, PlannedStep, Reason,
    ReasonKind, ScenarioId, Selection, StepStatus, micros,
};
use crate::probe::{MatrixResult, VerdictKind};
use crate::report::FUZZED;

/// What every case proves: the semantics of policies are the standard's.
const REQUIREMENT: &str = "NET-10";
/// The steps of every case; what is found belongs to the last.
const STEPS: [(&str, &str); 2] = [
    ("Given", "throwaway namespaces with the labels and policies of the case"),
    ("Then", "every path between their pods is open or closed as networking.k8s.io/v1 says"),
];
const COMPARED: usize = 1;
/// How many paths a reason names.
const NAMED: usize = 20;

/// The name of a case's scenario. Numbers are from 0 here, and from 1 wherever somebody reads them.
fn scenario_id(number: usize) -> ScenarioId {
    ScenarioId(format!("{FUZZED}{}", number + 1))
}

/// The plan of the cases from a number on. `place` says where they are from: `seed 7`, or a file's name.
pub fn plan(source: &Source, from: usize, place: &str) -> Plan {
    let steps: Vec<_> = STEPS
        .iter()
        .map(|(keyword, text)| PlannedStep {
            keyword: (*keyword).to_owned(),
            text: (*text).to_owned(),
            line: 0,
            background: false,
        })
        .collect();
    let scenarios = (from..source.count()).map(|number| PlannedScenario {
        id: scenario_id(number),
        file: format!("{place}, case"),
        line: number + 1,
        feature: "Policies mean what the standard says".to_owned(),
        name: source.name(number),
        requirements: vec![REQUIREMENT.to_owned()],
        tags: vec![REQUIREMENT.to_owned(), "fuzz".to_owned()],
        steps: steps.clone(),
        ..PlannedScenario::default()
    });
    let selection = Selection { requirements: vec![REQUIREMENT.to_owned()], ..Selection::default() };
    Plan { selection, scenarios: scenarios.collect() }
}

/// Tells a journal of cases as they go.
#[derive(Debug)]
pub struct Recorder {
    events: EventSink,
    /// Those that have begun and have not ended.
    going: RefCell<BTreeMap<usize, Instant>>,
}

impl Recorder {
    /// Of a run's events.
    pub fn new(events: EventSink) -> Self {
        Self { events, going: RefCell::default() }
    }

    /// Tells what is going on. The command is that which tries a case again that disagrees.
    pub fn note(&self, progress: &Progress, again: Option<&str>) {
        match progress {
            Progress::Begins { number } => {
                self.going.borrow_mut().insert(*number, Instant::now());
                self.events.emit(Event::ScenarioStarted { id: scenario_id(*number) });
            }
            Progress::Enters(entered) => self.evidence(entered.number, put(entered)),
            Progress::Looked(looked) => self.looked(looked, again),
            Progress::Stuck { number, why } => {
                self.end(*number, Some(Reason::new(ReasonKind::Trouble, why.clone())));
            }
            Progress::Understood { number, shrunk } if shrunk.tries > 0 => {
                self.evidence(*number, smallest(shrunk));
            }
            Progress::Understood { .. }
            | Progress::Standing { .. }
            | Progress::Compared { .. }
            | Progress::Smaller { .. } => {}
        }
    }

    /// Ends what has begun and will not be looked at any more.
    pub fn cut_off(&self, reason: &Reason) {
        let going: Vec<usize> = self.going.borrow().keys().copied().collect();
        for number in going {
            self.end(number, Some(reason.clone()));
        }
    }

    fn looked(&self, looked: &Looked, again: Option<&str>) {
        let Looked { number, case, stages, .. } = looked;
        for (at, measured) in stages.iter().enumerate().filter(|(_, measured)| !measured.is_as_expected()) {
            self.evidence(*number, matrix(&stage(at, case.stages.len()), measured));
        }
        let rows = stages.iter().enumerate().map(|(at, it)| it.compared(format!("stage {}", at + 1)));
        self.evidence(
            *number,
            Evidence {
                title: "paths that the standard opens and closes, and what was measured".to_owned(),
                body: EvidenceBody::Comparison { rows: rows.collect() },
            },
        );
        self.end(*number, reason(stages, again));
    }

    fn evidence(&self, number: usize, evidence: Evidence) {
        self.events.emit(Event::EvidenceTaken {
            id: Some(scenario_id(number)),
            step: Some(COMPARED),
            evidence,
        });
    }

    fn end(&self, number: usize, reason: Option<Reason>) {
        let id = scenario_id(number);
        let took = self.going.borrow_mut().remove(&number).map(|began| began.elapsed()).unwrap_or_default();
        let status = if reason.is_some() { StepStatus::Stopped } else { StepStatus::Passed };
        for (step, status, took_us, reason) in
            [(0, StepStatus::Passed, 0, None), (COMPARED, status, micros(took), reason.clone())]
        {
            self.events.emit(Event::StepFinished { id: id.clone(), step, status, took_us, reason });
        }
        self.events.emit(Event::ScenarioFinished {
            id,
            outcome: reason.as_ref().map_or(Outcome::Passed, Reason::outcome),
            reason,
            took_ms: micros(took) / 1_000,
        });
    }
}

/// Why a case did not pass: what is certain goes before what is not.
fn reason(stages: &[Measured], again: Option<&str>) -> Option<Reason> {
    let deviations: Vec<&Deviation> = stages.iter().flat_map(|stage| &stage.deviations).collect();
    if let Some((first, rest)) = deviations.split_first() {
        return Some(Reason {
            details: rest.iter().take(NAMED).map(ToString::to_string).collect(),
            hint: again.map(|command| format!("`{command}` tries the smallest such case again")),
            ..Reason::new(
                ReasonKind::Requirement,
                match rest.len() {
                    0 => first.to_string(),
                    more => format!("{first} (and {more} more)"),
                },
            )
        });
    }
    let unclear = stages.iter().flat_map(|stage| &stage.unclear).next()?;
    Some(Reason::new(ReasonKind::Trouble, format!("it could not be told whether a path is open: {unclear}")))
}

fn stage(at: usize, of: usize) -> String {
    format!("stage {} of {of}", at + 1)
}

/// What is put on the cluster, or was there before.
fn put(entered: &Entered) -> Evidence {
    let name = entered.at.map_or_else(|| "before".to_owned(), |at| stage(at, entered.of));
    Evidence {
        title: match entered.at {
            Some(_) => format!("{name}: the labels and policies that are put on the cluster"),
            None => "the labels and policies of the case before, from which this one starts".to_owned(),
        },
        body: EvidenceBody::Object {
            reference: format!("case {}, {name}", entered.number + 1),
            object: serde_json::to_value(&entered.stage).unwrap_or_default(),
        },
    }
}

/// Every path of a stage, as it should be and as it is.
fn matrix(name: &str, measured: &Measured) -> Evidence {
    let mut seen: BTreeMap<(String, String), (String, String)> = BTreeMap::new();
    for ((from, to, port, protocol), open) in &measured.expected {
        let expected = if *open { VerdictKind::Open.to_string() } else { closed() };
        seen.insert((from.clone(), format!("{to}:{port}/{protocol}")), (String::new(), expected));
    }
    for entry in measured.matrix.iter().flat_map(MatrixResult::iter) {
        let (from, to, port, protocol) = key(entry.source, entry.target);
        if let Some(cell) = seen.get_mut(&(from, format!("{to}:{port}/{protocol}"))) {
            cell.0 = entry.cell.verdict.kind().to_string();
        }
    }
    let sorted = |names: &mut Vec<String>| {
        names.sort_unstable();
        names.dedup();
    };
    let mut rows: Vec<String> = seen.keys().map(|(from, _)| from.clone()).collect();
    let mut columns: Vec<String> = seen.keys().map(|(_, to)| to.clone()).collect();
    sorted(&mut rows);
    sorted(&mut columns);
    let cells = |word: fn(&(String, String)) -> &String| {
        let row = |from: &String| {
            let cell = |to: &String| seen.get(&(from.clone(), to.clone())).map(word).cloned();
            columns.iter().map(|to| cell(to).unwrap_or_default()).collect()
        };
        rows.iter().map(row).collect::<Vec<Vec<String>>>()
    };
    Evidence {
        title: format!("{name}: every path, as the standard says and as measured"),
        body: EvidenceBody::Matrix {
            caption: "by pod address".to_owned(),
            cells: cells(|(seen, _)| seen),
            expected: cells(|(_, expected)| expected),
            rows,
            columns,
            control: None,
            probes: measured.cells,
            took_us: 0,
        },
    }
}

/// The words of a path that is closed, as matrices have them.
fn closed() -> String {
    let words = [VerdictKind::Dropped, VerdictKind::Rejected];
    debug_assert!(words.iter().all(|word| agrees(false, *word)));
    words.map(|word| word.to_string()).join("|")
}

fn smallest(shrunk: &Shrunk) -> Evidence {
    let (policies, rules) = shrunk.case.size();
    let case: &Case = &shrunk.case;
    Evidence {
        title: format!(
            "the smallest case found that disagrees: policies {policies}, rules {rules} at most, tries {}",
            shrunk.tries
        ),
        body: EvidenceBody::Object {
            reference: case.name.clone(),
            object: serde_json::json!({ "case": case, "deviations": shrunk.deviations }),
        },
    }
}
