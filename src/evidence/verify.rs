//! Says whether a journal or a bundle is what was written.

use std::fmt;
use std::path::Path;

use super::bundle::Bundle;
use super::error::EvidenceError;
use super::read::{Integrity, ReadJournal, load, read_loaded};
use crate::engine::Event;
use crate::exit::Exit;
use crate::report::shown;

/// What was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A journal alone.
    Journal,
    /// A bundle, with its journal.
    Bundle,
    /// The journal of a run's directory, and the bundle beside it.
    Both,
}

impl Subject {
    /// The words that stand in the output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Bundle => "bundle",
            Self::Both => "journal and bundle",
        }
    }
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
        let plural = if self.records == 1 { "" } else { "s" };
        write!(f, "{}: {}", self.integrity.word(), self.subject.word())?;
        if let Some(run) = &self.run_id {
            write!(f, " of run {}", shown(run))?;
        }
        writeln!(f, ", {} record{plural}", self.records)?;
        if self.live {
            writeln!(f, "  the run is still going")?;
        }
        for problem in &self.problems {
            writeln!(f, "  {}", shown(problem))?;
        }
        if !self.head.is_empty() {
            writeln!(f, "  head {}", shown(&self.head))?;
        }
        Ok(())
    }
}

/// Reads the journal or the bundle at `path` once, and tells them apart by content, not by name. What is wrong
/// with a bundle stands among the problems of its journal.
pub fn open(path: &Path) -> Result<(Subject, ReadJournal), EvidenceError> {
    let (bytes, live) = load(path)?;
    if Bundle::begins(&bytes) {
        let bundle = Bundle::read_loaded(path, &bytes)?;
        return Ok((Subject::Bundle, bundle.into_journal()));
    }
    Ok((Subject::Journal, read_loaded(path, &bytes, live)?))
}

/// Verifies the journal or the bundle at `path` (told apart by content, not by name). With `head`, the hash of
/// the last record as a report or a person has kept it, also that the whole was not written anew.
pub fn verify(path: &Path, head: Option<&str>) -> Result<Verification, EvidenceError> {
    let (subject, journal) = open(path)?;
    let mut verification = of_journal(subject, &journal);
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

/// Verifies a run's journal and the bundle beside it: each by itself, and that both hold the same journal.
pub fn verify_both(journal: &Path, bundle: &Path, head: Option<&str>) -> Result<Verification, EvidenceError> {
    let mut both = verify(journal, head)?;
    both.subject = Subject::Both;
    let name = bundle.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (integrity, problems) = match verify(bundle, None) {
        Ok(found) if found.subject != Subject::Bundle => {
            (Integrity::Broken, vec!["it is no bundle".to_owned()])
        }
        Ok(found) if found.head != both.head => {
            let mut problems = found.problems;
            problems.push(format!("its journal ends in record {}, the one beside it does not", found.head));
            (Integrity::Broken, problems)
        }
        Ok(found) => (found.integrity, found.problems),
        // A run leaves a bundle there, so whatever else lies there took its place.
        Err(EvidenceError::Foreign { what, .. }) => (Integrity::Broken, vec![what]),
        Err(error) => return Err(error),
    };
    both.integrity = both.integrity.max(integrity);
    both.problems.extend(problems.into_iter().map(|problem| format!("{name}: {problem}")));
    Ok(both)
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
