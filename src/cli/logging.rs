//! The log: `tracing` to stderr, quiet unless asked.

use std::env;
use std::io;

use tracing_subscriber::EnvFilter;

use super::args::GlobalArgs;
use super::failure::Failure;

/// Starts the log by `-q`, `-v` and `PLIMSOLL_LOG`.
pub(super) fn start(global: &GlobalArgs) -> Result<(), Failure> {
    let filter = match env::var("PLIMSOLL_LOG") {
        Ok(filter) if !filter.trim().is_empty() => EnvFilter::try_new(&filter).map_err(|error| {
            Failure::usage(format!("PLIMSOLL_LOG is no filter: '{filter}'"))
                .because(error)
                .hint("write it as PLIMSOLL_LOG=debug or PLIMSOLL_LOG=plimsoll::cluster=debug,warn")
        })?,
        _ => EnvFilter::new(match (global.quiet, global.verbose) {
            (true, _) => "off",
            (false, 0) => "error",
            (false, 1) => "warn,plimsoll=info,plimsoll_lab=info",
            (false, 2) => "info,plimsoll=debug,plimsoll_lab=debug",
            (false, _) => "debug,plimsoll=trace,plimsoll_lab=trace",
        }),
    };
    let ansi = super::terminal::Terminal::detect(global.color.unwrap_or_default()).stderr_color;
    // Fails only where a log has been started already (tests in one process): that one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(ansi)
        .with_target(global.verbose > 1)
        // It would say so on stderr, which is what could not be written, and panic there.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}
