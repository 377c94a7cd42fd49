//! The program itself: its commands, and the arguments that all of them take.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use super::{
    CleanupArgs, ColorChoice, CompletionArgs, ConfigArgs, DoctorArgs, ExplainArgs, FuzzCommand, ImageArgs,
    LintArgs, ListArgs, ManArgs, PlanArgs, ReportArgs, RunArgs, SabotageCommand, SchemaArgs, VerifyArgs,
    VersionArgs,
};
use crate::exit::Exit;

/// Proves that a multi-tenant Kubernetes platform keeps its promises.
///
/// Plimsoll provisions throwaway tenants on a real cluster, exercises the promises that the platform makes,
/// and leaves evidence that a third party can check. Without a cluster at hand it brings its own: `plimsoll
/// run` starts a small real Kubernetes on this machine.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version, max_term_width = 80, propagate_version = false)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, after_help = exit_codes())]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct GlobalArgs {
    /// When to use colour
    ///
    /// `auto` follows NO_COLOR, FORCE_COLOR and whether the output is a terminal.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        env = "PLIMSOLL_COLOR",
        hide_env_values = true
    )]
    #[arg(help_heading = "Global options")]
    pub(crate) color: Option<ColorChoice>,
    /// Say less: no progress, only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Say more, on stderr (-v information, -vv details, -vvv everything)
    ///
    /// PLIMSOLL_LOG takes a filter by module instead: `PLIMSOLL_LOG=plimsoll::cluster=debug`.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// File of settings [default: ./plimsoll.yaml, then the user's plimsoll/config.yaml]
    #[arg(long, global = true, value_name = "FILE", env = "PLIMSOLL_CONFIG", hide_env_values = true)]
    #[arg(help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a suite against a cluster and write the evidence
    ///
    /// Without arguments, the lab on this machine is used (brought up where it is down, and left up) with
    /// the suite `smoke`. Journal, bundle and reports go to `reports/runs/<run id>` below the current
    /// directory, or below the user's state directory where that is not writable; `latest` beside it points
    /// to the last run. A cluster must be allowed by the profile; where none is named, it is the lab, in CI as well.
    ///
    /// SIGINT (Ctrl-C), SIGTERM and a lost terminal (SIGHUP; not under `nohup`) end the run in order: faults are undone,
    /// tenants removed, the report is written. A second one ends it at once.
    Run(Box<RunArgs>),
    /// Show what a run would do, without a cluster
    Plan(PlanArgs),
    /// List suites, scenarios, requirements, tags, steps and the like
    List(ListArgs),
    /// Check features, suites and the profile, with file and line
    Lint(LintArgs),
    /// Explain a requirement, tag, verdict, outcome, finding code or exit code
    Explain(ExplainArgs),
    /// Say what a cluster lacks for which suite, rights included
    Doctor(DoctorArgs),
    /// Break an expendable platform on purpose, and see who notices
    #[command(subcommand)]
    Sabotage(SabotageCommand),
    /// Compare what a cluster does with what a standard says, case by case
    #[command(subcommand)]
    Fuzz(FuzzCommand),
    /// Render the results of a recorded run, without a cluster
    Report(ReportArgs),
    /// Check that the evidence of a run is whole and unchanged
    Verify(VerifyArgs),
    /// Remove what earlier runs left on a cluster
    ///
    /// Only objects with Plimsoll's own labels are touched: without `--run` or `--all`, those whose time of
    /// expiry has passed.
    Cleanup(CleanupArgs),
    /// Start and stop a real Kubernetes on this machine
    #[command(subcommand)]
    Lab(plimsoll_lab::cli::LabCommand),
    /// Write the agent's image to a file, for a registry of your own
    ///
    /// The lab and kind get the image by themselves. Nodes of other clusters pull it: push it to a registry that
    /// they reach, and name it with `plimsoll run --agent-image`. The reference is printed.
    Image(ImageArgs),
    /// Print the JSON schema of a file format
    Schema(SchemaArgs),
    /// Show the settings in force, each with where it comes from
    Config(ConfigArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print the manual page, or write all of them to a directory
    Man(ManArgs),
    /// Print the version
    Version(VersionArgs),
}

/// The whole command line as clap sees it: for completion, manual, documentation and tests.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The table of exit codes, as it stands at the end of the help.
fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {:>3}  {}", exit.code(), exit.meaning());
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_are_consistent() {
        super::command().debug_assert();
    }
}
