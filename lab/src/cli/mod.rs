//! The command line of the lab, to be used as it is or as a subcommand.

mod arguments;
mod audit;
mod logs;
mod render;
mod run;
mod terminal;
mod token;

pub use arguments::{
    AuditArgs, BuildArgs, DefectArgs, DownArgs, ImageCommand, KeysCommand, KubeconfigArgs, LabCommand,
    LoadArgs, LogsArgs, NameArgs, StatusArgs, StatusFormat, TokenArgs, UpArgs, WhichArgs,
};
pub use run::run;
pub use terminal::Terminal;
