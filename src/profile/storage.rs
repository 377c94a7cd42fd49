//! What is promised about storage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a volume once its claim is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reclaim {
    /// It goes, with all that is on it.
    #[default]
    Delete,
    /// It stays until the platform has dealt with it, and is nobody's until then.
    Retain,
}

/// The volumes that tenants' claims get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Storage {
    /// The storage class of tenants' claims; the cluster's default one, if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What becomes of a volume once its claim is gone.
    pub reclaim: Reclaim,
}
