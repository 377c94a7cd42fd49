//! Quantiles of a few measurements, and what so few may say about a bound.
//!
//! The quantile is the inverse of the empirical distribution function: the smallest value that at least a share `q` of
//! the sample does not exceed (Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician
//! 50, 1996: definition 1). It is always a value that was measured.
//!
//! A small sample says little about a high quantile, so that the bound is judged by a one-sided exact binomial test
//! (Conover, "Practical Nonparametric Statistics", section 3.2): if at most a share `1 - q` of all values exceeds the
//! bound, the number of those that do in a sample of `n` is at most binomial with `n` and `1 - q`.

use std::time::Duration;

use super::order::Ordered;

/// A chance below this is not taken for one: the bound is then said to be broken.
const LEVEL: f64 = 0.01;

/// The smallest value that at least a share `q` of the sample does not exceed; none of an empty one.
pub fn quantile(sample: &[Duration], q: f64) -> Option<Duration> {
    Ordered::new(sample.iter().copied()).map(|ordered| ordered.quantile(q))
}

/// The chance that a binomial variable of `n` trials, each a success with the chance `p`, is `k` or more.
pub fn binomial_tail(n: usize, k: usize, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    // By logarithms, since the coefficients outgrow the type long before the terms matter.
    let ln_factorial = |m: usize| (2..=m).map(|i| (i as f64).ln()).sum::<f64>();
    let all = ln_factorial(n);
    let term = |i: usize| {
        let coefficient = all - ln_factorial(i) - ln_factorial(n - i);
        (coefficient + i as f64 * p.ln() + (n - i) as f64 * (1.0 - p).ln()).exp()
    };
    (k..=n).map(term).sum::<f64>().min(1.0)
}

/// What a sample says about a bound on a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The sample's quantile keeps it.
    Kept,
    /// So many exceed it that a platform which keeps it would hardly ever show as many.
    Broken,
    /// The sample's quantile exceeds it, but so may that of a platform which keeps it.
    Unclear,
}

/// A bound on a quantile, judged by a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The sample's quantile.
    pub quantile: Duration,
    /// How many were measured.
    pub count: usize,
    /// How many of them exceed the bound.
    pub over: usize,
    /// The chance of as many or more, were the bound just kept.
    pub chance: f64,
    /// What follows.
    pub finding: Finding,
}

/// Judges whether the `q` quantile of what was sampled keeps a bound; none for an empty sample.
pub fn judge(sample: &[Duration], q: f64, bound: Duration) -> Option<Judged> {
    let quantile = quantile(sample, q)?;
    let over = sample.iter().filter(|value| **value > bound).count();
    let chance = binomial_tail(sample.len(), over, 1.0 - q);
    let finding = if quantile <= bound {
        Finding::Kept
    } else if chance <= LEVEL {
        Finding::Broken
    } else {
        Finding::Unclear
    };
    Some(Judged { quantile, count: sample.len(), over, chance, finding })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let sample = millis(&[50, 10, 40, 20, 30]);
        for (q, expected) in [(0.0, 10), (0.2, 10), (0.21, 20), (0.5, 30), (0.99, 50), (1.0, 50)] {
            assert_eq!(quantile(&sample, q), Some(Duration::from_millis(expected)), "{q}");
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    /// Values of the tables in Conover's appendix, to four places.
    #[test]
    fn the_tail_is_that_of_the_tables() {
        for (n, k, p, expected) in [
            (8, 1, 0.01, 0.0773),
            (8, 2, 0.01, 0.0027),
            (8, 8, 0.5, 0.0039),
            (20, 15, 0.5, 0.0207),
            (5, 0, 0.3, 1.0),
            (5, 6, 0.3, 0.0),
        ] {
            let seen = binomial_tail(n, k, p);
            assert!((seen - expected).abs() < 5e-5, "n {n}, k {k}, p {p}: {seen}");
        }
    }

    #[test]
    fn one_straggler_of_eight_breaks_no_bound_on_the_99th_percentile_and_two_do() {
        let bound = Duration::from_millis(100);
        let finding = |values: &[u64]| judge(&millis(values), 0.99, bound).unwrap().finding;
        assert_eq!(finding(&[90; 8]), Finding::Kept);
        assert_eq!(finding(&[90, 90, 90, 90, 90, 90, 90, 101]), Finding::Unclear);
        assert_eq!(finding(&[90, 90, 90, 90, 90, 90, 101, 101]), Finding::Broken);
        let median = judge(&millis(&[90, 90, 90, 90, 101, 101, 101, 101]), 0.5, bound).unwrap();
        assert_eq!((median.finding, median.over), (Finding::Kept, 4));
    }

    proptest! {
        #[test]
        fn more_stragglers_never_make_it_better(mut values in prop::collection::vec(0_u64..200, 1..40), q in 0.01_f64..0.999) {
            let bound = Duration::from_millis(100);
            let rank = |finding| match finding { Finding::Kept => 0, Finding::Unclear => 1, Finding::Broken => 2 };
            let before = judge(&millis(&values), q, bound).unwrap();
            if let Some(quick) = values.iter_mut().find(|value| **value <= 100) {
                *quick = 150;
            }
            let after = judge(&millis(&values), q, bound).unwrap();
            prop_assert!(rank(after.finding) >= rank(before.finding));
            prop_assert!(after.chance <= before.chance + 1e-9);
        }

        #[test]
        fn the_tail_falls_from_one_to_nothing(n in 1_usize..60, p in 0.001_f64..0.999) {
            let tails: Vec<_> = (0..=n + 1).map(|k| binomial_tail(n, k, p)).collect();
            prop_assert!((tails[0] - 1.0).abs() < 1e-9 && tails[n + 1] == 0.0);
            prop_assert!(tails.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
        }
    }
}
