//! Clients of the platform's parts.

mod audit;
mod command;
pub mod oidc;

pub use audit::{AuditEvent, AuditLog};
pub use command::CommandError;
