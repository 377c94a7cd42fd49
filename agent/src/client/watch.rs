//! Watches: one probe repeated at a fixed rate, to time a change without a round trip to the harness.
//!
//! The schedule is the clock: sample k is due at start + k x every, and a change is dated by the schedule of the first
//! sample that saw it, not by when its answer came. Silence is known late but dated right.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch as signal};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use super::names::Names;
use super::sample::Sample;
use crate::clock;
use crate::protocol::{Change, Probe, Seen, SeenKind, Transport, Watch, Watched};

/// Changes beyond this many are counted, not kept.
const MAX_CHANGES: usize = 1_000;

/// The samples in the order of the schedule, whatever order their answers came in.
#[derive(Debug, Default)]
struct Runs {
    pending: BTreeMap<u32, (u64, SeenKind)>,
    /// Samples that were missed leave a hole, which must not hold up those behind it.
    due: std::collections::VecDeque<u32>,
    changes: Vec<Change>,
    dropped: u32,
}

impl Runs {
    fn started(&mut self, k: u32) {
        self.due.push_back(k);
    }

    fn ended(&mut self, k: u32, at_us: u64, kind: SeenKind) {
        self.pending.insert(k, (at_us, kind));
        while let Some(next) = self.due.front()
            && let Some((at_us, kind)) = self.pending.remove(next)
        {
            self.due.pop_front();
            self.add(at_us, kind);
        }
    }

    fn add(&mut self, at_us: u64, kind: SeenKind) {
        match self.changes.last_mut() {
            Some(last) if last.to == kind => last.samples = last.samples.saturating_add(1),
            _ => {
                if self.changes.len() == MAX_CHANGES {
                    // The oldest goes: how it ended is what was asked for.
                    self.changes.remove(0);
                    self.dropped += 1;
                }
                self.changes.push(Change { to: kind, at_us, samples: 1 });
            }
        }
    }

    fn settled(&self, watch: &Watch) -> bool {
        self.changes
            .last()
            .is_some_and(|last| watch.until.contains(&last.to) && last.samples >= watch.stable.max(1))
    }
}

/// Watches one probe to its end.
pub(super) async fn run(
    probe: Rc<Probe>,
    round: u64,
    watch: &Watch,
    names: &Rc<Names>,
    descriptors: &Arc<Semaphore>,
    mut cancelled: signal::Receiver<bool>,
) -> Watched {
    let every = Duration::from_millis(watch.every_ms.max(1).into());
    let give_up = Duration::from_millis(watch.give_up_ms.max(1).into());
    let started = clock::clocks();
    let start = Instant::now();
    let end = start + Duration::from_millis(watch.deadline_ms.into());
    let mut runs = Runs::default();
    let mut samples = JoinSet::new();
    let (mut due, mut missed) = (0, 0);
    let mut last = None;
    let way = if probe.transport.is_lookup() && probe.port == 0 {
        Some(Way::Resolver)
    } else {
        // A name is looked up once: the path is watched, not the resolver.
        match names.find(&probe.host).await {
            Ok(addresses) => addresses.first().copied().map(Way::Address),
            Err(seen) => {
                last = Some(seen);
                None
            }
        }
    };
    let sample = Sample::new(Rc::clone(&probe), round);
    if let Some(way) = way {
        loop {
            let at = start + every.saturating_mul(due);
            tokio::select! {
                biased;
                _ = cancelled.wait_for(|it| *it) => break,
                Some(Ok((k, at_us, seen))) = samples.join_next(), if !samples.is_empty() => {
                    let seen: Seen = seen;
                    runs.ended(k, at_us, seen.kind());
                    last = Some(seen);
                    if runs.settled(watch) {
                        break;
                    }
                }
                () = sleep_until(at), if at < end => {
                    let k = due;
                    due += 1;
                    let late = at.elapsed() > every;
                    let held = Arc::clone(descriptors).try_acquire_owned();
                    let Some(held) = held.ok().filter(|_| !late) else {
                        missed += 1;
                        continue;
                    };
                    runs.started(k);
                    let (sample, names) = (Rc::clone(&sample), Rc::clone(names));
                    samples.spawn_local(async move {
                        let seen = once(&sample, way, &names, at + give_up).await;
                        drop(held);
                        (k, u64::try_from((at - start).as_micros()).unwrap_or(u64::MAX), seen)
                    });
                }
                () = sleep_until(end + give_up), if at >= end => break,
            }
            if at >= end && samples.is_empty() {
                break;
            }
        }
    }
    Watched {
        index: probe.index,
        settled: runs.settled(watch),
        changes: runs.changes,
        dropped_changes: runs.dropped,
        due,
        missed,
        started,
        last,
    }
}

/// What each sample does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Address(IpAddr),
    Resolver,
}

pub(super) async fn once(sample: &Sample, way: Way, names: &Names, until: Instant) -> Seen {
    let seen = match (way, sample.probe.transport) {
        (Way::Resolver, _) => {
            let found = timeout_at(until, names.ask(&sample.probe.host, Some(sample.probe.transport))).await;
            Some(match found {
                Ok(Ok(addresses)) => Seen::Resolved { addresses, rcode: "NOERROR".into() },
                Ok(Err(seen)) => seen,
                Err(_) => Seen::Unresolved { rcode: "TIMEOUT".into() },
            })
        }
        (Way::Address(address), Transport::Udp | Transport::Dns) => {
            let sent = std::cell::RefCell::new(0);
            let sending = sample.send(address, Instant::now(), &[Duration::ZERO], &sent);
            timeout_at(until, sending).await.unwrap_or(None)
        }
        (
            Way::Address(address),
            Transport::Tcp | Transport::Http | Transport::DnsTcp | Transport::Connect,
        ) => timeout_at(until, sample.dial(address)).await.unwrap_or(None),
    };
    // Ports matter to plans only; a watch would pile them up.
    sample.ports.borrow_mut().clear();
    seen.unwrap_or(Seen::Silence)
}
