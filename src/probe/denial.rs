//! A denial needs proof.
//!
//! "Cannot reach" is what a dead listener, a typo and a pod that never started look like, too. So a denial is a type
//! of its own, and the only way to one is [`Denial::prove`]: an attempt on the same target was OPEN before, the attempt
//! in question ended in a verdict that the step accepts, and an attempt on the same target was OPEN after. If a control
//! was not open, there is [`NotDenied::NoControl`], and the step is *inconclusive*, never passed.
//!
//! ```
//! use plimsoll::probe::{Accepted, Attempt, Denial, NotDenied, Verdict};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let target = "bravo/api tcp 8080 by pod address";
//! let before = Attempt::make("control/client", target, async { Verdict::Open }).await;
//! let tried = Attempt::make("alpha/web", target, async { Verdict::Dropped }).await;
//! let after = Attempt::make("control/client", target, async { Verdict::Open }).await;
//! let denial = Denial::prove(before.clone(), tried.clone(), after, &Accepted::closed())?;
//! assert_eq!(denial.attempt().verdict, Verdict::Dropped);
//!
//! // The same silence without an open path afterwards proves nothing.
//! let dead = Attempt::make("control/client", target, async { Verdict::Dropped }).await;
//! assert!(matches!(
//!     Denial::prove(before, tried, dead, &Accepted::closed()),
//!     Err(NotDenied::NoControl { .. })
//! ));
//! # Ok::<(), NotDenied>(()) }).unwrap();
//! ```
//!
//! A bare attempt is not a denial, whatever its verdict; this does not compile:
//!
//! ```compile_fail,E0308
//! use plimsoll::probe::{Attempt, Denial};
//!
//! fn assert_denied(_proof: Denial) {}
//! fn step(attempt: Attempt) {
//!     assert_denied(attempt);
//! }
//! ```
//!
//! Nor can one be put together by hand:
//!
//! ```compile_fail,E0451
//! use plimsoll::probe::{Attempt, Denial, Open};
//!
//! fn forge(before: Open, attempt: Attempt, after: Open) -> Denial {
//!     Denial { before, attempt, after }
//! }
//! ```

use serde::Serialize;

use super::attempt::{Attempt, NotOpen, Open};
use super::verdict::Accepted;

/// Proof that an attempt was denied: the same target was open before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    before: Open,
    attempt: Attempt,
    after: Open,
}

/// Which of the two controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// The one before the attempt.
    Before,
    /// The one after it.
    After,
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

/// Why there is no denial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDenied {
    /// Something got through. No control is needed to know that.
    #[error("expected {accepted} from {attempt}, saw {}", attempt.verdict)]
    Breach {
        /// What was to be denied.
        attempt: Box<Attempt>,
        /// What the step accepts.
        accepted: Accepted,
    },
    /// It was denied, but not in a way that the step accepts.
    #[error("expected {accepted} from {attempt}, saw {}", attempt.verdict)]
    Unexpected {
        /// What was to be denied.
        attempt: Box<Attempt>,
        /// What the step accepts.
        accepted: Accepted,
    },
    /// The attempt tells nothing about the promise.
    #[error("{attempt} cannot be judged: {}", attempt.verdict)]
    Unclear {
        /// What was to be denied.
        attempt: Box<Attempt>,
    },
    /// The path was not open in the control, so that its silence proves nothing.
    #[error("{} from {attempt} proves nothing: the control {which} it ({}) was {}", attempt.verdict, control, control.verdict)]
    NoControl {
        /// What was to be denied.
        attempt: Box<Attempt>,
        /// Which control failed.
        which: Control,
        /// The control.
        control: Box<Attempt>,
    },
    /// The control does not support this attempt: another target, or not before and after it.
    #[error("the control {which} {attempt} does not support it: {why}")]
    Unrelated {
        /// What was to be denied.
        attempt: Box<Attempt>,
        /// Which control.
        which: Control,
        /// What does not fit.
        why: String,
    },
}

impl NotDenied {
    /// The platform broke its promise. Otherwise the step is inconclusive.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Breach { .. } | Self::Unexpected { .. })
    }
}

impl Denial {
    /// Judges an attempt by its controls: the only way to a denial.
    ///
    /// # Errors
    /// [`NotDenied::Breach`] and [`NotDenied::Unexpected`] are failures of the platform; the others leave the step
    /// inconclusive.
    pub fn prove(
        before: Attempt,
        attempt: Attempt,
        after: Attempt,
        accepted: &Accepted,
    ) -> Result<Self, NotDenied> {
        let kind = attempt.verdict.kind();
        if kind.is_breach() {
            return Err(NotDenied::Breach { attempt: Box::new(attempt), accepted: accepted.clone() });
        }
        if kind.is_unclear() && !accepted.contains(kind) {
            return Err(NotDenied::Unclear { attempt: Box::new(attempt) });
        }
        let unrelated = |which, why| NotDenied::Unrelated { attempt: Box::new(attempt.clone()), which, why };
        for (which, control) in [(Control::Before, &before), (Control::After, &after)] {
            if control.target != attempt.target {
                return Err(unrelated(which, format!("its target is {}", control.target)));
            }
        }
        if !before.span.precedes(attempt.span) {
            return Err(unrelated(Control::Before, "it was not over when the attempt began".into()));
        }
        if !attempt.span.precedes(after.span) {
            return Err(unrelated(Control::After, "it began before the attempt was over".into()));
        }
        let open = |which, control: Attempt| {
            Open::try_from(control).map_err(|NotOpen { attempt: control }| NotDenied::NoControl {
                attempt: Box::new(attempt.clone()),
                which,
                control,
            })
        };
        let before = open(Control::Before, before)?;
        let after = open(Control::After, after)?;
        if !accepted.contains(kind) {
            return Err(NotDenied::Unexpected { attempt: Box::new(attempt), accepted: accepted.clone() });
        }
        Ok(Self { before, attempt, after })
    }

