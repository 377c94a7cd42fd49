//! The in-pod agent of Plimsoll: server and client of every probe.
//!
//! Without the feature `runtime` this is the wire [`protocol`] alone, which is what the harness uses.

#![cfg_attr(not(test), warn(clippy::panic))]

mod holding;
mod observed;
mod pressure;
pub mod protocol;
mod watching;

#[cfg(feature = "runtime")]
pub mod client;
#[cfg(feature = "runtime")]
pub mod server;

#[cfg(feature = "runtime")]
mod clock;
#[cfg(feature = "runtime")]
mod half_open;
#[cfg(feature = "runtime")]
mod identity;
#[cfg(feature = "runtime")]
mod ledger;

#[cfg(feature = "runtime")]
pub use identity::from_environment;
