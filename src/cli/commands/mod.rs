//! One file a command.

mod cleanup;
mod completion;
mod config;
mod dispatch;
mod doctor;
mod explain;
mod fuzz;
mod image;
mod lab;
mod lint;
mod list;
mod man;
mod plan;
mod repeat;
mod report;
mod run;
mod sabotage;
pub(super) mod schema;
mod verify;
mod version;

pub(super) use dispatch::dispatch;
pub(super) use lab::ensure as ensure_lab;
pub(super) use run::cleanup;
