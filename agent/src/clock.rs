//! The machine's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::protocol::Clocks;

/// Microseconds on the monotonic clock, which all processes of a machine share.
pub fn monotonic_us() -> u64 {
    // The clock cannot fail on Linux; a zero would be seen as such.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(now.tv_nsec()).unwrap_or(0) / 1_000)
    })
}

/// Both clocks at once.
pub fn clocks() -> Clocks {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clocks { monotonic_us: monotonic_us(), wall_us: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX) }
}
