//! Says whether a journal or a bundle is what was written.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::bundle::Bundle;
use super::error::EvidenceError;
use super::read::{Integrity, ReadJournal, read};
use crate::engine::Event;
use crate::exit::Exit;

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A journal alone.
    Journal,
    /// A bundle, with its journal.
    Bundle,
}

/// The result of [`verify`].
#[derive(Clone, Debug)]
pub struct Verification {
    /// What was verified.
    pub subject: Subject,
    /// What it is worth.
    pub integrity: Integrity,
    /// The run's id, where the journal says it.
    pub run_id: Option<String>,
    /// Records that could be read.
    pub records: usize,
    /// Hash of the last one.
    pub head: String,
    /// True while the run is still going.
    pub live: bool,
    /// What is wrong, each with its place.
    pub problems: Vec<String>,
}

impl Verification {
    /// The exit code: 0 intact, 1 broken, 3 unfinished.
    pub const fn exit(&self) -> Exit {
        match self.integrity {
            Integrity::Intact => Exit::Conformant,
            Integrity::Broken => Exit::Failed,
            Integrity::Unfinished => Exit::Inconclusive,
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = match self.subject {
            Subject::Journal => "journal",
            Subject::Bundle => "bundle",
        };
        let plural = if self.records == 1 { "" } else { "s" };
        write!(f, "{}: {subject}", self.integrity.word())?;
        if let Some(run) = &self.run_id {
            write!(f, " of run {run}")?;
        }
        writeln!(f, ", {} record{plural}", self.records)?;
        if self.live {
            writeln!(f, "  the run is still going")?;
        }
        for problem in &self.problems {
            writeln!(f, "  {problem}")?;
        }
        if !self.head.is_empty() {
            writeln!(f, "  head {}", self.head)?;
        }
        Ok(())
    }
}

/// Verifies the journal or the bundle at `path` (told apart by content, not by name). With `head`, the hash of
/// the last record as a report or a person has kept it, also that the whole was not written anew.
pub fn verify(path: &Path, head: Option<&str>) -> Result<Verification, EvidenceError> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(2).read_to_end(&mut magic))
        .map_err(EvidenceError::io("read", path))?;
    let mut verification = if magic == [0x1f, 0x8b] {
        let bundle = Bundle::read(path)?;
        let mut verification = of_journal(Subject::Bundle, &bundle.journal);
        if !bundle.problems.is_empty() {
            verification.integrity = Integrity::Broken;
        }
        verification.problems.splice(0..0, bundle.problems);
        verification
    } else {
        of_journal(Subject::Journal, &read(path)?)
    };
    if let Some(head) = head
        && !head.eq_ignore_ascii_case(&verification.head)
    {
        verification.integrity = Integrity::Broken;
        verification
            .problems
            .push(format!("its head is not {head}: it is another journal, or it was written anew"));
    }
    Ok(verification)
}

fn of_journal(subject: Subject, journal: &ReadJournal) -> Verification {
    let run_id = journal.records.first().and_then(|record| match &record.event {
        Event::RunStarted { run_id, .. } => Some(run_id.clone()),
        _ => None,
    });
    Verification {
        subject,
        integrity: journal.integrity(),
        run_id,
        records: journal.records.len(),
        head: journal.head.clone(),
        live: journal.live,
        problems: journal.problems.iter().map(ToString::to_string).collect(),
    }
}
