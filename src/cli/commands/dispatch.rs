//! From a command as typed to its file.

use super::{completion, config, man, schema, version};
use crate::cli::args::{Cli, Command};
use crate::cli::failure::Failure;
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::exit::Exit;

/// Runs the command.
pub(in crate::cli) fn run(cli: Cli, layers: &Layers, _terminal: &Terminal) -> Result<Exit, Failure> {
    match cli.command {
        Command::Schema(args) => schema::run(&args),
        Command::Config(args) => config::run(&args, layers),
        Command::Completion(args) => completion::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version(args) => version::run(&args),
        _ => Err(Failure::usage("this command is not part of this build yet").into()),
    }
}
