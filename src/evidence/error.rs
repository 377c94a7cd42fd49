//! What can go wrong around evidence files.

use std::io;
use std::path::{Path, PathBuf};

/// Trouble with a journal or a bundle. A file that can be read but was tampered with is no error: it is a
/// result of [`super::verify`].
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The operating system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// `create`, `write`, `read`: the verb before the path.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a journal already; a run never writes over another's evidence.
    #[error(
        "create {}: a journal is there already\nhint: give each run a directory of its own",
        path.display()
    )]
    Exists {
        /// The journal that is in the way.
        path: PathBuf,
    },
    /// Another process writes to this journal.
    #[error("write {}: another run holds its lock", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// An earlier write failed half-way and could not be taken back: nothing may follow a torn record.
    #[error("write {}: an earlier record is torn, so none may follow it", path.display())]
    Poisoned {
        /// The journal.
        path: PathBuf,
    },
    /// An event could not be written as JSON.
    #[error("write an event as JSON")]
    Encode(#[from] serde_json::Error),
    /// A pattern of the redactor does not compile: nothing is written without it.
    #[error("prepare the redaction of secrets")]
    Redaction(#[from] regex::Error),
    /// The file is neither a journal nor a bundle.
    #[error("read {}: {what}\nhint: give a `journal.ndjson` or a bundle (`.tar.gz`)", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why it is neither.
        what: String,
    },
    /// The bundle is of a form that this program does not know: nothing can be said of it.
    #[error(
        "read {}: it is of `{found}`, this program knows `{known}`\nhint: read it with the version that wrote it",
        path.display()
    )]
    Schema {
        /// The bundle.
        path: PathBuf,
        /// The schema that it says it is of.
        found: String,
        /// The schema that this program knows.
        known: &'static str,
    },
}

impl EvidenceError {
    /// A closure for `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
