//! `plimsoll run`.

use clap::{Args, ValueEnum};

use super::{AccessArgs, PeerArgs, PlaceArgs, ProfileArgs, ReportTarget, SelectArgs};

/// When to keep the tenants of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    /// Remove them always
    #[default]
    Never,
    /// Keep them where a scenario did not pass
    Failed,
    /// Keep them always
    Always,
}

/// How many scenarios may run at the same time, wherever it is said.
pub(crate) const JOBS: std::ops::RangeInclusive<u16> = 1..=64;

/// Arguments of `plimsoll run`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = "\
Examples:
  plimsoll run
      the suite `smoke` on the lab of this machine
  plimsoll run --context staging --profile platform.yaml --suite ci
      a platform of your own
  plimsoll run --requirement NET-02 --keep=failed
      one promise, and the tenants stay for a look where it is broken
  plimsoll run --cluster lab:a --peer production=lab:b
      two clusters of one fleet, for the promises that are about both
  plimsoll run --suite ci --repeat 20
      whether the suite agrees with itself: exit code 3 where two runs differ in a scenario
  plimsoll run --report junit=junit.xml --report markdown=summary.md
      reports where CI wants them")]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) peers: PeerArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Write a further report: html, json, ndjson, junit, markdown, terminal or bundle (repeatable; - is stdout)
    #[arg(long, value_name = "FORMAT=PATH", help_heading = "Results")]
    pub(crate) report: Vec<ReportTarget>,
    /// The suite's own grade, as `plimsoll sabotage run --results` wrote it: goes into journal and reports
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) grade: Option<std::path::PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The agent's image, where the cluster's nodes pull images (`plimsoll image` writes it)
    #[arg(long, value_name = "REFERENCE", env = "PLIMSOLL_AGENT_IMAGE", hide_env_values = true)]
    #[arg(help_heading = "Run options")]
    pub(crate) agent_image: Option<String>,
    /// Seed of everything random, as printed by an earlier run
    #[arg(long, value_name = "NUMBER", help_heading = "Run options")]
    pub(crate) seed: Option<u64>,
    /// Scenarios at the same time [default: 6]
    #[arg(short, long, value_name = "NUMBER", help_heading = "Run options")]
    #[arg(value_parser = clap::value_parser!(u16).range(i64::from(*JOBS.start())..=i64::from(*JOBS.end())))]
    pub(crate) jobs: Option<u16>,
    /// Run it so many times, one after the other, and see whether the runs agree; each has a seed of its own
    #[arg(long, value_name = "NUMBER", help_heading = "Run options", conflicts_with_all = ["report", "keep"])]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) repeat: Option<u16>,
    /// With --repeat: stop at the first run that disagrees with those before it
    #[arg(long, help_heading = "Run options", requires = "repeat")]
    pub(crate) until_disagreement: bool,
    /// Keep the tenants after the run
    #[arg(long, value_name = "WHEN", value_enum, help_heading = "Run options")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    pub(crate) keep: Option<Keep>,
}
