//! The command line: arguments as typed (`args`), settings as resolved (`settings`), one file a command.

mod args;
mod commands;
mod failure;
mod logging;
mod main;
mod output;
mod settings;
mod terminal;

pub use args::command;
pub use main::main;
