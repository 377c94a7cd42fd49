//! The server: echoes on declared ports, and a ledger of what arrived.

mod control;
mod hail;
mod http;
mod serve;
mod tcp;
mod udp;

pub use control::{ask, ready};
pub use serve::{Ports, serve};
