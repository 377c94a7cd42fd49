//! Settings of the issuer that can be changed while it runs, to break it on purpose.

use std::path::Path;

use serde::Deserialize;

use super::reviewer::Oversight;

/// What is written for a new lab.
pub(crate) const DEFAULT_SETTINGS: &str = "\
# Whether keys that were withdrawn are published all the same.
publishWithdrawn: false
# Whether a new key is published as soon as it signs.
publishNew: true
# Whether the API server is made to fetch the keys again when some are withdrawn. By itself it does so only when it
# meets a key id that it does not know, so that a withdrawn key would stay trusted until then.
announceWithdrawal: true
# What the reviewer of tokens overlooks, where the API server asks it (apiserver.yaml).
reviewerOverlooks: []
";

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Withdrawn keys stay in the key set.
    pub(super) publish_withdrawn: bool,
    /// The newest key is in the key set.
    pub(super) publish_new: bool,
    /// See [`DEFAULT_SETTINGS`].
    pub(crate) announce_withdrawal: bool,
    /// What the reviewer overlooks.
    pub(super) reviewer_overlooks: Vec<Oversight>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            publish_withdrawn: false,
            publish_new: true,
            announce_withdrawal: true,
            reviewer_overlooks: Vec::new(),
        }
    }
}

impl Settings {
    /// As they are now; the sound ones where they cannot be read.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_else(|_| DEFAULT_SETTINGS.to_owned());
        serde_yaml::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}", file.display());
            Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_settings_are_sound() {
        let settings: Settings = serde_yaml::from_str(DEFAULT_SETTINGS).unwrap();
        assert_eq!(settings, Settings::default());
    }
}
