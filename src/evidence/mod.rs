//! Journal, hash chain, bundle, verification.

mod bundle;
mod chain;
mod error;
mod journal;
mod read;
mod redact;
mod verify;

pub use bundle::{Artefact, Bundle, BundleParts, MANIFEST_SCHEMA, Manifest, ManifestEntry};
pub use chain::{GENESIS, JOURNAL_SCHEMA, Record};
pub use error::EvidenceError;
pub use journal::{Clock, Finished, Journal, SystemClock};
pub use read::{Integrity, Problem, ProblemKind, ReadJournal, read, read_bytes};
pub use redact::Redactor;
pub use verify::{Subject, Verification, open, verify, verify_both};
