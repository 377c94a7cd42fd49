//! From the cluster options to a cluster, or to a refusal.

use super::args::{AccessArgs, ClusterName};
use super::failure::Failure;
use super::settings::Layers;
use super::terminal::Terminal;
use crate::cluster::{self, Cluster, ClusterError, ConnectOptions, ErrorFamily, Impersonate, Target};
use crate::exit::Exit;
use crate::profile::Platform;

/// The lab of those who name none.
pub(super) const DEFAULT_LAB: &str = "default";
/// The cluster that `kind` makes where none is named.
const DEFAULT_KIND: &str = "kind";

/// Which cluster is meant. Where nobody names one, it is the lab, which is ours alone: also in CI.
pub(super) fn target(args: &AccessArgs, layers: &Layers) -> Result<Target, Failure> {
    let file = layers.kubeconfig(args.kubeconfig.clone()).value;
    if let Some(context) = &args.context {
        return Ok(Target::Kubeconfig { file, context: Some(context.clone()) });
    }
    let named = layers.cluster(args.cluster.clone())?;
    match (named.value, &args.kubeconfig) {
        (Some(own @ (ClusterName::Lab(_) | ClusterName::Kind(_))), Some(_)) => Err(Failure::usage(format!(
            "the cluster {own} brings its own kubeconfig; --kubeconfig cannot be used with it"
        ))
        .hint("leave one of the two out")
        .into()),
        (Some(ClusterName::Lab(name)), _) => {
            Ok(Target::Lab { name: name.unwrap_or_else(|| DEFAULT_LAB.to_owned()) })
        }
        (Some(ClusterName::Kind(name)), _) => {
            Ok(Target::Kind { name: name.unwrap_or_else(|| DEFAULT_KIND.to_owned()) })
        }
        (Some(ClusterName::Context(context)), _) => Ok(Target::Kubeconfig { file, context: Some(context) }),
        (None, _) if file.is_some() => Ok(Target::Kubeconfig { file, context: None }),
        (None, _) => Ok(Target::Lab { name: DEFAULT_LAB.to_owned() }),
    }
}

/// How to connect to it.
pub(super) fn options(args: &AccessArgs, terminal: Terminal, mutating: bool) -> ConnectOptions {
    ConnectOptions {
        mutating,
        ci: terminal.ci,
        request_timeout: args.request_timeout,
        impersonate: args.as_user.clone().map(|user| Impersonate { user, groups: args.as_group.clone() }),
    }
}

/// Connects.
pub(super) async fn connect(
    args: &AccessArgs,
    layers: &Layers,
    platform: &Platform,
    terminal: Terminal,
    mutating: bool,
) -> Result<Cluster, Failure> {
    cluster::connect(&target(args, layers)?, platform, &options(args, terminal, mutating))
        .await
        .map_err(refused)
}

/// A cluster's error with the exit code of its family.
pub(super) fn refused(error: ClusterError) -> Failure {
    let exit = match error.family() {
        ErrorFamily::Usage => Exit::Usage,
        ErrorFamily::Trouble => Exit::Inconclusive,
    };
    Failure::with_hint(exit, error.hint(), error)
}
