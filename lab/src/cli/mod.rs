//! The command line of the lab, to be used as it is or as a subcommand.

mod arguments;
mod logs;
mod render;
mod run;
mod terminal;

pub use arguments::{
    BuildArgs, DefectArgs, DownArgs, ImageCommand, KubeconfigArgs, LabCommand, LoadArgs, LogsArgs, NameArgs,
    StatusArgs, StatusFormat, UpArgs,
};
pub use run::run;
pub use terminal::Terminal;
