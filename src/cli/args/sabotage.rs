//! Arguments of `plimsoll sabotage`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{AccessArgs, OutputFormat, PeerArgs, ProfileArgs};

/// What to do with sabotages.
#[derive(Clone, Debug, Subcommand)]
pub enum SabotageCommand {
    /// List what can be broken, and who must notice
    List(SabotageListArgs),
    /// Break an expendable platform, one sabotage after the other, and see who notices
    ///
    /// Refuses every cluster whose profile does not say `expendable: true`. What is changed on the cluster is
    /// recorded there first; should this be killed, the next start puts it back, and so do `plimsoll run` and
    /// `plimsoll cleanup`. One at a time on a cluster.
    Run(Box<SabotageRunArgs>),
    /// Explain a sabotage: what it breaks and how, who must notice and by which reason
    Explain(SabotageExplainArgs),
}

/// Which sabotages.
#[derive(Args, Clone, Debug, Default)]
pub struct SabotageSelectArgs {
    /// Those that this requirement must notice (repeatable)
    #[arg(long, value_name = "ID", help_heading = "Selection")]
    pub(crate) requirement: Vec<String>,
    /// Those that a requirement of this family must notice: TEN, IAM, NET (repeatable)
    #[arg(long, value_name = "FAMILY", help_heading = "Selection")]
    pub(crate) family: Vec<String>,
}

/// Arguments of `plimsoll sabotage list`.
#[derive(Args, Clone, Debug, Default)]
pub struct SabotageListArgs {
    #[command(flatten)]
    pub(crate) select: SabotageSelectArgs,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `plimsoll sabotage explain`.
#[derive(Args, Clone, Debug)]
pub struct SabotageExplainArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Arguments of `plimsoll sabotage run`.
#[derive(Args, Clone, Debug, Default)]
pub struct SabotageRunArgs {
    /// Those of these names alone [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) select: SabotageSelectArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) peers: PeerArgs,
    /// Run the scenarios so many times on the sound platform first: none may turn red
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) sound_runs: usize,
    /// Runs at the same time, where they cannot disturb each other
    #[arg(long, value_name = "NUMBER", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=16))]
    pub(crate) lanes: u16,
    /// Seed of everything random, as in the results of an earlier grade
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Write the grade to this file, as JSON (`plimsoll schema grade`), for `--grade` of `run` and `report`
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub(crate) results: Option<PathBuf>,
    /// Keep edited blueprints and the journals of the runs here [default: nowhere]
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub(crate) keep: Option<PathBuf>,
    /// The agent's image, where the cluster's nodes pull images
    #[arg(long, value_name = "REFERENCE", env = "PLIMSOLL_AGENT_IMAGE", hide_env_values = true)]
    pub(crate) agent_image: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}
