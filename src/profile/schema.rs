//! The JSON schema of a profile, for editors and pipelines.

use serde_json::Value;

use super::Platform;

/// The first line of a profile, by which an editor finds the schema.
pub const EDITOR_HEADER: &str = "# yaml-language-server: $schema=../reports/schemas/platform.schema.json";

/// The JSON schema of a profile.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Platform).to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "Plimsoll platform profile".into());
    }
    schema
}
