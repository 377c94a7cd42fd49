//! What is promised about images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How tenants' pods come by their images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Images {
    /// Whether every pod asks the registry for its images (`imagePullPolicy: Always`), so that nobody runs what another
    /// tenant has pulled and may not be for everybody.
    pub pull_always: bool,
    /// Images of which this is not promised; `*` and `?` match as in a shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}
