//! Load: as much of the processor as the pod gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};
use tokio::sync::watch as signal;

use crate::protocol::{Load, Loaded};

/// No node needs more of them to be fully used.
const MOST_THREADS: u32 = 256;

/// Loads until its time is up or it is told to stop; `begun` is called once everything runs.
pub(super) async fn run(load: Load, begun: impl FnOnce(), mut cancelled: signal::Receiver<bool>) -> Loaded {
    let over = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let burners: Vec<_> = (0..load.threads.min(MOST_THREADS))
        .filter_map(|_| {
            let over = Arc::clone(&over);
            std::thread::Builder::new().spawn(move || burn(&over)).ok()
        })
        .collect();
    begun();
    tokio::select! {
        _ = cancelled.wait_for(|it| *it) => {}
        () = tokio::time::sleep(Duration::from_millis(load.for_ms.into())) => {}
    }
    over.store(true, Ordering::Relaxed);
    let wall = started.elapsed();
    let threads = u32::try_from(burners.len()).unwrap_or(u32::MAX);
    let processor: Duration = burners.into_iter().filter_map(|burner| burner.join().ok()).sum();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Loaded { threads, processor_us: micros(processor), wall_us: micros(wall) }
}

/// Uses the processor until it is over; how much of it, by the kernel's own books.
fn burn(over: &AtomicBool) -> Duration {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..10_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        std::hint::black_box(state);
    }
    let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(|time| time.num_microseconds());
    Duration::from_micros(used.ok().and_then(|used| u64::try_from(used).ok()).unwrap_or_default())
}
