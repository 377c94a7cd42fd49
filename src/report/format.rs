//! The table of formats: a new renderer is one file and one line of each match here.

use std::fmt;
use std::str::FromStr;

use super::model::Model;

/// A form in which a report can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// For the eye, 80 columns.
    Terminal,
    /// The whole model; schema in `reports/report.schema.json`.
    Json,
    /// One JSON object a scenario and line, for log pipelines.
    Ndjson,
    /// JUnit XML, for CI.
    Junit,
    /// For a comment on a change or a step summary.
    Markdown,
    /// One self-contained page.
    Html,
}

impl Format {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::Terminal, Self::Json, Self::Ndjson, Self::Junit, Self::Markdown, Self::Html];

    /// The word for `--report FORMAT=PATH`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Terminal => "terminal",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    /// The usual file name inside the directory of a run.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Terminal => "report.txt",
            Self::Json => "report.json",
            Self::Ndjson => "scenarios.ndjson",
            Self::Junit => "junit.xml",
            Self::Markdown => "report.md",
            Self::Html => "report.html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A word that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no report format\nhint: use one of terminal, json, ndjson, junit, markdown, html")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.to_ascii_lowercase().as_str() {
            "md" => Ok(Self::Markdown),
            "txt" | "text" => Ok(Self::Terminal),
            "xml" => Ok(Self::Junit),
            lower => Self::ALL
                .into_iter()
                .find(|format| format.word() == lower)
                .ok_or_else(|| UnknownFormat(word.to_owned())),
        }
    }
}

/// A report that could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// JSON refused.
    #[error("write the report as JSON")]
    Json(#[from] serde_json::Error),
    /// XML refused.
    #[error("write the report as JUnit XML")]
    Junit(#[from] quick_junit::SerializeError),
    /// The template refused.
    #[error("fill in the page")]
    Html(#[from] askama::Error),
}

/// Renders a report, without colour.
pub fn render(format: Format, model: &Model) -> Result<Vec<u8>, RenderError> {
    match format {
        Format::Json => super::json::render(model),
        Format::Ndjson => super::json::render_lines(model),
        Format::Terminal => Ok(super::terminal::render(model, false).into_bytes()),
        Format::Junit => super::junit::render(model),
        Format::Markdown => Ok(super::markdown::render(model).into_bytes()),
        Format::Html => super::html::render(model),
    }
}
