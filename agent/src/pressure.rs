//! What goes over the wire about load, and about pulses: probes that are repeated to see how long each takes.

use serde::{Deserialize, Serialize};

/// How to take times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// A sample is due every so many milliseconds, whether or not the earlier ones have ended (open loop).
    pub every_ms: u32,
    /// Silence for this long ends a sample.
    pub give_up_ms: u32,
    /// For so many milliseconds.
    pub for_ms: u32,
}

/// What a pulse of one probe came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulsed {
    /// The probe's index.
    pub index: u32,
    /// Microseconds from when each sample was due to its answer, in no order.
    pub took_us: Vec<u32>,
    /// Samples without an answer.
    #[serde(default)]
    pub unanswered: u32,
    /// Set where nothing could be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// What to use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// So many threads that do nothing but count.
    pub threads: u32,
    /// For so many milliseconds at the most.
    pub for_ms: u32,
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// Threads that ran.
    pub threads: u32,
    /// Microseconds of the processor that they got, all together.
    pub processor_us: u64,
    /// Microseconds that it lasted.
    pub wall_us: u64,
}
