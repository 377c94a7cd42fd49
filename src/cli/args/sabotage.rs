//! Arguments of `plimsoll sabotage`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{AccessArgs, OutputFormat, PeerArgs, ProfileArgs};

/// What to do with sabotages.
#[derive(Clone, Debug, Subcommand)]
pub enum SabotageCommand {
    /// List what can be broken, and who must notice
    List(SabotageListArgs),
    /// Break an expendable platform, one batch after the other, and see who notices
    ///
    /// Refuses every cluster whose profile does not say `expendable: true`. What is changed on the cluster is
    /// recorded there first; should this be killed, the next start puts it back.
    Run(Box<SabotageRunArgs>),
}

/// Arguments of `plimsoll sabotage list`.
#[derive(Args, Clone, Debug, Default)]
pub struct SabotageListArgs {
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `plimsoll sabotage run`.
#[derive(Args, Clone, Debug, Default)]
pub struct SabotageRunArgs {
    /// Those of these names alone [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) peers: PeerArgs,
    /// Run the scenarios on the sound platform, too: none may turn red
    #[arg(long)]
    pub(crate) sound: bool,
    /// Keep edited profiles and the results of the runs here [default: nowhere]
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}
