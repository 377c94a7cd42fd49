//! One file a command.

mod cleanup;
mod completion;
mod config;
mod dispatch;
mod explain;
mod lint;
mod list;
mod man;
mod plan;
mod report;
pub(super) mod schema;
mod verify;
mod version;

pub(super) use dispatch::run;
