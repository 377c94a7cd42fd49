//! Why a command ended early: an exit code and a diagnostic for stderr.

use std::error::Error;
use std::fmt;
use std::io;

use miette::{Diagnostic, Report};

use super::output;
use crate::exit::Exit;

/// The end of a command that could not do its work.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    report: Option<Report>,
}

impl Failure {
    /// The caller's mistake, or a missing prerequisite: nothing was touched.
    pub(super) fn usage(message: impl Into<String>) -> Sentence {
        Sentence::new(Exit::Usage, message)
    }

    /// The cluster or the harness could not tell.
    pub(super) fn trouble(message: impl Into<String>) -> Sentence {
        Sentence::new(Exit::Inconclusive, message)
    }

    /// Nothing was selected.
    pub(super) fn nothing_selected(message: impl Into<String>) -> Sentence {
        Sentence::new(Exit::NothingSelected, message)
    }

    /// A diagnostic that another module made, with its own spans and hint.
    pub(super) fn diagnostic(exit: Exit, diagnostic: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self { exit, report: Some(Report::new(diagnostic)) }
    }

    /// A sentence with what to do, where the exit code is known only now.
    pub(super) fn sentence(exit: Exit, message: String, hint: Option<String>) -> Self {
        Sentence { exit, message, cause: None, hint }.into()
    }

    /// An error with its causes, and what to do where there is something.
    pub(super) fn with_hint(
        exit: Exit,
        hint: Option<String>,
        error: impl Error + Send + Sync + 'static,
    ) -> Self {
        let sentence = Sentence {
            exit,
            message: error.to_string(),
            cause: error.source().map(|cause| chain(cause).into()),
            hint,
        };
        sentence.into()
    }

    /// A diagnostic with places in a file, as the YAML reader makes them.
    pub(super) const fn located(exit: Exit, report: Report) -> Self {
        Self { exit, report: Some(report) }
    }

    /// Writes the diagnostic to stderr and gives the exit code.
    pub(super) fn report(self) -> Exit {
        if let Some(report) = self.report {
            output::note(format_args!("{report:?}"));
        }
        self.exit
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl From<Sentence> for Failure {
    fn from(sentence: Sentence) -> Self {
        Self { exit: sentence.exit, report: Some(Report::new(sentence)) }
    }
}

/// Output that nobody reads any more ends the command quietly.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Conformant, report: None };
        }
        Self::trouble("cannot write the output").because(error).into()
    }
}

/// One lower-case sentence, its cause, and what to do next.
#[derive(Debug)]
pub(super) struct Sentence {
    exit: Exit,
    message: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl Sentence {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), cause: None, hint: None }
    }

    /// What it follows from; printed below it.
    pub(super) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What to do next: names a command where there is one.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Sentence {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as &(dyn Error + 'static))
    }
}

impl Diagnostic for Sentence {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }
}
