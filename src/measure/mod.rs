//! Order statistics and intervals: pure.

pub mod order;
mod quantile;

pub use quantile::{Finding, Judged, binomial_tail, judge, quantile};
