//! What a benchmark is asked for. Cargo adds words of its own, so that unknown ones are no error.

use std::num::ParseIntError;

/// The word after a name.
pub fn value(name: &str) -> Option<String> {
    std::env::args().skip_while(|word| word != name).nth(1)
}

/// The number after a name, or another where it is not given.
pub fn number(name: &str, or: usize) -> Result<usize, ParseIntError> {
    value(name).map_or(Ok(or), |text| text.parse())
}
