//! Plans: all probes at once.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until};

use super::names::Names;
use super::sample::{Sample, silence};
use crate::protocol::{Outcome, Pace, Probe, Seen, Transport};

/// Silence and attempts, ready to use.
#[derive(Clone, Debug)]
pub(super) struct Pacing {
    deadline: Duration,
    offsets: Vec<Duration>,
}

impl From<&Pace> for Pacing {
    fn from(pace: &Pace) -> Self {
        let deadline = Duration::from_millis(pace.deadline_ms.max(1).into());
        let mut offsets: Vec<_> = pace
            .attempts_ms
            .iter()
            .map(|&ms| Duration::from_millis(ms.into()))
            .filter(|&it| it < deadline)
            .collect();
        offsets.sort_unstable();
        if offsets.is_empty() {
            offsets.push(Duration::ZERO);
        }
        Self { deadline, offsets }
    }
}

/// Runs one probe to its end. Its clock starts when there are descriptors for it, so that a queue is never silence.
pub(super) async fn run(
    probe: Rc<Probe>,
    round: u64,
    pacing: &Pacing,
    names: &Names,
    descriptors: &Semaphore,
) -> Outcome {
    let wanted = u32::try_from(pacing.offsets.len()).unwrap_or(u32::MAX);
    // Never closed.
    let _held = descriptors.acquire_many(wanted).await.ok();
    let start = Instant::now();
    let sample = Sample::new(Rc::clone(&probe), round);
    let attempts = Rc::new(RefCell::new(0));
    let (seen, address) = if probe.transport.is_lookup() && probe.port == 0 {
        let found = names.ask(&probe.host, Some(probe.transport)).await;
        (
            found.map_or_else(|seen| seen, |addresses| Seen::Resolved { addresses, rcode: "NOERROR".into() }),
            None,
        )
    } else {
        match names.find(&probe.host).await {
            Err(seen) => (seen, None),
            Ok(addresses) => {
                // The time that the name took is not the path's.
                let start = Instant::now();
                let seen = match (probe.transport, addresses.first()) {
                    (Transport::Udp | Transport::Dns, Some(&to)) => {
                        tokio::select! {
                            biased;
                            seen = sample.send(to, start, &pacing.offsets, &attempts) => seen,
                            () = silence(|| start + pacing.deadline) => None,
                        }
                    }
                    _ => race(&sample, &addresses, start, pacing, &attempts).await,
                };
                let named = probe.host.parse::<IpAddr>().is_err();
                (seen.unwrap_or(Seen::Silence), addresses.first().copied().filter(|_| named))
            }
        }
    };
    let attempts = *attempts.borrow();
    Outcome {
        index: probe.index,
        seen,
        took_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        attempts,
        ports: sample.ports.take(),
        address,
    }
}

/// Dials at each offset while the earlier dials go on. The first that saw anything decides; local trouble decides only if
/// there is nothing else.
///
/// Once a dial has come through, another would only be one more that a busy process has to answer, and what it has time
/// for begins anew: a path is not closed because who is at its end is slow.
async fn race(
    sample: &Rc<Sample>,
    addresses: &[IpAddr],
    start: Instant,
    pacing: &Pacing,
    attempts: &Rc<RefCell<u32>>,
) -> Option<Seen> {
    let mut dials = JoinSet::new();
    for (at, &offset) in pacing.offsets.iter().enumerate() {
        let Some(&address) = addresses.get(at % addresses.len().max(1)) else { continue };
        let (sample, attempts) = (Rc::clone(sample), Rc::clone(attempts));
        dials.spawn_local(async move {
            sleep_until(start + offset).await;
            if sample.connected.get().is_some() {
                return None;
            }
            *attempts.borrow_mut() += 1;
            Some(sample.dial(address).await)
        });
    }
    let mut trouble = None;
    let mut silent = false;
    loop {
        tokio::select! {
            biased;
            dial = dials.join_next() => match dial {
                Some(Ok(Some(Some(seen @ Seen::Trouble { .. })))) => trouble = Some(seen),
                Some(Ok(Some(Some(seen)))) => return Some(seen),
                Some(Ok(Some(None))) => silent = true,
                Some(Ok(None)) => {}
                Some(Err(error)) => trouble = Some(Seen::Trouble { why: error.to_string() }),
                None => return if silent { None } else { trouble },
            },
            () = silence(|| sample.connected.get().unwrap_or(start) + pacing.deadline) => return None,
        }
    }
}
