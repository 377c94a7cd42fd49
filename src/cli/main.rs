//! From the arguments of the process to its exit code.

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use super::args::{Cli, ColorChoice, command};
use super::commands::{self, cleanup};
use super::failure::Failure;
use super::logging;
use super::output;
use super::settings::Layers;
use super::terminal::Terminal;
use crate::exit::Exit;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(say_what_to_report));
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or(Exit::Inconclusive).into()
}

fn run() -> Exit {
    let early = Terminal::detect(ColorChoice::Auto);
    let matches = match command().color(early.clap_color()).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are data, asked for; clap knows which stream each belongs to. A reader that
            // has gone away is no error.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Conformant,
                _ => Exit::Usage,
            };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return Exit::Usage;
        }
    };
    let ended = logging::start(&cli.global).and_then(|()| {
        let layers = Layers::read(&cli.global, &matches)?;
        let terminal = Terminal::detect(layers.color());
        terminal.install();
        commands::dispatch(cli, &layers, terminal)
    });
    match ended {
        Ok(exit) => exit,
        Err(failure) => failure.report(),
    }
}

/// A panic is a defect of the program, whatever the platform does: say so, and what to report.
fn say_what_to_report(info: &PanicHookInfo<'_>) {
    let message = info
        .payload()
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| info.payload().downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    let place = info.location().map_or_else(|| "unknown place".to_owned(), ToString::to_string);
    output::note(format_args!(
        "plimsoll has a defect: {message}\n  at {place}, version {}\n\
         The result of this run cannot be relied on. Please report the lines above, the command that you\n\
         typed, and the journal (reports/runs/latest/journal.ndjson) if there is one.\n\
         Objects left on a cluster are removed by: {}",
        env!("CARGO_PKG_VERSION"),
        cleanup(None, None)
    ));
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
        output::note(format_args!("{}", std::backtrace::Backtrace::force_capture()));
    }
}

/// Runs a future to its end on the program's one runtime.
pub(super) fn block_on<T>(
    future: impl std::future::Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::trouble("cannot start the asynchronous runtime").because(error))?;
    let ended = runtime.block_on(future);
    // Blocking reads that nobody waits for (a terminal, a child's pipe) must not hold the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}
