//! What goes over the wire about the pace of probes, and about watches: probes that are repeated until what they see
//! changes.

use serde::{Deserialize, Serialize};

use crate::protocol::{Clocks, Seen, SeenKind};

/// How long to try, and how often within that time.
///
/// A lost packet must not look like a closed path. Linux repeats a SYN only after a second, so the agent does not wait
/// for it: it dials afresh at each offset of `attempts_ms` while the earlier dials go on, and any echo counts. UDP
/// datagrams are re-sent at the same offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Silence for this long is DROPPED.
    pub deadline_ms: u32,
    /// When to try, in milliseconds from the start of the probe.
    pub attempts_ms: Vec<u32>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { deadline_ms: 1_000, attempts_ms: vec![0, 300, 600] }
    }
}

/// How to watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// A sample is due every so many milliseconds, whether or not the earlier ones have ended (open loop).
    pub every_ms: u32,
    /// Silence for this long makes a sample DROPPED.
    pub give_up_ms: u32,
    /// The watch of a probe ends when it has settled on one of these; never, if empty.
    pub until: Vec<SeenKind>,
    /// So many samples in a row settle it.
    pub stable: u32,
    /// The watch ends after so many milliseconds in any case.
    pub deadline_ms: u32,
}

/// A change in what a watched probe saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it saw from then on.
    pub to: SeenKind,
    /// The scheduled time of the first sample that saw it, in microseconds from the start of the watch.
    pub at_us: u64,
    /// The samples in a row that saw it.
    pub samples: u32,
}

/// What came of the watch of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The probe's index.
    pub index: u32,
    /// Whether it settled on an awaited verdict before the deadline.
    pub settled: bool,
    /// What it saw, run by run, in the order of the schedule. Bounded: see `dropped_changes`.
    pub changes: Vec<Change>,
    /// Changes that were not kept.
    #[serde(default)]
    pub dropped_changes: u32,
    /// Samples that were due.
    pub due: u32,
    /// Samples that could not be started in time.
    pub missed: u32,
    /// The agent's clock at the start of the watch.
    pub started: Clocks,
    /// The last sample in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Seen>,
}
