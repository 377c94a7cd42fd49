//! The record and its hash.
//!
//! A journal is a file of lines that end in one newline (0x0A). A line is a JSON object without insignificant
//! white space, with exactly these members in this order:
//!
//! ```text
//! {"seq":0,"time":"2026-01-31T09:30:00.000000000Z","mono_us":0,"prev":"<64 hex>","event":{...},"hash":"<64 hex>"}
//! ```
//!
//! `hash` is the SHA-256, in lower-case hexadecimal, of the bytes of the line with its last 75 bytes
//! (`,"hash":"`, 64 digits, `"}`) replaced by a single `}`: that is, of the same object without its `hash`
//! member. `prev` is the `hash` of the line before; 64 zeros on the first. `seq` counts from 0 without gaps.
//! The hash covers bytes as they stand in the file, so nobody has to agree with us on a canonical form of JSON.
//! The first event is `run-started`, the last `run-finished`; a journal without the latter is unfinished.
//!
//! `reports/README.md` holds a small verifier in Python, which the tests run.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::engine::Event;

/// Version of the enumeration of events and of the form of a record.
pub const JOURNAL_SCHEMA: &str = "plimsoll.dev/journal/v1";

/// `prev` of the first record.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Bytes of the `hash` member at the end of a line: `,"hash":"` + 64 + `"}`.
pub(super) const SEAL: usize = 75;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Position, from 0.
    pub seq: u64,
    /// Wall clock, UTC, to the nanosecond. For people; durations come from `mono_us`.
    #[serde(serialize_with = "nanoseconds")]
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Microseconds since the journal was opened, by the monotonic clock.
    pub mono_us: u64,
    /// `hash` of the record before.
    pub prev: String,
    /// What happened.
    pub event: Event,
    /// SHA-256 over this record without this member.
    pub hash: String,
}

/// Always nine digits after the point: equal widths sort as text.
fn nanoseconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ"))
}

#[derive(Serialize)]
struct Unsealed<'a> {
    seq: u64,
    #[serde(serialize_with = "nanoseconds")]
    time: Timestamp,
    mono_us: u64,
    prev: &'a str,
    event: &'a Value,
}

/// The line (with its newline) and the hash of a record.
pub(super) fn seal(
    seq: u64,
    time: Timestamp,
    mono_us: u64,
    prev: &str,
    event: &Value,
) -> Result<(Vec<u8>, String), serde_json::Error> {
    let mut line = serde_json::to_vec(&Unsealed { seq, time, mono_us, prev, event })?;
    let hash = hash_of(&line);
    line.pop();
    line.extend_from_slice(b",\"hash\":\"");
    line.extend_from_slice(hash.as_bytes());
    line.extend_from_slice(b"\"}\n");
    Ok((line, hash))
}

/// The hash that a line (without its newline) must carry; none where it does not end in the seal's form.
pub(super) fn expected_hash(line: &[u8]) -> Option<String> {
    let cut = line.len().checked_sub(SEAL)?;
    let (body, seal) = line.split_at(cut);
    if !seal.starts_with(b",\"hash\":\"") || !seal.ends_with(b"\"}") {
        return None;
    }
    let mut hasher = Sha256::new();
    hasher.update(body);
    hasher.update(b"}");
    Some(hex::encode(hasher.finalize()))
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
