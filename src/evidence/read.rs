//! The reader of a journal: everything usable, and everything that is wrong with it.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::{GENESIS, JOURNAL_SCHEMA, Record, expected_hash};
use super::error::EvidenceError;
use crate::engine::Event;
use crate::report::shown;

/// What is wrong with a line or with the journal as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// Not a record: not JSON, or a member missing or misspelt.
    Malformed,
    /// The hash does not fit the bytes: the line was edited.
    Edited,
    /// `prev` or `seq` does not follow from the line before: something was deleted, inserted or moved.
    OutOfOrder,
    /// The first event is not `run-started`.
    NoStart,
    /// Something stands behind `run-finished`.
    AfterEnd,
    /// The last line is cut off: the writer was killed, or the file was cut.
    Torn,
    /// There is no `run-finished`: the run was killed, is still going, or the end was cut off.
    NoEnd,
    /// A sound record of a kind that this version does not know; it is left out of reports.
    UnknownEvent,
    /// Something is wrong with the bundle that the journal comes from.
    Archive,
}

impl ProblemKind {
    /// How much it takes from the journal's worth.
    pub const fn integrity(self) -> Integrity {
        match self {
            Self::Torn | Self::NoEnd => Integrity::Unfinished,
            Self::UnknownEvent => Integrity::Intact,
            _ => Integrity::Broken,
        }
    }
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Line number, from 1; none for the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What kind.
    pub kind: ProblemKind,
    /// One lower-case sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", shown(&self.message)),
            None => f.write_str(&shown(&self.message)),
        }
    }
}

/// What a journal is worth as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Integrity {
    /// Complete, and exactly as written.
    Intact,
    /// As written as far as it goes, but without its end.
    Unfinished,
    /// Changed after it was written.
    Broken,
}

impl Integrity {
    /// The word that stands in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Unfinished => "unfinished",
            Self::Broken => "broken",
        }
    }
}

/// A journal as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadJournal {
    /// The records that could be read, in the order of the file.
    pub records: Vec<Record>,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// Hash of the last whole record; empty where there is none.
    pub head: String,
    /// True while its writer is alive.
    pub live: bool,
    /// The schema that its first record names, where that is not [`JOURNAL_SCHEMA`].
    pub foreign_schema: Option<String>,
}

impl ReadJournal {
    /// The worst of the problems.
    pub fn integrity(&self) -> Integrity {
        self.problems.iter().map(|p| p.kind.integrity()).max().unwrap_or(Integrity::Intact)
    }

    fn problem(&mut self, line: Option<usize>, kind: ProblemKind, message: impl Into<String>) {
        self.problems.push(Problem { line, kind, message: message.into() });
    }
}

/// Reads the journal at `path`. Only a file that cannot be read at all, or that has nothing of a journal, is an
/// error; everything else is a problem in the result.
pub fn read(path: &Path) -> Result<ReadJournal, EvidenceError> {
    let (bytes, live) = load(path)?;
    read_loaded(path, &bytes, live)
}

/// The bytes of a file, and whether somebody still writes to it. It is read once: a pipe gives nothing twice.
pub(super) fn load(path: &Path) -> Result<(Vec<u8>, bool), EvidenceError> {
    let mut file = File::open(path).map_err(EvidenceError::io("read", path))?;
    let live = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(EvidenceError::io("read", path))?;
    Ok((bytes, live))
}

/// As [`read`], of bytes that were loaded from `path`.
pub(super) fn read_loaded(path: &Path, bytes: &[u8], live: bool) -> Result<ReadJournal, EvidenceError> {
    let mut journal = read_bytes(bytes);
    if journal.records.is_empty() && !bytes.is_empty() && !bytes.starts_with(b"{\"seq\":") {
        return Err(EvidenceError::Foreign { path: path.to_owned(), what: "not a journal".to_owned() });
    }
    journal.live = live;
    Ok(journal)
}

/// As a record, with its event still open: an unknown kind must not hide that the chain holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    seq: u64,
    time: Timestamp,
    mono_us: u64,
    prev: String,
    event: Value,
    hash: String,
}

