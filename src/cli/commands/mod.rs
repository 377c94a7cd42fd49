//! One file a command.

mod completion;
mod config;
mod dispatch;
mod explain;
mod man;
mod report;
mod schema;
mod verify;
mod version;

pub(super) use dispatch::run;
