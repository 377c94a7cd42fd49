//! `plimsoll lab`.

use std::sync::Arc;

use plimsoll_lab::cli::{LabCommand, Terminal as LabTerminal};
use plimsoll_lab::{Lab, LabError, Progress, Quiet, UpOptions};

use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::exit::Exit;

/// Runs a command of the lab.
pub(super) fn run(command: LabCommand) -> Result<Exit, Failure> {
    block_on(async {
        plimsoll_lab::cli::run(command).await.map_err(refused)?;
        Ok(Exit::Conformant)
    })
}

/// Brings a lab up where it is down. It stays up.
pub(super) async fn ensure(name: &str, quiet: bool) -> Result<(), Failure> {
    let lab = Lab::open(name).map_err(refused)?;
    let terminal = Arc::new(LabTerminal::new());
    let progress: Arc<dyn Progress> = if quiet { Arc::new(Quiet) } else { Arc::clone(&terminal) as _ };
    let up = lab.up(UpOptions::default(), progress).await;
    terminal.finish();
    up.map_err(refused)?;
    Ok(())
}

/// A lab's error with its exit code.
fn refused(error: LabError) -> Failure {
    let exit = if error.exit_code() == Exit::Usage.code() { Exit::Usage } else { Exit::Inconclusive };
    match error {
        LabError::Precondition { problem, remedy } => Failure::sentence(exit, problem, Some(remedy)),
        other => Failure::with_hint(exit, None, other),
    }
}
