//! What the platform promises of its insides, and of connections that are open when a policy changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of namespaces that are the platform's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SystemNamespaces(pub Vec<String>);

impl Default for SystemNamespaces {
    fn default() -> Self {
        Self(vec!["kube-system".to_owned()])
    }
}

/// What becomes of a connection that is open when a policy closes its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenConnections {
    /// It is cut, within the time that any new policy may take.
    Cut,
    /// It goes on until one of its ends closes it; only new connections are refused.
    Kept,
}

impl OpenConnections {
    /// As a profile says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Kept => "kept",
        }
    }
}
