//! Arguments of `plimsoll fuzz`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::values::duration;
use super::{AccessArgs, OutputFormat, PlaceArgs, ProfileArgs};

/// What to compare at random.
#[derive(Clone, Debug, Subcommand)]
pub enum FuzzCommand {
    /// Compare network policies made at random with what the standard says of them
    ///
    /// In throwaway namespaces, policies, labels and their changes are put on the cluster, every path between their pods
    /// is tried over TCP and UDP, and compared with the prediction from `networking.k8s.io/v1`. What disagrees when the
    /// profile's `policyConvergence` has passed is made as small as it can be, and written to a file from which it can
    /// be tried again.
    Network(Box<FuzzNetworkArgs>),
}

/// Arguments of `plimsoll fuzz network`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_long_help = "\
Exit code 0 says that all agree, 1 that something disagrees, 3 that it could not
be told.

Examples:
  plimsoll fuzz network --cases 500 --seed 7
      five hundred cases on the lab of this machine
  plimsoll fuzz network --case 17 --seed 7
      one of them
  plimsoll fuzz network --replay reproduction.yaml
      one that disagreed, once more")]
pub struct FuzzNetworkArgs {
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// How many cases to make [default: 100]
    #[arg(long, value_name = "NUMBER", help_heading = "Cases")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) cases: Option<u32>,
    /// Only the case of this number, as an earlier run names it
    #[arg(long, value_name = "NUMBER", help_heading = "Cases", conflicts_with_all = ["cases", "replay"])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) case: Option<u32>,
    /// Seed of the cases, as printed by an earlier run [default: a new one]
    #[arg(long, value_name = "NUMBER", help_heading = "Cases")]
    pub(crate) seed: Option<u64>,
    /// Try the case of this file again
    #[arg(long, value_name = "FILE", help_heading = "Cases")]
    #[arg(conflicts_with_all = ["cases", "seed", "cases_from"])]
    pub(crate) replay: Option<PathBuf>,
    /// Take the cases of this file, such as `tests/fixtures/cyclonus/answers.json`
    #[arg(long, value_name = "FILE", help_heading = "Cases", conflicts_with_all = ["cases", "seed"])]
    pub(crate) cases_from: Option<PathBuf>,
    /// Take all of the file's cases, not only those that its maker runs by default
    #[arg(long, help_heading = "Cases", requires = "cases_from")]
    pub(crate) all: bool,
    /// Worlds at the same time, each in namespaces of its own [default: 4]
    #[arg(long, value_name = "NUMBER", help_heading = "Fuzz options")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=32))]
    pub(crate) parallel: Option<u16>,
    /// Longest time to spend on making a case smaller [default: 3m]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Fuzz options")]
    pub(crate) shrink_for: Option<Duration>,
    /// Most tries to spend on making a case smaller; 0 leaves it as it is
    /// [default: 200]
    #[arg(long, value_name = "NUMBER", help_heading = "Fuzz options")]
    pub(crate) shrink_tries: Option<u16>,
    /// The agent's image, where the cluster's nodes pull images (`plimsoll image` writes it)
    #[arg(long, value_name = "REFERENCE", env = "PLIMSOLL_AGENT_IMAGE", hide_env_values = true)]
    #[arg(help_heading = "Fuzz options")]
    pub(crate) agent_image: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}