/// Reads a journal from memory.
pub fn read_bytes(bytes: &[u8]) -> ReadJournal {
    let mut journal = ReadJournal::default();
    let mut prev = GENESIS.to_owned();
    let mut next_seq = 0;
    let mut ended_at = None;

    let mut rest = bytes;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, whole) = match rest.iter().position(|b| *b == b'\n') {
            Some(end) => {
                let line = &rest[..end];
                rest = &rest[end + 1..];
                (line, true)
            }
            None => (std::mem::take(&mut rest), false),
        };
        if !whole {
            match ended_at {
                None => journal.problem(
                    Some(number),
                    ProblemKind::Torn,
                    "the last record is cut off: the writer was killed, or the file was cut",
                ),
                Some(end) => journal.problem(
                    Some(number),
                    ProblemKind::AfterEnd,
                    format!("it stands behind the end of the run (line {end})"),
                ),
            }
        }
        let raw: Raw = match serde_json::from_slice(line) {
            Ok(raw) => raw,
            Err(_) if !whole => break,
            Err(error) => {
                // Its place is the line's: the reader of JSON counts from one again.
                let error = error.to_string();
                let what = error.split(" at line ").next().unwrap_or_default();
                journal.problem(Some(number), ProblemKind::Malformed, format!("not a record: {what}"));
                // What follows is judged against what it says itself, so that one bad line is told once.
                prev.clear();
                next_seq += 1;
                continue;
            }
        };
        if expected_hash(line).as_deref() != Some(raw.hash.as_str()) {
            journal.problem(
                Some(number),
                ProblemKind::Edited,
                "its hash does not fit its content: the record was edited",
            );
        }
        if !prev.is_empty() && (raw.prev != prev || raw.seq != next_seq) {
            let message = if raw.seq == next_seq {
                "it does not follow from the record before: one of the two was replaced".to_owned()
            } else {
                format!(
                    "record {} stands where {next_seq} belongs: records were deleted, inserted or moved",
                    raw.seq
                )
            };
            journal.problem(Some(number), ProblemKind::OutOfOrder, message);
        }
        if let Some(end) = ended_at
            && whole
        {
            journal.problem(
                Some(number),
                ProblemKind::AfterEnd,
                format!("it stands behind the end of the run (line {end})"),
            );
        }
        prev.clone_from(&raw.hash);
        next_seq = raw.seq.saturating_add(1);
        journal.head.clone_from(&raw.hash);
        take_event(&mut journal, raw, number, &mut ended_at);
    }

    if ended_at.is_none() {
        journal.problem(
            None,
            ProblemKind::NoEnd,
            "there is no end of the run: it was killed, is still going, or the end was cut off",
        );
    }
    journal
}

/// The meaning of a record whose place in the chain has been judged.
fn take_event(journal: &mut ReadJournal, raw: Raw, number: usize, ended_at: &mut Option<usize>) {
    let kind = raw.event.get("kind").and_then(Value::as_str).unwrap_or("none").to_owned();
    if number == 1 {
        if kind != "run-started" {
            journal.problem(
                Some(1),
                ProblemKind::NoStart,
                format!("the first event is `{kind}`, not `run-started`: the beginning was cut off"),
            );
        } else if let Some(schema) = raw.event.get("schema").and_then(Value::as_str)
            && schema != JOURNAL_SCHEMA
        {
            journal.foreign_schema = Some(schema.to_owned());
            journal.problem(
                Some(1),
                ProblemKind::UnknownEvent,
                format!("it is of `{schema}`, this program knows `{JOURNAL_SCHEMA}`"),
            );
        }
    } else if kind == "run-started" {
        journal.problem(
            Some(number),
            ProblemKind::OutOfOrder,
            "the run starts again: a journal has one start, its first record",
        );
    }
    if kind == "run-finished" {
        *ended_at = Some(number);
    }
    // What names no kind at all is of no version.
    let named = raw.event.get("kind").is_some_and(Value::is_string);
    match serde_json::from_value::<Event>(raw.event) {
        Ok(event) => journal.records.push(Record {
            seq: raw.seq,
            time: raw.time,
            mono_us: raw.mono_us,
            prev: raw.prev,
            event,
            hash: raw.hash,
        }),
        Err(error) if journal.foreign_schema.is_none() && (!named || is_known(&kind)) => journal.problem(
            Some(number),
            ProblemKind::Malformed,
            format!("event `{kind}` is not as `{JOURNAL_SCHEMA}` has it ({error})"),
        ),
        Err(error) => journal.problem(
            Some(number),
            ProblemKind::UnknownEvent,
            format!("event `{kind}` is not known to this version ({error})"),
        ),
    }
}

/// Whether this version knows events of that kind: a record that only a newer one can read takes nothing from
/// the journal's worth, one that nobody can read was never written by a run.
fn is_known(kind: &str) -> bool {
    // Every kind has a field that it needs, so that of a known one the field is missed, not the kind.
    match serde_json::from_value::<Event>(serde_json::json!({ "kind": kind })) {
        Ok(_) => true,
        Err(error) => !error.to_string().starts_with("unknown variant"),
    }
}
