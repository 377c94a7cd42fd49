//! The program: parse, run, exit. Everything else is in the libraries.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The lab's long-lived processes are this same executable.
    plimsoll_lab::dispatch().unwrap_or_else(plimsoll::cli::main)
}
