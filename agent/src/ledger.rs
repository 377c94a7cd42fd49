//! What has arrived at this pod: the second end of every probe.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::protocol::{Arrival, Nonce};

/// The nonces that have arrived, the oldest forgotten first.
#[derive(Debug)]
pub struct Ledger {
    capacity: usize,
    entries: HashMap<Nonce, Arrival>,
    order: VecDeque<Nonce>,
    /// When the youngest of those that were forgotten had arrived.
    forgotten_us: Option<u64>,
}

impl Ledger {
    /// How many nonces a server remembers: two rounds of a 100 x 100 matrix, in about a megabyte.
    pub const CAPACITY: usize = 20_000;

    /// An empty ledger that remembers so many nonces.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: HashMap::new(),
            order: VecDeque::new(),
            forgotten_us: None,
        }
    }

    /// Notes that a nonce arrived.
    pub fn note(&mut self, nonce: Nonce, port: u16, peer: SocketAddr, now_us: u64) {
        if let Some(known) = self.entries.get_mut(&nonce) {
            known.times = known.times.saturating_add(1);
            known.last_us = known.last_us.max(now_us);
            return;
        }
        if self.order.len() == self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.forgotten_us = self.entries.remove(&oldest).map(|it| it.first_us).or(self.forgotten_us);
        }
        self.order.push_back(nonce);
        self.entries.insert(
            nonce,
            Arrival { index: nonce.index, times: 1, port, peer, first_us: now_us, last_us: now_us },
        );
    }

    /// What has arrived of one round, by index.
    pub fn of_round(&self, round: u64) -> Vec<Arrival> {
        let mut arrivals: Vec<_> =
            self.entries.iter().filter(|(nonce, _)| nonce.round == round).map(|(_, it)| it.clone()).collect();
        arrivals.sort_by_key(|arrival| arrival.index);
        arrivals
    }

    /// Whether everything that arrived since then is still known.
    pub fn is_complete_since(&self, since_us: u64) -> bool {
        self.forgotten_us.is_none_or(|forgotten| forgotten < since_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer() -> SocketAddr {
        "10.0.0.1:4000".parse().unwrap()
    }

    #[test]
    fn repeats_are_counted_and_rounds_kept_apart() {
        let mut ledger = Ledger::new(10);
        for (round, index) in [(1, 2), (1, 1), (1, 2), (2, 9)] {
            ledger.note(Nonce { round, index }, 8080, peer(), 5);
        }
        let seen: Vec<_> = ledger.of_round(1).iter().map(|it| (it.index, it.times)).collect();
        assert_eq!(seen, [(1, 1), (2, 2)]);
        assert_eq!(ledger.of_round(3), []);
    }

    proptest! {
        #[test]
        fn the_ledger_is_bounded_and_owns_up(nonces in prop::collection::vec((0u64..3, 0u32..40), 0..200), capacity in 1usize..20) {
            let mut ledger = Ledger::new(capacity);
            for &(round, index) in &nonces {
                ledger.note(Nonce { round, index }, 1, peer(), 0);
            }
            let kept: usize = (0..3).map(|round| ledger.of_round(round).len()).sum();
            prop_assert!(kept <= capacity);
            let distinct = nonces.iter().collect::<std::collections::BTreeSet<_>>().len();
            prop_assert!(!ledger.is_complete_since(0) || kept == distinct);
        }
    }
}
