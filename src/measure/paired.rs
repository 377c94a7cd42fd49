//! Whether something slows others: quiet and loaded windows, in pairs.
//!
//! Times of probes that follow each other are not independent, since one stall holds up many of them, and a shared
//! machine has stalls of its own. So what is counted is not probes but pairs of windows, of which one is quiet and one
//! loaded, and which of them comes first is drawn by lot. A pair whose loaded window alone exceeds the bound speaks
//! against the load, one whose quiet window alone does speaks for it, and the others are ties. Without an influence of
//! the load each sort is as likely as the other, whatever else troubles the machine, and the lot is what makes that
//! true: the sign test (Dixon and Mood, "The Statistical Sign Test", Journal of the American Statistical Association
//! 41, 1946) of a randomised design (Fisher, "The Design of Experiments", 1935).

use std::time::Duration;

use super::quantile::{Finding, binomial_tail, quantile};

/// A chance below this is not taken for one.
const LEVEL: f64 = 0.02;

/// One quiet window and the loaded one beside it, each with the times of its probes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// Without the load.
    pub quiet: Vec<Duration>,
    /// Under it.
    pub loaded: Vec<Duration>,
}

/// What the pairs say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The quantile over all quiet windows.
    pub quiet: Duration,
    /// The quantile over all loaded windows.
    pub loaded: Duration,
    /// How many pairs there are.
    pub pairs: usize,
    /// In how many of them the loaded window alone exceeds the bound.
    pub slower: usize,
    /// In how many of them the quiet window alone does.
    pub faster: usize,
    /// The chance of as many of the former among both, were there no influence.
    pub chance: f64,
    /// What follows.
    pub finding: Finding,
}

/// Judges whether the `q` quantile under load keeps a bound. It is broken only where it exceeds the bound over all and
/// the load is the reason; where the machine itself may be, that is unclear. None where a window is empty.
pub fn compare(pairs: &[Pair], q: f64, bound: Duration) -> Option<Compared> {
    let over = |window: &[Duration]| quantile(window, q).map(|value| value > bound);
    let (mut slower, mut faster) = (0, 0);
    for pair in pairs {
        match (over(&pair.quiet)?, over(&pair.loaded)?) {
            (false, true) => slower += 1,
            (true, false) => faster += 1,
            _ => {}
        }
    }
    let all = |which: fn(&Pair) -> &Vec<Duration>| -> Vec<Duration> {
        pairs.iter().flat_map(|pair| which(pair).iter().copied()).collect()
    };
    let quiet = quantile(&all(|pair| &pair.quiet), q)?;
    let loaded = quantile(&all(|pair| &pair.loaded), q)?;
    let chance = binomial_tail(slower + faster, slower, 0.5);
    let finding = if loaded <= bound {
        Finding::Kept
    } else if chance <= LEVEL {
        Finding::Broken
    } else {
        Finding::Unclear
    };
    Some(Compared { quiet, loaded, pairs: pairs.len(), slower, faster, chance, finding })
}

/// As [`compare`], of a measurement that was made again where it could not tell: each round has `round` pairs.
///
/// A stall of the machine in one window leaves a round unclear, and however many pairs follow, it stays among them. So
/// the bound counts as kept where the last round keeps it and all pairs together do not speak against the load, and as
/// broken where all of them do; the pairs of every round count against it.
pub fn compare_rounds(pairs: &[Pair], round: usize, q: f64, bound: Duration) -> Option<Compared> {
    let all = compare(pairs, q, bound)?;
    let last = compare(pairs.chunks(round.max(1)).last()?, q, bound)?;
    let kept = all.chance > LEVEL && last.finding == Finding::Kept;
    Some(Compared { finding: if kept { Finding::Kept } else { all.finding }, ..all })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUND: Duration = Duration::from_millis(100);

    fn window(slow: bool) -> Vec<Duration> {
        let late = if slow { 5 } else { 0 };
        (0..100).map(|index| Duration::from_millis(if index < late { 300 } else { 2 })).collect()
    }

    fn pairs(shape: &[(bool, bool)]) -> Vec<Pair> {
        shape.iter().map(|(quiet, loaded)| Pair { quiet: window(*quiet), loaded: window(*loaded) }).collect()
    }

    fn finding(shape: &[(bool, bool)]) -> Finding {
        compare(&pairs(shape), 0.99, BOUND).unwrap().finding
    }

    #[test]
    fn slow_under_load_and_only_then_is_broken() {
        assert_eq!(finding(&[(false, true); 8]), Finding::Broken);
        assert_eq!(finding(&[(false, false); 8]), Finding::Kept);
    }

    #[test]
    fn a_machine_that_is_slow_anyway_breaks_nothing() {
        assert_eq!(finding(&[(true, true); 8]), Finding::Unclear);
        let mut mixed = [(true, false), (false, true)].repeat(4);
        assert_eq!(finding(&mixed), Finding::Unclear);
        mixed.truncate(2);
        assert_eq!(finding(&mixed), Finding::Unclear);
    }

    #[test]
    fn one_stall_of_the_machine_is_not_the_99th_percentile() {
        let mut shape = [(false, false); 8];
        shape[3] = (false, true);
        assert_eq!(finding(&shape), Finding::Kept);
    }

    #[test]
    fn a_stall_is_measured_away_and_an_influence_is_not() {
        // So long that it is the 99th percentile of its round.
        let stall = Pair {
            quiet: window(false),
            loaded: (0..100).map(|index| Duration::from_millis(if index < 90 { 300 } else { 2 })).collect(),
        };
        let finding = |pairs: &[Pair]| compare_rounds(pairs, 8, 0.99, BOUND).unwrap().finding;
        let mut measured = pairs(&[(false, false); 8]);
        measured[3] = stall.clone();
        assert_eq!(finding(&measured), Finding::Unclear);
        measured.extend(pairs(&[(false, false); 8]));
        assert_eq!(finding(&measured), Finding::Kept);
        // In four windows of eight, round after round: it becomes clear, and never kept.
        let half: Vec<Pair> = pairs(&[(false, false); 4]).into_iter().chain(vec![stall.clone(); 4]).collect();
        assert_eq!(finding(&half), Finding::Unclear);
        assert_eq!(finding(&[half.clone(), half.clone()].concat()), Finding::Broken);
        // A last round that keeps it does not make up for those before.
        assert_eq!(finding(&[half.clone(), half, pairs(&[(false, false); 8])].concat()), Finding::Broken);
    }

    #[test]
    fn an_empty_window_says_nothing() {
        assert_eq!(compare(&[Pair::default()], 0.99, BOUND), None);
        assert_eq!(compare(&[], 0.99, BOUND), None);
    }

    proptest! {
        /// However the machine's own stalls fall, if they do not care about the load a false alarm is rare.
        #[test]
        fn exchanging_quiet_and_loaded_never_breaks_both(shape in prop::collection::vec(any::<(bool, bool)>(), 1..12)) {
            let turned: Vec<_> = shape.iter().map(|(quiet, loaded)| (*loaded, *quiet)).collect();
            prop_assert!(finding(&shape) != Finding::Broken || finding(&turned) != Finding::Broken);
        }
    }
}
