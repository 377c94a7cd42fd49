//! The arguments as typed: one type a command, nothing resolved, nothing looked up.

mod cluster;
mod fuzz;
mod global;
mod inspect;
mod run;
mod sabotage;
mod select;
mod tools;
mod values;

pub(super) use cluster::{AccessArgs, PeerArgs, ProfileArgs};
pub(super) use fuzz::{FuzzCommand, FuzzNetworkArgs};
pub(super) use global::GlobalArgs;
pub use global::{Cli, Command, command};
pub(super) use inspect::{CleanupArgs, DoctorArgs, ExplainArgs, LintArgs, ListArgs, ListWhat, PlanArgs};
pub(super) use run::{JOBS, Keep, RunArgs};
pub(super) use sabotage::{
    SabotageCommand, SabotageExplainArgs, SabotageListArgs, SabotageRunArgs, SabotageSelectArgs,
};
pub(super) use select::SelectArgs;
pub(super) use tools::{
    CompletionArgs, ConfigArgs, ImageArgs, ManArgs, PlaceArgs, ReportArgs, SchemaArgs, SchemaWhat,
    VerifyArgs, VersionArgs,
};
pub(super) use values::{ClusterName, ColorChoice, OutputFormat, PeerTarget, ReportForm, ReportTarget};
