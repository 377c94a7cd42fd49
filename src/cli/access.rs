//! From the cluster options to a cluster, or to a refusal.

use std::path::PathBuf;

use super::args::{AccessArgs, ClusterName, PeerArgs, PeerTarget};
use super::commands::ensure_lab;
use super::failure::Failure;
use super::settings::Layers;
use super::terminal::Terminal;
use crate::cluster::{
    self, Cluster, ClusterError, ConnectOptions, ErrorFamily, Impersonate, PeerClusters, PeerConnection,
    Target,
};
use crate::exit::Exit;
use crate::profile::{LoadedPlatform, PeerCluster, Platform};

/// The lab of those who name none.
pub(super) const DEFAULT_LAB: &str = "default";
/// The name of the profile that is built in.
const BUILT_IN: &str = "@lab";
/// The cluster that `kind` makes where none is named.
const DEFAULT_KIND: &str = "kind";

/// Which cluster is meant. Where nobody names one, it is the lab, whose contexts the profile has to allow too: also in CI.
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
        (Some(name), _) => Ok(of_name(name, file)),
        (None, _) if file.is_some() => Ok(Target::Kubeconfig { file, context: None }),
        (None, _) => Ok(Target::Lab { name: DEFAULT_LAB.to_owned() }),
    }
}

fn of_name(name: ClusterName, file: Option<PathBuf>) -> Target {
    match name {
        ClusterName::Lab(name) => Target::Lab { name: name.unwrap_or_else(|| DEFAULT_LAB.to_owned()) },
        ClusterName::Kind(name) => Target::Kind { name: name.unwrap_or_else(|| DEFAULT_KIND.to_owned()) },
        ClusterName::Context(context) => Target::Kubeconfig { file, context: Some(context) },
    }
}

/// The peer of the profile that an argument means.
fn peer<'a>(target: &PeerTarget, platform: &'a Platform) -> Result<&'a PeerCluster, Failure> {
    let peers = &platform.spec.peers;
    peers.iter().find(|peer| peer.name == target.name).ok_or_else(|| {
        let known: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
        let known = if known.is_empty() {
            "it names none".to_owned()
        } else {
            format!("it names {}", known.join(", "))
        };
        Failure::usage(format!("the profile names no peer `{}`: {known}", target.name))
            .hint("name it under `spec.peers` of the profile")
            .into()
    })
}

/// Refuses peers that the profile does not know.
pub(super) fn check_peers(args: &PeerArgs, platform: &LoadedPlatform) -> Result<(), Failure> {
    args.peer.iter().try_for_each(|target| peer(target, &platform.platform).map(drop))
}

/// Connects to further clusters of the fleet. Labs among them are brought up, for the environment that the profile
/// gives them.
pub(super) async fn peers(
    args: &PeerArgs,
    layers: &Layers,
    platform: &Platform,
    terminal: Terminal,
    quiet: bool,
) -> Result<PeerClusters, Failure> {
    let mut found = Vec::new();
    for target in &args.peer {
        let peer = peer(target, platform)?;
        let file = layers.kubeconfig(None).value;
        let place = of_name(target.cluster.clone(), file);
        if let Target::Lab { name } = &place {
            ensure_lab(name, peer.environment, quiet).await?;
        }
        let how = options(&AccessArgs::default(), terminal, false);
        let cluster = cluster::connect(&place, platform, &how).await.map_err(refused)?;
        found.push(PeerConnection { name: peer.name.clone(), environment: peer.environment, cluster });
    }
    Ok(PeerClusters::new(found))
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
    platform: &LoadedPlatform,
    terminal: Terminal,
    mutating: bool,
) -> Result<Cluster, Failure> {
    connect_to(&target(args, layers)?, platform, &options(args, terminal, mutating)).await
}

/// Connects to this one.
pub(super) async fn connect_to(
    target: &Target,
    platform: &LoadedPlatform,
    how: &ConnectOptions,
) -> Result<Cluster, Failure> {
    cluster::connect(target, &platform.platform, how).await.map_err(|error| match error {
        // Nobody can edit what is built in.
        ClusterError::ContextNotAllowed { .. } if platform.file == BUILT_IN => {
            let hint = "name your platform's profile with --profile FILE: without one, the lab's own is used";
            Failure::with_hint(Exit::Usage, Some(hint.to_owned()), error)
        }
        error => refused(error),
    })
}

/// A cluster's error with the exit code of its family.
pub(super) fn refused(error: ClusterError) -> Failure {
    let exit = match error.family() {
        ErrorFamily::Usage => Exit::Usage,
        ErrorFamily::Trouble => Exit::Inconclusive,
    };
    Failure::with_hint(exit, error.hint(), error)
}
