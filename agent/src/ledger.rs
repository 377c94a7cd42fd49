//! What has arrived at this pod: the second end of every probe.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::protocol::{Arrival, HalfOpen, Nonce};

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

/// The connections of this network namespace whose SYN arrived and whose handshake never finished.
///
/// The kernel keeps them for about a minute while it repeats its answer, so they tell a lost answer from a lost SYN,
/// without a privilege.
pub fn half_open() -> Vec<HalfOpen> {
    let mut found: Vec<_> = ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| parse_half_open(&table))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn parse_half_open(table: &str) -> Vec<HalfOpen> {
    /// `TCP_SYN_RECV` of the kernel's `tcp_states.h`.
    const SYN_RECV: &str = "03";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            if state != SYN_RECV {
                return None;
            }
            Some(HalfOpen { port: kernel_address(local)?.port(), peer: kernel_address(remote)? })
        })
        .collect()
}

/// Reads an address as /proc prints it: 32-bit words in the machine's order, a colon, the port in plain hexadecimal.
fn kernel_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let hex = address.get(at..at + 8)?;
        Some(u32::from_str_radix(hex, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => std::net::IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at * 8)?);
            }
            std::net::IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
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

    #[test]
    fn the_kernel_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
             1: 0100007F:1F90 0200007F:9C40 03 00000000:00000000 01:00000064 00000001     0        0 0 1 0\n";
        assert_eq!(
            parse_half_open(table),
            [HalfOpen { port: 8080, peer: "127.0.0.2:40000".parse().unwrap() }]
        );
        let mapped = kernel_address("0000000000000000FFFF00000100007F:1F90").unwrap();
        assert_eq!(mapped, "127.0.0.1:8080".parse().unwrap());
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

        #[test]
        fn no_table_breaks_the_reader(table in "\\PC*") {
            parse_half_open(&table);
        }
    }
}
