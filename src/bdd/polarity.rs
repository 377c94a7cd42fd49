//! Which steps deny and which are the controls of a denial, so that `lint` can hold them together.

/// What a step means for the rule that a denial counts only with its positive control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// It asserts that something is not possible.
    Denies,
    /// It asserts that the same thing was possible where it should be.
    Controls,
    /// Both in one: it asserts a denial and carries its control within.
    DeniesWithControl,
}

/// One row of the table that `steps` fills in: a regular expression on the text of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepPolarity {
    /// Matches the step's text (without its keyword), anywhere unless anchored.
    pub text: &'static str,
    /// What it means.
    pub polarity: Polarity,
}
