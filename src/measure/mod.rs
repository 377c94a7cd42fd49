//! Order statistics and intervals: pure.
