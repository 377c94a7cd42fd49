//! The command line: arguments as typed (`args`), settings as resolved (`settings`), one file a command.

// `eprintln!` panics where stderr takes nothing; `output::note` does not.
#![deny(clippy::print_stderr)]

mod access;
mod agent_image;
mod args;
mod catalog;
mod commands;
mod failure;
mod logging;
mod main;
mod output;
mod place;
mod recorded;
mod reference;
mod settings;
mod soundness;
mod terminal;
mod topics;

pub use args::command;
pub use failure::Failure;
pub use main::main;
pub use reference::reference;
