//! Probes: what was tried, what it came to, and what that proves.
//!
//! A [`Verdict`] is closed; an [`Attempt`] is one try with its verdict; an [`Open`] is proof that something worked and a
//! [`Denial`] is proof that something was denied, which needs a positive control before and after.

pub mod access;
pub mod api;
mod attempt;
mod denial;
mod files;
mod fleet;
mod holding;
pub mod image;
mod judge;
mod link;
mod matrix;
mod pod;
mod pulse;
mod shared;
mod show;
mod stream;
pub mod urls;
mod verdict;
mod watching;

pub use plimsoll_agent::protocol::{Pace, Transport};

pub use attempt::{Attempt, Moment, NotOpen, Open, Span};
pub use denial::{Control, Denial, NotDenied};
pub use fleet::Fleet;
pub use holding::{Heard, HeldConnection, Holding};
pub use link::AgentError;
pub use matrix::{
    AddressKind, Cell, Entry, MatrixPlan, MatrixResult, OtherEnd, Source, Target, transport_word,
};
pub use pod::{AGENT_CONTAINER, AgentPod};
pub use pulse::{Loading, PulsedPath};
pub use shared::SharedFleet;
pub use stream::AgentStream;
pub use verdict::{Accepted, AcceptedError, Admitter, Forbidder, UnknownVerdict, Verdict, VerdictKind};
pub use watching::{Cadence, Phase, WatchedPath, Watching};

#[cfg(test)]
mod tests;
