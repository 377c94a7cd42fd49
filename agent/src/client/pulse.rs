//! Pulses: one probe repeated at a fixed rate, to measure how long each takes.
//!
//! The schedule is the clock: a sample's time runs from when it was due, not from when there was time to begin it, so
//! that whatever holds the agent itself up is measured, too (no coordinated omission).

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch as signal};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until};

use super::names::Names;
use super::sample::Sample;
use super::watch::{Way, once};
use crate::protocol::{Probe, Pulse, Pulsed, Seen};

/// Repeats one probe to the end of its time.
pub(super) async fn run(
    probe: Rc<Probe>,
    round: u64,
    pulse: &Pulse,
    names: &Rc<Names>,
    descriptors: &Arc<Semaphore>,
    mut cancelled: signal::Receiver<bool>,
) -> Pulsed {
    let mut pulsed = Pulsed { index: probe.index, ..Pulsed::default() };
    let every = Duration::from_millis(pulse.every_ms.max(1).into());
    let give_up = Duration::from_millis(pulse.give_up_ms.max(1).into());
    // The path is measured, not the resolver.
    let address = match names.find(&probe.host).await {
        Ok(addresses) => addresses.first().copied(),
        Err(seen) => {
            pulsed.trouble = Some(format!("{seen:?}"));
            None
        }
    };
    let Some(address) = address else { return pulsed };
    let sample = Sample::new(Rc::clone(&probe), round);
    let start = Instant::now();
    let end = start + Duration::from_millis(pulse.for_ms.into());
    let mut samples = JoinSet::new();
    let mut due = start;
    while due < end {
        tokio::select! {
            biased;
            _ = cancelled.wait_for(|it| *it) => break,
            () = sleep_until(due) => {}
        }
        let (sample, names) = (Rc::clone(&sample), Rc::clone(names));
        let descriptors = Arc::clone(descriptors);
        let at = due;
        samples.spawn_local(async move {
            let _held = descriptors.acquire_owned().await.ok();
            let seen = once(&sample, Way::Address(address), &names, at + give_up).await;
            matches!(seen, Seen::Echo { .. }).then(|| at.elapsed())
        });
        due += every;
    }
    while let Some(sample) = samples.join_next().await {
        // A sample that came to nothing is one without an answer, however it came to nothing.
        match sample.ok().flatten() {
            Some(took) => pulsed.took_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)),
            None => pulsed.unanswered += 1,
        }
    }
    pulsed
}
