//! From a command as typed to its file.

use super::{
    cleanup, completion, config, doctor, explain, fuzz, image, lab, lint, list, man, plan, report, run,
    sabotage, schema, verify, version,
};
use crate::cli::args::{Cli, Command};
use crate::cli::failure::Failure;
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::exit::Exit;

/// Runs the command.
pub(in crate::cli) fn dispatch(cli: Cli, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    match cli.command {
        Command::Plan(args) => plan::run(&args, layers, terminal),
        Command::List(args) => list::run(&args, layers),
        Command::Lint(args) => lint::run(&args, layers, terminal),
        Command::Explain(args) => explain::run(&args),
        Command::Report(args) => report::run(&args, layers, terminal),
        Command::Verify(args) => verify::run(&args, layers),
        Command::Cleanup(args) => cleanup::run(&args, layers, terminal),
        Command::Schema(args) => schema::run(&args),
        Command::Config(args) => config::run(&args, layers),
        Command::Completion(args) => completion::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Doctor(args) => doctor::run(&args, layers, terminal),
        Command::Sabotage(command) => sabotage::run(&command, layers, terminal, cli.global.quiet),
        Command::Fuzz(command) => fuzz::run(&command, layers, terminal, cli.global.quiet),
        Command::Lab(command) => lab::run(command),
        Command::Image(args) => image::run(&args),
        Command::Run(args) => run::run(&args, layers, terminal, cli.global.quiet),
    }
}
