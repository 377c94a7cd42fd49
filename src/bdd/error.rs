//! How a step ends other than well, typed all the way to the journal.

use std::fmt;

use crate::engine::{Reason, ReasonKind};

/// What every step function returns. Helpers return `Result<T, StepError>`; `?` converts.
pub type StepResult = Result<(), Raised>;

/// Why a step ended. On purpose without `Display`: see [`Raised`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    reason: Reason,
}

impl StepError {
    /// The platform breaks its promise: `expected DROPPED from alpha/web to bravo/db:8080/TCP, saw OPEN`.
    pub fn requirement(message: impl Into<String>) -> Self {
        Reason::new(ReasonKind::Requirement, message).into()
    }

    /// A positive control was not open, so the denial proves nothing.
    pub fn no_control(message: impl Into<String>) -> Self {
        Reason::new(ReasonKind::NoControl, message).into()
    }

    /// The cluster or the harness could not tell.
    pub fn trouble(message: impl Into<String>) -> Self {
        Reason::new(ReasonKind::Trouble, message).into()
    }

    /// The platform lacks the capability; the sentence names the probe that showed it.
    pub fn capability(message: impl Into<String>) -> Self {
        Reason::new(ReasonKind::Capability, message).into()
    }

    /// The run was interrupted.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Reason::new(ReasonKind::Interrupted, message).into()
    }

    /// Trouble, with an error and its causes behind it: `could not list pods in alpha: connection refused`.
    pub fn trouble_from(doing: impl fmt::Display, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = format!("could not {doing}: {error}");
        let mut next = error.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            // Some libraries repeat the cause inside their own text.
            if !message.ends_with(&cause_text) {
                message.push_str(": ");
                message.push_str(&cause_text);
            }
            next = cause.source();
        }
        Self::trouble(message)
    }

    /// Adds lines, one a deviation.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.reason.details.extend(details.into_iter().map(Into::into));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.reason.hint = Some(hint.into());
        self
    }

    /// The reason as it goes into the journal.
    pub const fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The reason, taken out.
    pub fn into_reason(self) -> Reason {
        self.reason
    }
}

impl From<Reason> for StepError {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

impl From<crate::cluster::ClusterError> for StepError {
    fn from(error: crate::cluster::ClusterError) -> Self {
        Reason::from(error).into()
    }
}

impl From<crate::tenant::TenantError> for StepError {
    fn from(error: crate::tenant::TenantError) -> Self {
        Reason::from(error).into()
    }
}

/// Marks the text of a [`Raised`] among the texts of panics.
const MARK: &str = "\u{1}plimsoll-reason:";

/// A [`StepError`] on its way through cucumber, whose step attribute keeps nothing of an error but its
/// `Display` text. That text is therefore the whole reason, encoded; the runner decodes it. Never shown.
#[derive(Debug)]
pub struct Raised(Reason);

impl<E: Into<StepError>> From<E> for Raised {
    fn from(error: E) -> Self {
        Self(error.into().into_reason())
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = serde_json::to_string(&self.0).map_err(|_| fmt::Error)?;
        write!(f, "{MARK}{encoded}")
    }
}

impl Raised {
    /// Reads the reason back from the text of a panic; none if the panic was a real one.
    pub(crate) fn decode(text: &str) -> Option<Reason> {
        serde_json::from_str(text.strip_prefix(MARK)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reason_survives_its_way_through_cucumber(
            message: String, details: Vec<String>, hint: Option<String>,
        ) {
            let mut error = StepError::requirement(message).details(details);
            if let Some(hint) = hint {
                error = error.hint(hint);
            }
            let text = Raised::from(error.clone()).to_string();
            prop_assert_eq!(Raised::decode(&text), Some(error.into_reason()));
        }

        #[test]
        fn the_text_of_a_real_panic_is_no_reason(text in "[^\u{1}].*") {
            prop_assert_eq!(Raised::decode(&text), None);
        }
    }
}
