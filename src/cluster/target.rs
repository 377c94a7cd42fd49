//! Which cluster is meant.

use std::path::PathBuf;

/// Which cluster is meant, as resolved from the command line, the environment and the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The lab of that name on this machine.
    Lab {
        /// Its name.
        name: String,
    },
    /// A context of a kubeconfig; without a context the current one.
    Kubeconfig {
        /// The file; by default what KUBECONFIG lists, merged, or `~/.kube/config`.
        file: Option<PathBuf>,
        /// The context.
        context: Option<String>,
    },
    /// A cluster that the `kind` command made.
    Kind {
        /// Its name, without the prefix `kind-`.
        name: String,
    },
}

impl Target {
    /// The provider's name, as in reports.
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::Lab { .. } => "lab",
            Self::Kubeconfig { .. } => "kubeconfig",
            Self::Kind { .. } => "kind",
        }
    }
}
