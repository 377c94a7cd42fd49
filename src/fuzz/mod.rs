//! Cases made at random, or by others, put on a real cluster and compared with the oracle path by path; what disagrees is
//! made as small as it can be.

pub mod case;
pub mod recorded;
