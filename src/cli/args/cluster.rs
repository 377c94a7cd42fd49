//! Which cluster, as whom, and what it promises. kubectl's names wherever kubectl has one.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{ClusterName, PeerTarget, duration};

/// How to reach a cluster.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster options")]
pub struct AccessArgs {
    /// Cluster to use: lab[:NAME], kind[:NAME] or a context of the kubeconfig [default: lab]
    #[arg(long, value_name = "CLUSTER", env = "PLIMSOLL_CLUSTER", hide_env_values = true)]
    pub(crate) cluster: Option<ClusterName>,
    /// Path of the kubeconfig [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, value_name = "CONTEXT", conflicts_with = "cluster")]
    pub(crate) context: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "USER")]
    pub(crate) as_user: Option<String>,
    /// Group to impersonate (repeatable)
    #[arg(long = "as-group", value_name = "GROUP", requires = "as_user")]
    pub(crate) as_group: Vec<String>,
    /// Longest wait for one answer of the API server (30s, 2m)
    /// [default: the profile's]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) request_timeout: Option<Duration>,
}

/// Further clusters of the fleet.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cluster options")]
pub struct PeerArgs {
    /// Where another cluster of the fleet is, by its name in the profile: production=lab:NAME (repeatable)
    #[arg(long, value_name = "NAME=CLUSTER")]
    pub(crate) peer: Vec<PeerTarget>,
}

/// What the platform promises.
#[derive(Args, Clone, Debug, Default)]
pub struct ProfileArgs {
    /// Profile of the platform (YAML) [default: the lab's own]
    #[arg(long, value_name = "FILE", env = "PLIMSOLL_PROFILE", hide_env_values = true)]
    #[arg(help_heading = "Cluster options")]
    pub(crate) profile: Option<PathBuf>,
}
