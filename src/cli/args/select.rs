//! What to run.

use std::path::PathBuf;

use clap::Args;

/// A selection of scenarios. Several kinds of criteria narrow each other; several of one kind add up.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Selection")]
pub struct SelectArgs {
    /// Suite to run (see `plimsoll list suites`) [default: smoke where nothing else is selected]
    #[arg(long, value_name = "NAME", env = "PLIMSOLL_SUITE", hide_env_values = true)]
    pub(crate) suite: Option<String>,
    /// Tag expression: '@NET-02 and not @slow'
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) tags: Option<String>,
    /// Requirement to prove, by id (repeatable, or with commas)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) requirement: Vec<String>,
    /// Scenario to run, by id or by its last part (repeatable)
    #[arg(long, value_name = "ID")]
    pub(crate) scenario: Vec<String>,
    /// Scenario or requirement to leave out (repeatable, or with commas)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Directory of further features, beside those built in (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) features: Vec<PathBuf>,
}
