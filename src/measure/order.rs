//! Order statistics: what so many samples say of a percentile, and what they do not.

use std::time::Duration;

/// Durations in order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered(Vec<Duration>);

/// What stands for a percentile.
#[derive(Clone, Debug, PartialEq)]
pub struct Percentile {
    /// Its value.
    pub value: Duration,
    /// How many samples there are.
    pub samples: usize,
    /// True where the samples are too few for an order statistic of that percentile, and their maximum stands for it.
    pub maximum: bool,
    /// How probable it is that the true percentile is not above the largest sample.
    pub confidence: f64,
}

impl Ordered {
    /// Puts samples in order; none if there are none.
    pub fn new(samples: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut samples: Vec<_> = samples.into_iter().collect();
        samples.sort_unstable();
        (!samples.is_empty()).then_some(Self(samples))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The largest.
    pub fn maximum(&self) -> Duration {
        self.0.last().copied().unwrap_or_default()
    }

    /// The smallest sample that at least this share of all samples does not exceed (nearest rank).
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share.clamp(0.0, 1.0) * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The median.
    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// What stands for a percentile: its order statistic, or the maximum where the rank would be the last one anyway.
    pub fn percentile(&self, share: f64) -> Percentile {
        let samples = self.count();
        let value = self.quantile(share);
        let rank = (share * samples as f64).ceil() as usize;
        Percentile { value, samples, maximum: rank >= samples, confidence: self.covers(share) }
    }

    /// How probable it is that the true percentile of what was sampled is not above the largest sample, if the samples
    /// are independent: 1 - share^n, whatever the distribution.
    pub fn covers(&self, share: f64) -> f64 {
        let samples = i32::try_from(self.count()).unwrap_or(i32::MAX);
        1.0 - share.clamp(0.0, 1.0).powi(samples)
    }
}

impl Percentile {
    /// What this is, for whoever reads it: `p99`, or `maximum of 12`.
    pub fn name(&self, percent: u32) -> String {
        if self.maximum { format!("maximum of {}", self.samples) } else { format!("p{percent}") }
    }

    /// What the samples are worth: `12 samples: the true p99 is not above their maximum with a probability of 11 %`.
    pub fn worth(&self, percent: u32) -> String {
        format!(
            "{} samples: the true p{percent} is not above their maximum with a probability of {:.0} %",
            self.samples,
            self.confidence * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(samples: impl IntoIterator<Item = u64>) -> Ordered {
        Ordered::new(samples.into_iter().map(Duration::from_millis)).unwrap()
    }

    #[test]
    fn few_samples_name_their_maximum() {
        let few = millis([30, 10, 20]);
        assert_eq!(few.median(), Duration::from_millis(20));
        let p99 = few.percentile(0.99);
        assert!(p99.maximum);
        assert_eq!(p99.value, Duration::from_millis(30));
        assert_eq!(p99.name(99), "maximum of 3");
        insta::assert_snapshot!(p99.worth(99), @"3 samples: the true p99 is not above their maximum with a probability of 3 %");
        assert_eq!(Ordered::new([]), None);
    }

    #[test]
    fn many_samples_have_a_percentile() {
        let many = millis(1..=200);
        let p99 = many.percentile(0.99);
        assert!(!p99.maximum);
        assert_eq!(p99.value, Duration::from_millis(198));
        assert_eq!(p99.name(99), "p99");
        // 299 samples are what it takes for 95 %.
        assert!(millis(1..=298).covers(0.99) < 0.95);
        assert!(millis(1..=299).covers(0.99) >= 0.95);
    }

    proptest! {
        /// At least the share of the samples is not above the quantile, and it is one of the samples.
        #[test]
        fn a_quantile_is_a_sample_that_covers_its_share(samples in prop::collection::vec(0u64..10_000, 1..200), share in 0.01f64..1.0) {
            let ordered = millis(samples.clone());
            let quantile = ordered.quantile(share);
            let below = samples.iter().filter(|one| Duration::from_millis(**one) <= quantile).count();
            prop_assert!(below as f64 >= share * samples.len() as f64 - 1e-9);
            prop_assert!(samples.iter().any(|one| Duration::from_millis(*one) == quantile));
            prop_assert!(quantile <= ordered.maximum());
        }
    }
}
