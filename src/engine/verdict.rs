//! From what came of a run to its exit code: one rule, pure.

use super::Tally;
use crate::exit::Exit;

/// A signal that ends a run early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The polite kill.
    Terminate,
}

impl Signal {
    /// As in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// What came of a run, as far as the exit code goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// The outcomes.
    pub tally: Tally,
    /// How many scenarios were planned.
    pub planned: usize,
    /// Set where a signal ended it early.
    pub signal: Option<Signal>,
    /// Waivers that are expired or that nothing needed.
    pub waiver_problems: usize,
    /// What could not be removed.
    pub leftovers: usize,
    /// Whether the run's own books failed: the journal could not be written, something ran unplanned.
    pub broken: bool,
}

/// The exit code of a run.
///
/// An interrupt goes before everything, since the caller asked for it and what is left undone says nothing.
/// Then the books: a verdict that cannot be relied on is none. Then what is certain (a broken promise, however
/// much else is unclear) goes before what is not, and only a run that proved something is conformant.
pub const fn exit(end: &RunEnd) -> Exit {
    let tally = &end.tally;
    match end.signal {
        Some(Signal::Interrupt) => return Exit::Interrupted,
        Some(Signal::Terminate) => return Exit::Terminated,
        None => {}
    }
    if end.broken || tally.total() != end.planned {
        Exit::Inconclusive
    } else if end.planned == 0 {
        Exit::NothingSelected
    } else if tally.failed > 0 || end.waiver_problems > 0 {
        Exit::Failed
    } else if tally.inconclusive > 0 || tally.not_run > 0 || tally.passed + tally.waived == 0 {
        Exit::Inconclusive
    } else if end.leftovers > 0 {
        Exit::Leftovers
    } else {
        Exit::Conformant
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::Outcome;

    fn ends() -> impl Strategy<Value = RunEnd> {
        let outcomes = prop::collection::vec(prop::sample::select(Outcome::ALL.to_vec()), 0..8);
        let signal =
            prop::option::weighted(0.2, prop::sample::select(vec![Signal::Interrupt, Signal::Terminate]));
        (outcomes, signal, 0_usize..2, 0_usize..2, prop::bool::weighted(0.1), 0_usize..10).prop_map(
            |(outcomes, signal, waiver_problems, leftovers, broken, off)| {
                let tally: Tally = outcomes.into_iter().collect();
                // Now and then the counts do not add up.
                let planned = if off == 0 { tally.total() + 1 } else { tally.total() };
                RunEnd { tally, planned, signal, waiver_problems, leftovers, broken }
            },
        )
    }

    proptest! {
        #[test]
        fn conformant_means_that_everything_planned_is_accounted_for_and_something_is_proven(end in ends()) {
            let tally = end.tally;
            let sound = end.signal.is_none() && !end.broken && tally.total() == end.planned;
            let clean = tally.failed + tally.inconclusive + tally.not_run + end.waiver_problems + end.leftovers == 0;
            prop_assert_eq!(
                exit(&end) == Exit::Conformant,
                sound && clean && tally.passed + tally.waived > 0
            );
        }

        #[test]
        fn a_failure_is_never_hidden_but_by_an_interrupt_or_broken_books(end in ends()) {
            let sound = end.signal.is_none() && !end.broken && end.tally.total() == end.planned;
            if sound && end.tally.failed > 0 {
                prop_assert_eq!(exit(&end), Exit::Failed);
            }
            if exit(&end) == Exit::Failed {
                prop_assert!(end.tally.failed > 0 || end.waiver_problems > 0);
            }
        }

        #[test]
        fn one_more_trouble_never_makes_it_conformant(end in ends(), outcome in prop::sample::select(vec![
            Outcome::Failed, Outcome::Inconclusive, Outcome::NotRun,
        ])) {
            let mut worse = end;
            worse.tally.add(outcome);
            worse.planned += 1;
            prop_assert_ne!(exit(&worse), Exit::Conformant);
            prop_assert_ne!(exit(&worse), Exit::Leftovers);
        }

        #[test]
        fn a_signal_decides_alone(end in ends()) {
            match end.signal {
                Some(Signal::Interrupt) => prop_assert_eq!(exit(&end).code(), 130),
                Some(Signal::Terminate) => prop_assert_eq!(exit(&end).code(), 143),
                None => prop_assert!(exit(&end).code() < 128),
            }
        }

        #[test]
        fn leftovers_matter_only_where_the_verdict_is_fine(end in ends()) {
            let clean = RunEnd { leftovers: 0, ..end };
            if exit(&end) == Exit::Leftovers {
                prop_assert_eq!(exit(&clean), Exit::Conformant);
            } else if end.leftovers > 0 {
                prop_assert_eq!(exit(&end), exit(&clean));
            }
        }
    }
}
