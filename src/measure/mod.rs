//! Order statistics and intervals: pure.

pub mod order;
