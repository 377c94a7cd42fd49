//! Which scenario may start next: a pure decision, apart from whatever runs it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use super::PlannedScenario;

/// Hands out the scenarios of a plan so that serial ones run alone, no two that hold the same lock run at
/// the same time, and never more than the limit.
///
/// Serial scenarios come last, one by one: between concurrent ones each would be a barrier of its own. Those that
/// may take longest come first, so that nothing has to wait for them alone at the end.
#[derive(Debug)]
pub struct Schedule {
    waiting: VecDeque<Entry>,
    serial: VecDeque<usize>,
    running: Vec<Entry>,
    serial_running: bool,
    limit: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    index: usize,
    locks: BTreeSet<String>,
}

impl Schedule {
    /// A schedule of `scenarios`, in their order, with at most `limit` (at least one) at the same time.
    pub fn new<'a>(scenarios: impl IntoIterator<Item = &'a PlannedScenario>, limit: usize) -> Self {
        let mut waiting = Vec::new();
        let mut serial = VecDeque::new();
        for (index, scenario) in scenarios.into_iter().enumerate() {
            if scenario.serial {
                serial.push_back(index);
            } else {
                let entry = Entry { index, locks: scenario.locks.iter().cloned().collect() };
                waiting.push((scenario.deadline_ms, entry));
            }
        }
        waiting.sort_by_key(|(deadline, _)| Reverse(*deadline));
        let waiting = waiting.into_iter().map(|(_, entry)| entry).collect();
        Self { waiting, serial, running: Vec::new(), serial_running: false, limit: limit.max(1) }
    }

    /// The index of a scenario that may start now, if there is one.
    pub fn start_next(&mut self) -> Option<usize> {
        if self.serial_running || self.running.len() >= self.limit {
            return None;
        }
        if self.waiting.is_empty() && self.running.is_empty() {
            let index = self.serial.pop_front()?;
            self.serial_running = true;
            return Some(index);
        }
        let free = |entry: &Entry| self.running.iter().all(|running| running.locks.is_disjoint(&entry.locks));
        let position = self.waiting.iter().position(free)?;
        let entry = self.waiting.remove(position)?;
        let index = entry.index;
        self.running.push(entry);
        Some(index)
    }

    /// A scenario ended.
    pub fn finished(&mut self, index: usize) {
        if self.serial_running {
            self.serial_running = false;
        } else {
            self.running.retain(|entry| entry.index != index);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scenario(serial: bool, locks: Vec<u8>) -> PlannedScenario {
        PlannedScenario {
            serial,
            locks: locks.into_iter().map(|lock| format!("lock-{lock}")).collect(),
            ..PlannedScenario::default()
        }
    }

    #[test]
    fn what_may_take_longest_comes_first_and_the_rest_keeps_its_order() {
        let with = |deadline_ms| PlannedScenario { deadline_ms, ..PlannedScenario::default() };
        let mut schedule = Schedule::new(&[with(60), with(60), with(120), with(60)], 4);
        let order: Vec<_> = std::iter::from_fn(|| schedule.start_next()).collect();
        assert_eq!(order, [2, 0, 1, 3]);
    }

    proptest! {
        #[test]
        fn everything_runs_once_and_nothing_runs_beside_what_it_excludes(
            plan in prop::collection::vec(
                (prop::bool::weighted(0.2), prop::collection::vec(0_u8..3, 0..3)), 0..30),
            limit in 0_usize..6,
            order in prop::collection::vec(any::<prop::sample::Index>(), 30),
        ) {
            let scenarios: Vec<_> = plan.into_iter().map(|(serial, locks)| scenario(serial, locks)).collect();
            let mut schedule = Schedule::new(&scenarios, limit);
            let mut running: Vec<usize> = Vec::new();
            let mut seen = BTreeSet::new();
            let mut order = order.into_iter();
            loop {
                while let Some(index) = schedule.start_next() {
                    for &other in &running {
                        prop_assert!(!scenarios[index].serial && !scenarios[other].serial);
                        let shared = scenarios[index].locks.iter().any(|l| scenarios[other].locks.contains(l));
                        prop_assert!(!shared);
                    }
                    prop_assert!(seen.insert(index), "{} started twice", index);
                    running.push(index);
                    prop_assert!(running.len() <= limit.max(1));
                }
                if running.is_empty() {
                    break;
                }
                let pick = order.next().map_or(0, |index| index.index(running.len()));
                schedule.finished(running.swap_remove(pick));
            }
            prop_assert_eq!(seen.len(), scenarios.len());
        }
    }
}
