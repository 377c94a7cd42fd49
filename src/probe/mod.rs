//! Probes: what was tried, what it came to, and what that proves.
//!
//! A [`Verdict`] is closed; an [`Attempt`] is one try with its verdict; an [`Open`] is proof that something worked and a
//! [`Denial`] is proof that something was denied, which needs a positive control before and after.

pub mod access;
pub mod api;
mod attempt;
mod denial;
pub mod image;
mod show;
mod verdict;

pub use attempt::{Attempt, Moment, NotOpen, Open, Span};
pub use denial::{Control, Denial, NotDenied};
pub use verdict::{Accepted, AcceptedError, Admitter, Forbidder, UnknownVerdict, Verdict, VerdictKind};
