//! Arguments as typed.

use std::path::PathBuf;

use crate::issuer::Directory;
use crate::netpol::Defect;
use crate::patience::Patience;
use crate::state::{Cni, Environment};

/// What to do with a lab.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum LabCommand {
    /// Start a lab, or make sure that a running one is whole
    Up(UpArgs),
    /// End a lab and remove all that it was
    Down(DownArgs),
    /// Show what runs
    Status(StatusArgs),
    /// Print the path of a lab's kubeconfig, or the file itself
    Kubeconfig(KubeconfigArgs),
    /// Show the log of one of a lab's processes
    Logs(LogsArgs),
    /// Print the API server's record of who did what, one event a line
    Audit(AuditArgs),
    /// Print a token of the lab's identity provider, as an exec credential
    Token(TokenArgs),
    /// Work with the keys of the lab's identity provider
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Work with images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Build the lab's components into the cache
    Build(BuildArgs),
    /// Break the lab's policy dataplane on purpose, to see which test notices
    ///
    /// Without a defect, those that there are and what is planted are listed. `lab status` and every report of a run name
    /// what is planted. Nothing of it outlives the lab.
    Defect(DefectArgs),
}

/// Which lab.
#[derive(Debug, Clone, clap::Args)]
pub struct NameArgs {
    /// The lab's name: several can run side by side
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub name: String,
}

/// Arguments of `up`.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// How many nodes [default: 2]
    #[arg(long, value_name = "N")]
    pub nodes: Option<u16>,
    /// The port of 127.0.0.1 that the API server answers on; 0 takes any free one [default: 0]
    #[arg(long, value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Who brings the pod network and its policies [default: bundled]
    #[arg(long, value_enum)]
    pub cni: Option<Cni>,
    /// What the cluster is for: whoever logs in to a production cluster shows a second factor
    /// [default: non-production]
    #[arg(long, value_enum)]
    pub environment: Option<Environment>,
    /// Multiply every limit on a wait, for an emulated or very busy machine [default: 1]
    #[arg(long, value_name = "FACTOR", env = Patience::VARIABLE, hide_env_values = true)]
    pub patience: Option<Patience>,
}

/// Which lab, by its name or by the context of its kubeconfig.
#[derive(Debug, Clone, clap::Args)]
pub struct WhichArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// The context of the lab's kubeconfig, in place of its name
    #[arg(long, conflicts_with = "name", value_name = "CONTEXT")]
    pub context: Option<String>,
}

/// Arguments of `token`.
#[derive(Debug, Clone, clap::Args)]
pub struct TokenArgs {
    /// Which lab.
    #[command(flatten)]
    pub which: WhichArgs,
    /// The user, as the identity provider knows it
    #[arg(long, value_name = "USER")]
    pub user: String,
    /// Its groups, as the identity provider knows them
    #[arg(long, value_name = "GROUP,...", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// Whether the user has shown a second factor
    #[arg(long, value_name = "true|false", default_value_t = false, action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub mfa: bool,
    /// For whom the token is, if not for the lab's API server
    #[arg(long, value_name = "AUDIENCE")]
    pub audience: Option<String>,
    /// For how many seconds it is good; a negative number gives one that is over
    #[arg(long, value_name = "SECONDS", default_value_t = 600, allow_negative_numbers = true)]
    pub lifetime: i64,
    /// In how many seconds it begins to be good
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    pub not_before: i64,
    /// Who issues it
    #[arg(long, value_enum, default_value = "platform")]
    pub directory: Directory,
}

/// Arguments of `audit`.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditArgs {
    /// Which lab.
    #[command(flatten)]
    pub which: WhichArgs,
    /// Only from this time on (RFC 3339, UTC), or a little earlier
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// What to do with the keys of the identity provider.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum KeysCommand {
    /// Print the key set that tokens are verified by
    Show(WhichArgs),
    /// Sign with a new key from now on; the earlier ones stay published
    Rotate(WhichArgs),
    /// Withdraw every key but the newest, and tell the API server
    Withdraw(WhichArgs),
}

/// Arguments of `down`.
#[derive(Debug, Clone, clap::Args)]
pub struct DownArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// End every lab of this user
    #[arg(long, conflicts_with = "name")]
    pub all: bool,
}

/// Arguments of `status`.
#[derive(Debug, Clone, clap::Args)]
pub struct StatusArgs {
    /// The lab's name; without it, every lab is shown
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: StatusFormat,
}

/// How to show the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StatusFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Arguments of `kubeconfig`.
#[derive(Debug, Clone, clap::Args)]
pub struct KubeconfigArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// Print the file instead of its path
    #[arg(long)]
    pub raw: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Clone, clap::Args)]
pub struct LogsArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// The process, such as `kube-apiserver` or `node-1-kubelet`; without it, those with a log are listed
    #[arg(value_name = "COMPONENT")]
    pub component: Option<String>,
    /// Keep showing what is added
    #[arg(short, long, requires = "component")]
    pub follow: bool,
}

/// What to do with images.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ImageCommand {
    /// Put an image on every node
    Load(LoadArgs),
}

/// Arguments of `image load`.
#[derive(Debug, Clone, clap::Args)]
pub struct LoadArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// The archive, as `docker save` or an OCI tool writes it
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
}

/// Arguments of `defect`.
#[derive(Debug, Clone, clap::Args)]
pub struct DefectArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: NameArgs,
    /// What to break, in place of what is broken already
    #[arg(value_name = "DEFECT", value_enum, conflicts_with = "remove")]
    pub defect: Option<Defect>,
    /// Make it sound again
    #[arg(long)]
    pub remove: bool,
}

/// Arguments of `build`.
#[derive(Debug, Clone, clap::Args)]
pub struct BuildArgs {
    /// Which components; without any, those that a lab needs
    #[arg(value_name = "COMPONENT")]
    pub components: Vec<String>,
}
