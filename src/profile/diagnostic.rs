//! What is wrong with a profile, and where.

use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode, SourceSpan};
use thiserror::Error;

/// A profile that cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The file could not be read.
    #[error("cannot read the profile `{file}`")]
    Read {
        /// As the user named it.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is in it is wrong; at least one problem, each with its place.
    #[error("{}", summary(file, problems))]
    Invalid {
        /// As the user named it.
        file: String,
        /// In the order of the file.
        problems: Vec<ProfileProblem>,
    },
}

fn summary(file: &str, problems: &[ProfileProblem]) -> String {
    match problems.len() {
        1 => format!("the profile `{file}` is not valid: 1 problem"),
        many => format!("the profile `{file}` is not valid: {many} problems"),
    }
}

impl ProfileError {
    /// The problems, each with its place.
    pub fn problems(&self) -> &[ProfileProblem] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

impl Diagnostic for ProfileError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(match self {
            Self::Read { .. } => {
                Box::new("name a profile with `--profile FILE`; `profiles/example.yaml` is a commented start")
            }
            Self::Invalid { .. } => Box::new(
                "`plimsoll schema profile` prints the JSON schema, by which an editor completes and checks it",
            ),
        })
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self {
            Self::Read { .. } => None,
            Self::Invalid { problems, .. } => {
                Some(Box::new(problems.iter().map(|problem| problem as &dyn Diagnostic)))
            }
        }
    }
}

/// One problem of a profile.
#[derive(Debug, Clone, Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ProfileProblem {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Lower-case sentence: what is wrong, and what was expected.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    span: SourceSpan,
    text: Arc<NamedSource<String>>,
}

impl ProfileProblem {
    pub(super) fn new(text: &Arc<NamedSource<String>>, place: Place, message: String) -> Self {
        Self {
            file: text.name().to_owned(),
            line: place.line,
            column: place.column,
            message,
            help: None,
            span: SourceSpan::from((place.offset, place.length)),
            text: Arc::clone(text),
        }
    }

    pub(super) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

impl Diagnostic for ProfileProblem {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&*self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(
            Some("here".to_owned()),
            self.span,
        ))))
    }
}

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
    pub offset: usize,
    pub length: usize,
}

impl Place {
    /// The start of the file, where nothing better is known.
    pub(super) const START: Self = Self { line: 1, column: 1, offset: 0, length: 0 };

    pub(super) fn of(location: serde_saphyr::Location) -> Self {
        if location == serde_saphyr::Location::UNKNOWN {
            return Self::START;
        }
        let span = location.span();
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            line: number(location.line()),
            column: number(location.column()),
            offset: number(span.byte_offset().unwrap_or_else(|| span.offset())),
            length: number(span.byte_len().unwrap_or_else(|| span.len())),
        }
    }
}

/// `did you mean` for a word and the words that would have been right.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
