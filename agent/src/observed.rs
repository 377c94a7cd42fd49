//! What a pod tells of itself: what has arrived there, what is in its volumes, what its clocks say.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One nonce that arrived at a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The second half of the nonce.
    pub index: u32,
    /// How often it arrived.
    pub times: u32,
    /// The port that it arrived at first.
    pub port: u16,
    /// Where it came from.
    pub peer: SocketAddr,
    /// When it first arrived, on the clock of [`Clocks::monotonic_us`].
    pub first_us: u64,
    /// When it last arrived, on the same clock.
    #[serde(default)]
    pub last_us: u64,
}

/// A connection whose handshake is not complete: its SYN arrived, the answer got lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct HalfOpen {
    /// The server's port.
    pub port: u16,
    /// Where the SYN came from.
    pub peer: SocketAddr,
}

/// What a search came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Files and links, whatever they hold.
    pub files: u32,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// The first files, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The first of those that hold the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holding: Vec<String>,
    /// Whether everything was looked at: if not, absence proves nothing.
    pub complete: bool,
}

/// Two clocks, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Clocks {
    /// Microseconds on the machine's monotonic clock.
    pub monotonic_us: u64,
    /// Microseconds since 1970.
    pub wall_us: u64,
}
