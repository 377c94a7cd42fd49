//! One file a command.

mod completion;
mod config;
mod dispatch;
mod man;
mod schema;
mod version;

pub(super) use dispatch::run;