    /// The attempt that was denied.
    pub fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    /// The control before it.
    pub fn before(&self) -> &Open {
        &self.before
    }

    /// The control after it.
    pub fn after(&self) -> &Open {
        &self.after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::attempt::{Moment, Span};
    use crate::probe::verdict::{Verdict, VerdictKind};
    use proptest::prelude::*;

    fn attempt(actor: &str, verdict: Verdict, began: u64) -> Attempt {
        Attempt {
            actor: actor.into(),
            target: "bravo/api tcp 8080".into(),
            variant: None,
            verdict,
            span: Span { began: Moment::from_micros(began), ended: Moment::from_micros(began + 10) },
            took_us: None,
            evidence: serde_json::Value::Null,
        }
    }

    fn judge(before: Verdict, tried: Verdict, after: Verdict) -> Result<Denial, NotDenied> {
        Denial::prove(
            attempt("control", before, 0),
            attempt("alpha/web", tried, 10),
            attempt("control", after, 20),
            &Accepted::closed(),
        )
    }

    #[test]
    fn sentences_name_expectation_and_observation() {
        let no = judge(Verdict::Open, Verdict::Open, Verdict::Open).unwrap_err();
        assert!(no.is_failure());
        insta::assert_snapshot!(no, @"expected DROPPED or REJECTED from alpha/web -> bravo/api tcp 8080, saw OPEN");
        let no = judge(Verdict::Open, Verdict::Dropped, Verdict::Refused).unwrap_err();
        assert!(!no.is_failure());
        insta::assert_snapshot!(no, @"DROPPED from alpha/web -> bravo/api tcp 8080 proves nothing: the control after it (control -> bravo/api tcp 8080) was REFUSED");
        let no = judge(Verdict::Open, Verdict::Refused, Verdict::Open).unwrap_err();
        assert!(no.is_failure());
        insta::assert_snapshot!(no, @"expected DROPPED or REJECTED from alpha/web -> bravo/api tcp 8080, saw REFUSED");
        let no = judge(Verdict::Open, Verdict::probe_error("exec stream closed"), Verdict::Open).unwrap_err();
        assert!(!no.is_failure());
        insta::assert_snapshot!(no, @"alpha/web -> bravo/api tcp 8080 cannot be judged: PROBE_ERROR (exec stream closed)");
    }

    #[test]
    fn controls_must_be_of_the_same_target_and_in_order() {
        let mut other = attempt("control", Verdict::Open, 0);
        other.target = "bravo/api tcp 9090".into();
        let tried = attempt("alpha/web", Verdict::Dropped, 10);
        let after = attempt("control", Verdict::Open, 20);
        let no = Denial::prove(other, tried.clone(), after.clone(), &Accepted::closed()).unwrap_err();
        assert!(matches!(no, NotDenied::Unrelated { which: Control::Before, .. }));
        let late = attempt("control", Verdict::Open, 5);
        let no = Denial::prove(late, tried.clone(), after, &Accepted::closed()).unwrap_err();
        assert!(matches!(no, NotDenied::Unrelated { which: Control::Before, .. }));
        let before = attempt("control", Verdict::Open, 0);
        let early = attempt("control", Verdict::Open, 19);
        let no = Denial::prove(before, tried, early, &Accepted::closed()).unwrap_err();
        assert!(matches!(no, NotDenied::Unrelated { which: Control::After, .. }));
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop::sample::select(vec![
            Verdict::Open,
            Verdict::Dropped,
            Verdict::Rejected { reason: None },
            Verdict::Refused,
            Verdict::Asymmetric,
            Verdict::Misrouted { by: "x".into() },
            Verdict::DnsFailed { rcode: "NXDOMAIN".into() },
            Verdict::Unauthenticated,
            Verdict::RateLimited,
            Verdict::probe_error("x"),
        ])
    }

    proptest! {
        /// Whatever is seen: a denial exists only between two open controls and for an accepted verdict,
        /// and something that got through is a failure even without controls.
        #[test]
        fn no_denial_without_controls(before in any_verdict(), tried in any_verdict(), after in any_verdict(),
                                      accepted in prop::collection::btree_set(prop::sample::select(VerdictKind::ALL.to_vec()), 1..6)) {
            let accepted = Accepted::try_from(accepted).unwrap();
            let result = Denial::prove(
                attempt("control", before.clone(), 0),
                attempt("alpha/web", tried.clone(), 10),
                attempt("control", after.clone(), 20),
                &accepted,
            );
            let controlled = before == Verdict::Open && after == Verdict::Open;
            let through = tried.kind().is_breach();
            prop_assert_eq!(result.is_ok(), controlled && !through && accepted.contains(tried.kind()));
            if let Err(no) = result {
                prop_assert_eq!(matches!(no, NotDenied::Breach { .. }), through);
                prop_assert!(through || controlled || !no.is_failure());
            }
        }
    }
}
