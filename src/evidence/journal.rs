//! The writer of a journal.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;

use super::chain::{GENESIS, Record, seal};
use super::error::EvidenceError;
use super::redact::Redactor;
use crate::engine::{Event, micros};

/// Where the times of records come from; injected so that tests are deterministic.
pub trait Clock: Send {
    /// The wall clock, and microseconds of the monotonic one since this clock was made.
    fn now(&self) -> (Timestamp, u64);
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> (Timestamp, u64) {
        (Timestamp::now(), micros(self.0.elapsed()))
    }
}

/// What a closed journal is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The file.
    pub path: PathBuf,
    /// Hash of its last record: whoever keeps this notices any later change.
    pub head: String,
    /// How many records it has.
    pub records: u64,
}

/// An append-only, hash-chained file of events. See [`super::chain`] for the form of a line.
///
/// A record is one `write` to the file, so that after SIGKILL the file ends in a whole record or in one torn
/// line. It is forced to disk at the end of each scenario, and on [`Journal::sync`]. Secrets are taken out of
/// every event before it is hashed and written.
pub struct Journal {
    file: File,
    path: PathBuf,
    clock: Box<dyn Clock>,
    redactor: Redactor,
    seq: u64,
    head: String,
    length: u64,
    poisoned: bool,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).field("seq", &self.seq).finish_non_exhaustive()
    }
}

impl Journal {
    /// The name of the file inside the directory of a run.
    pub const FILE: &'static str = "journal.ndjson";

    /// Makes `dir` where it is missing, and an empty journal in it, readable by its owner only. A journal that
    /// is there already is an error, whoever wrote it.
    pub fn create(dir: &Path) -> Result<Self, EvidenceError> {
        Self::create_with(dir, Box::<SystemClock>::default())
    }

    /// As [`Journal::create`], with a clock of the caller's.
    pub fn create_with(dir: &Path, clock: Box<dyn Clock>) -> Result<Self, EvidenceError> {
        std::fs::create_dir_all(dir).map_err(EvidenceError::io("create directory", dir))?;
        let path = dir.join(Self::FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(in_the_way(path)),
            opened => opened.map_err(EvidenceError::io("create", &path))?,
        };
        // Held until the writer is gone, however it goes: readers see by it whether a run is still alive.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EvidenceError::Locked { path }),
            Err(TryLockError::Error(source)) => {
                return Err(EvidenceError::Io { action: "lock", path, source });
            }
        }
        // The name of a new file is as durable as its directory.
        File::open(dir).and_then(|d| d.sync_all()).map_err(EvidenceError::io("sync directory", dir))?;
        Ok(Self {
            file,
            path,
            clock,
            redactor: Redactor::new()?,
            seq: 0,
            head: GENESIS.to_owned(),
            length: 0,
            poisoned: false,
        })
    }

    /// Appends one event and returns its record, secrets taken out: what a live display should show.
    pub fn append(&mut self, event: &Event) -> Result<Record, EvidenceError> {
        if self.poisoned {
            return Err(EvidenceError::Poisoned { path: self.path.clone() });
        }
        let mut value = serde_json::to_value(event)?;
        self.redactor.redact(&mut value);
        let (time, mono_us) = self.clock.now();
        let (line, hash) = seal(self.seq, time, mono_us, &self.head, &value)?;
        if let Err(source) = self.file.write_all(&line) {
            // A full disk may come back: take the torn record off again, so that the next try is sound.
            let undone = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
            self.poisoned = undone.is_err();
            return Err(EvidenceError::Io { action: "write", path: self.path.clone(), source });
        }
        let record = Record {
            seq: self.seq,
            time,
            mono_us,
            prev: std::mem::replace(&mut self.head, hash.clone()),
            event: serde_json::from_value(value)?,
            hash,
        };
        self.seq += 1;
        self.length += line.len() as u64;
        if matches!(
            event,
            Event::RunStarted { .. }
                | Event::Planned { .. }
                | Event::ScenarioFinished { .. }
                | Event::Leftover { .. }
                | Event::RunFinished { .. }
        ) {
            self.sync()?;
        }
        Ok(record)
    }

    /// Forces everything written so far to disk.
    pub fn sync(&self) -> Result<(), EvidenceError> {
        self.file.sync_data().map_err(EvidenceError::io("sync", &self.path))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hash of the last record.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Forces everything to disk and releases the lock.
    pub fn finish(self) -> Result<Finished, EvidenceError> {
        self.sync()?;
        Ok(Finished { path: self.path, head: self.head, records: self.seq })
    }
}

/// Tells a journal that is being written from one that is merely there.
fn in_the_way(path: PathBuf) -> EvidenceError {
    match File::open(&path).map(|file| file.try_lock_shared()) {
        Ok(Err(TryLockError::WouldBlock)) => EvidenceError::Locked { path },
        _ => EvidenceError::Exists { path },
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
pub(super) mod tests;
