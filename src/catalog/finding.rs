//! One finding of lint, with its place.

use std::{fmt, ops::Range, sync::Arc};

use miette::{Diagnostic, GraphicalReportHandler, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use serde::Serialize;

use super::{Code, Source};
use crate::engine::Plan;

/// Something that is wrong with a feature or a suite.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// The file, as the user would name it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// One lower-case sentence.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    span: SourceSpan,
    #[serde(skip)]
    text: Option<Arc<NamedSource<String>>>,
}

impl Finding {
    pub(super) fn new(code: Code, source: &Source, span: Range<usize>, message: impl Into<String>) -> Self {
        let (line, column) = source.place(span.start);
        Self {
            code,
            file: source.file.clone(),
            line,
            column,
            message: message.into(),
            help: None,
            span: SourceSpan::from(span),
            text: Some(Arc::clone(&source.text)),
        }
    }

    /// A finding about something that has no text: a folder, a requirement.
    pub(super) fn without_text(code: Code, file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            file: file.into(),
            line: 1,
            column: 1,
            message: message.into(),
            help: None,
            span: SourceSpan::from(0..0),
            text: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn did_you_mean(self, nearest: Option<impl fmt::Display>) -> Self {
        match nearest {
            Some(word) => self.help(format!("did you mean `{word}`?")),
            None => self,
        }
    }

    /// Whether a run must not start with it. That some requirement has no scenario says something about the
    /// catalog, not about the scenarios that are to be run.
    pub fn blocks_run(&self) -> bool {
        !matches!(self.code, Code::UnprovenRequirement | Code::PlannedButProven)
    }

    /// Whether this plan must not be run with it: it is about a feature of the plan, or about one that could
    /// not be read, so that nobody knows whether it belongs to the plan.
    pub fn blocks(&self, plan: &Plan) -> bool {
        let unread = matches!(self.code, Code::Syntax | Code::NoFeatures | Code::UnknownPlaceholder);
        self.blocks_run() && (unread || plan.scenarios.iter().any(|scenario| scenario.file == self.file))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Finding {}

impl Diagnostic for Finding {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_deref().map(|text| text as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.text.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, self.span))))
    }
}

/// All findings as a reader on a terminal sees them.
pub fn render(findings: &[Finding], handler: &GraphicalReportHandler) -> String {
    let mut out = String::new();
    for finding in findings {
        // A finding without text names its file itself.
        let written = if finding.text.is_none() {
            let named =
                Finding { message: format!("{}: {}", finding.file, finding.message), ..finding.clone() };
            handler.render_report(&mut out, &named)
        } else {
            handler.render_report(&mut out, finding)
        };
        if written.is_ok() {
            out.push('\n');
        }
    }
    out
}
