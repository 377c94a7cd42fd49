//! `plimsoll completion`.

use crate::cli::args::{CompletionArgs, command};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::exit::Exit;

/// Prints the completion script of a shell.
pub(super) fn run(args: &CompletionArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "plimsoll", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Conformant)
}
