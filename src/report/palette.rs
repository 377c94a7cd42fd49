//! Colours of the terminal. Colour only repeats what a word says.

use crate::engine::Outcome;

/// Turns text into coloured text, or leaves it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette(pub(super) bool);

impl Palette {
    /// `text` in the colour of an outcome.
    pub(super) fn outcome(self, outcome: Outcome, text: &str) -> String {
        self.paint(code(outcome), text)
    }

    /// Important text.
    pub(super) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Text of less weight.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Text that warns.
    pub(super) fn warn(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

const fn code(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "32",
        Outcome::Failed => "1;31",
        Outcome::Inconclusive => "1;33",
        Outcome::Waived => "36",
        Outcome::NotApplicable => "2",
        Outcome::NotRun => "35",
    }
}
