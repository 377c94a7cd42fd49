//! Commands that look before or after a run: `plan`, `list`, `lint`, `explain`, `doctor`, `cleanup`.

use clap::{Args, ValueEnum};

use super::{AccessArgs, OutputFormat, ProfileArgs, SelectArgs};

/// Arguments of `plimsoll plan`.
#[derive(Args, Clone, Debug, Default)]
pub struct PlanArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// What to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ListWhat {
    /// Suites
    #[default]
    Suites,
    /// Features
    Features,
    /// Scenarios
    Scenarios,
    /// Requirements, with the scenarios that prove them
    Requirements,
    /// Tags
    Tags,
    /// Capabilities
    Capabilities,
    /// Step definitions
    Steps,
    /// Codes of lint
    Codes,
}

/// Arguments of `plimsoll list`.
#[derive(Args, Clone, Debug, Default)]
pub struct ListArgs {
    /// What to list
    #[arg(value_name = "WHAT", value_enum, default_value_t)]
    pub(crate) what: ListWhat,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `plimsoll lint`.
#[derive(Args, Clone, Debug, Default)]
pub struct LintArgs {
    /// Directory of further features to check, beside those built in (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) features: Vec<std::path::PathBuf>,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `plimsoll explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// What to explain: NET-02, @needs-network-policy, DROPPED, inconclusive, a code of lint, exit-3
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Arguments of `plimsoll doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Check for this suite alone [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) suite: Option<String>,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `plimsoll cleanup`.
#[derive(Args, Clone, Debug, Default)]
pub struct CleanupArgs {
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// Remove what this run made, expired or not (repeatable)
    #[arg(long, value_name = "RUN", conflicts_with = "all")]
    pub(crate) run: Vec<String>,
    /// Remove what any run made, running ones included
    #[arg(long)]
    pub(crate) all: bool,
    /// Show what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}
