//! Order statistics and intervals: pure.

pub mod order;
mod paired;
mod quantile;

pub use paired::{Compared, Pair, compare, compare_rounds};
pub use quantile::{Finding, Judged, binomial_tail, judge, quantile};
