//! The steps, one file a domain. Each is a few lines: it parses words and calls `tenant`, `probe`, `oracle`.

use super::StepPolarity;

/// Which steps deny, and which are controls of a denial. `lint` holds every scenario to it.
pub const POLARITY: &[StepPolarity] = &[];
