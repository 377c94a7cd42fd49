//! `plimsoll lab`.

use std::sync::Arc;

use plimsoll_lab::cli::{LabCommand, Terminal as LabTerminal};
use plimsoll_lab::{Lab, LabError, Progress, Quiet, UpOptions};

use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::exit::Exit;
use crate::profile::Environment;

/// Runs a command of the lab.
pub(super) fn run(command: LabCommand) -> Result<Exit, Failure> {
    block_on(async {
        plimsoll_lab::cli::run(command).await.map_err(refused)?;
        Ok(Exit::Conformant)
    })
}

/// Brings a lab up where it is down, for the environment of the profile. It stays up. One that is up and is for another
/// environment is refused.
pub(in crate::cli) async fn ensure(name: &str, environment: Environment, quiet: bool) -> Result<(), Failure> {
    let environment = match environment {
        Environment::Production => plimsoll_lab::Environment::Production,
        Environment::NonProduction => plimsoll_lab::Environment::NonProduction,
    };
    let options = UpOptions { environment: Some(environment), ..UpOptions::default() };
    let lab = Lab::open(name).map_err(refused)?;
    let terminal = Arc::new(LabTerminal::new());
    let progress: Arc<dyn Progress> = if quiet { Arc::new(Quiet) } else { Arc::clone(&terminal) as _ };
    let up = lab.up(options, progress).await;
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
