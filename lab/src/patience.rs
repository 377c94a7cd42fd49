//! How much longer than usual a lab may take.

use std::fmt;
use std::num::NonZeroU8;
use std::ops::Mul;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};

/// How often a condition is looked at that nobody reports. It is multiplied as well: looking is work too.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Every limit on a wait of the lab is multiplied by it: 1 suits a machine of two ordinary cores, 20 an emulated or
/// very busy one. Nothing waits for a limit, only for its condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patience(NonZeroU8);

impl Patience {
    /// The variable that says it where the command line does not.
    pub const VARIABLE: &'static str = "PLIMSOLL_LAB_PATIENCE";

    /// What the environment says; `None` where it says nothing.
    pub fn from_env() -> Result<Option<Self>> {
        let Some(text) = std::env::var_os(Self::VARIABLE).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        text.to_string_lossy()
            .parse()
            .map(Some)
            .map_err(|error| LabError::Usage(format!("{}: {error}", Self::VARIABLE)))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self(NonZeroU8::MIN)
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Patience {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let refused =
            || LabError::Usage(format!("\"{text}\" is no patience: use a whole number of 1 to 100"));
        let factor: NonZeroU8 = text.trim().parse().map_err(|_| refused())?;
        if factor.get() > 100 { Err(refused()) } else { Ok(Self(factor)) }
    }
}

impl Mul<Patience> for Duration {
    type Output = Self;

    fn mul(self, patience: Patience) -> Self {
        self * u32::from(patience.0.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_multiplies_and_says_what_it_takes() {
        let ten: Patience = "10".parse().unwrap();
        assert_eq!(Duration::from_secs(3) * ten, Duration::from_secs(30));
        assert_eq!(Duration::from_secs(3) * Patience::default(), Duration::from_secs(3));
        for bad in ["0", "-1", "1.5", "101", "x", ""] {
            let error = bad.parse::<Patience>().unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("1 to 100"), "{error}");
        }
    }

    #[test]
    fn a_lab_of_an_earlier_version_has_the_usual_one() {
        assert_eq!(serde_json::from_str::<Patience>("10").unwrap(), "10".parse().unwrap());
        assert!(serde_json::from_str::<Patience>("0").is_err());
    }
}
