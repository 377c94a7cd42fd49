//! Commands that need no cluster: `report`, `verify`, `schema`, `config`, `completion`, `man`, `version`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{OutputFormat, ReportTarget};

/// Where the results of runs lie.
#[derive(Args, Clone, Debug, Default)]
pub struct PlaceArgs {
    /// Directory for the results of runs [default: reports/runs]
    #[arg(
        long,
        value_name = "DIR",
        env = "PLIMSOLL_REPORTS",
        hide_env_values = true,
        help_heading = "Results"
    )]
    pub(crate) reports_dir: Option<PathBuf>,
}

/// Arguments of `plimsoll report`.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArgs {
    /// Run directory, journal or bundle [default: reports/runs/latest]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// Report to write: html, json, ndjson, junit, markdown, terminal or bundle (repeatable; - is stdout)
    /// [default: terminal=-]
    #[arg(long, value_name = "FORMAT=PATH")]
    pub(crate) report: Vec<ReportTarget>,
    /// The suite's own grade, as `plimsoll sabotage run --results` wrote it [default: the one in the run's journal]
    #[arg(long, value_name = "FILE")]
    pub(crate) grade: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Arguments of `plimsoll verify`.
#[derive(Args, Clone, Debug, Default)]
pub struct VerifyArgs {
    /// Run directory, journal or bundle [default: reports/runs/latest]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// Hash of the journal's last record, as a report shows it: also proves that the journal, and the profile that a
    /// bundle holds, were not written anew
    #[arg(long, value_name = "HASH", value_parser = head)]
    pub(crate) head: Option<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// A hash as reports show it: anything else was copied badly, and says nothing of the evidence.
fn head(typed: &str) -> Result<String, String> {
    if typed.len() == 64 && typed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(typed.to_owned())
    } else {
        Err("a hash is 64 hexadecimal digits".to_owned())
    }
}

/// A file format with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaWhat {
    /// The platform profile
    Profile,
    /// One event of the journal
    Journal,
    /// The JSON report
    Report,
    /// The grade of the suite, as `plimsoll sabotage run --results` writes it
    Grade,
    /// A sabotage
    Sabotage,
    /// A suite
    Suite,
    /// The file of settings
    Config,
}

impl SchemaWhat {
    /// All of them, in the order of the help.
    pub(crate) const ALL: [Self; 7] =
        [Self::Profile, Self::Journal, Self::Report, Self::Grade, Self::Sabotage, Self::Suite, Self::Config];

    /// The name of the schema's file, before `.schema.json`.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Profile => "platform",
            Self::Journal => "journal",
            Self::Report => "report",
            Self::Grade => "grade",
            Self::Sabotage => "sabotage",
            Self::Suite => "suite",
            Self::Config => "config",
        }
    }
}

/// Arguments of `plimsoll schema`.
#[derive(Args, Clone, Debug)]
pub struct SchemaArgs {
    /// Which format
    #[arg(value_name = "FORMAT", value_enum)]
    pub(crate) what: SchemaWhat,
}

/// Arguments of `plimsoll config`.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `plimsoll image`.
#[derive(Args, Clone, Debug)]
pub struct ImageArgs {
    /// The archive to write, as `docker load`, `skopeo` and `crane` read it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Arguments of `plimsoll completion`.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// Which shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Arguments of `plimsoll man`.
#[derive(Args, Clone, Debug, Default)]
pub struct ManArgs {
    /// Write a page a command into this directory instead
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Arguments of `plimsoll version`.
#[derive(Args, Clone, Debug, Default)]
pub struct VersionArgs {
    /// Form of the output
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}
