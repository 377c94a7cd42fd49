//! The lab's own command, for those who want the lab without the harness.

use std::process::ExitCode;

use clap::Parser;
use plimsoll_lab::cli::{self, LabCommand};

/// A real Kubernetes of several nodes on one Linux machine, without a container engine.
#[derive(Debug, Parser)]
#[command(name = "plimsoll-lab", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: LabCommand,
}

fn main() -> ExitCode {
    if let Some(code) = plimsoll_lab::dispatch() {
        return code;
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: starting the runtime: {error}");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(cli::run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
