//! Suites: data that says which scenarios belong together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::{Code, Finding, Source};
use crate::engine::Risk;

/// The versions of the format that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SuiteVersion {
    /// The first.
    #[serde(rename = "plimsoll.dev/v1alpha1")]
    V1Alpha1,
}

/// The kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SuiteKind {
    /// A suite.
    Suite,
}

/// A suite: a selection with a name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Suite {
    /// The version of this format.
    pub api_version: SuiteVersion,
    /// Always `Suite`.
    pub kind: SuiteKind,
    /// Name and title.
    pub metadata: SuiteMetadata,
    /// Which scenarios.
    pub spec: SuiteSpec,
}

/// Name and title of a suite.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuiteMetadata {
    /// The name by which it is asked for: lower-case letters, digits and `-`.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub title: Option<String>,
}

/// What a suite selects.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SuiteSpec {
    /// What belongs to it: the sum of the selectors.
    pub include: Vec<Selector>,
    /// What does not, even if included: the sum of the selectors.
    #[serde(default)]
    pub exclude: Vec<Selector>,
    /// The most that a scenario of it may do; what would do more does not belong to it.
    #[serde(default)]
    pub max_risk: Option<Risk>,
}

/// One selector. Several kinds of criteria narrow each other; several of one kind add up.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// What these scenarios stand for in a catalogue of somebody else's: `MTB-PL1-CC-TI-1 Block modification of resource
    /// quotas`.
    #[serde(default)]
    pub check: Option<String>,
    /// A tag expression: `@must and not @slow`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub tags: Option<Spanned<String>>,
    /// Ids of requirements.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub requirements: Vec<Spanned<String>>,
    /// Ids of scenarios, their last parts, or paths of features; `*` and `?` match as in a shell.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub scenarios: Vec<Spanned<String>>,
}

/// A suite with the text that it comes from.
#[derive(Clone, Debug)]
pub struct SuiteEntry {
    /// Its text.
    pub source: Source,
    /// The suite.
    pub suite: Suite,
}

/// Reads a suite; what is wrong goes into `findings`.
pub(super) fn parse(source: Source, findings: &mut Vec<Finding>) -> Option<SuiteEntry> {
    let options = serde_saphyr::options! { with_snippet: false };
    match serde_saphyr::from_str_with_options::<Suite>(source.text(), options) {
        Ok(suite) => Some(SuiteEntry { source, suite }),
        Err(error) => {
            let span = error.location().map_or(0..0, |location| span(&source, location));
            let error = error.without_snippet().to_string();
            // The place stands beside the message, so its own mention of it goes.
            let message = error.split(" at line ").next().unwrap_or(&error).to_owned();
            findings.push(Finding::new(Code::SuiteSyntax, &source, span, message));
            None
        }
    }
}

/// The bytes of a location.
pub(super) fn span(source: &Source, location: serde_saphyr::Location) -> std::ops::Range<usize> {
    let line = usize::try_from(location.line()).unwrap_or(1);
    let column = usize::try_from(location.column()).unwrap_or(1);
    let start: usize = source.text().split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = source.text().get(start..).unwrap_or_default().lines().next().unwrap_or_default();
    let skip: usize = rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
    start + skip..start + rest.trim_end().len().max(skip)
}

/// The JSON schema of a suite.
pub fn suite_schema() -> serde_json::Value {
    schemars::schema_for!(Suite).into()
}
