//! From what the user asked for to a connection, or to a refusal.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::provider::{Access, KubeconfigProvider, Lab, read};
use super::{Cluster, ClusterError, Kind, Provider, Target};
use crate::profile::Platform;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Whether anything will be changed there. If so, the profile must allow the context.
    pub mutating: bool,
    /// Whether a CI system runs us. If so, the current context is not taken by itself.
    pub ci: bool,
    /// How long one request may take; by default what the profile says.
    pub request_timeout: Option<Duration>,
    /// As whom to act instead.
    pub impersonate: Option<Impersonate>,
}

/// Somebody to act as: `--as` and `--as-group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonate {
    /// The user.
    pub user: String,
    /// Its groups.
    pub groups: Vec<String>,
}

/// Connects to a cluster, or refuses to. Nothing is sent to the API server yet.
pub async fn connect(
    target: &Target,
    platform: &Platform,
    options: &ConnectOptions,
) -> Result<Cluster, ClusterError> {
    let (provider, kubeconfig, mut access): (Arc<dyn Provider>, String, Access) = match target {
        Target::Kubeconfig { file, context } => {
            let (kubeconfig, place) = read(file.as_deref())?;
            if options.ci && context.is_none() {
                let current = kubeconfig.current_context.unwrap_or_default();
                return Err(ClusterError::ContextRequired { current });
            }
            let access = Access::choose(kubeconfig, &place, context.as_deref()).await?;
            let files = match file {
                Some(file) => file.display().to_string(),
                None => std::env::var("KUBECONFIG").unwrap_or_default(),
            };
            (Arc::new(KubeconfigProvider), files, access)
        }
        Target::Kind { name } => {
            let kind = Kind::new(name);
            let kubeconfig = kind.kubeconfig().await?;
            let access = Access::choose(kubeconfig, "of kind", Some(&kind.context())).await?;
            (Arc::new(kind), std::env::var("KUBECONFIG").unwrap_or_default(), access)
        }
        Target::Lab { name } => {
            let lab = Lab::find(name)?;
            let file = lab.kubeconfig();
            let (kubeconfig, place) = read(Some(&file))?;
            let access = Access::choose(kubeconfig, &place, None).await?;
            (Arc::new(lab), file.display().to_string(), access)
        }
    };
    if options.mutating {
        allow(platform, &access.context)?;
    }
    if let Some(other) = &options.impersonate {
        access.config.auth_info.impersonate = Some(other.user.clone());
        access.config.auth_info.impersonate_groups = Some(other.groups.clone());
    }
    let timeout = options.request_timeout.unwrap_or_else(|| platform.spec.deadlines.api_request.get());
    Cluster::new(provider, access.context, kubeconfig, access.config, timeout)
}

/// Refuses a context in which the profile does not allow to change anything.
fn allow(platform: &Platform, context: &str) -> Result<(), ClusterError> {
    if platform.allows_context(context) {
        return Ok(());
    }
    Err(ClusterError::ContextNotAllowed {
        context: context.to_owned(),
        profile: platform.metadata.name.clone(),
        allowed: platform.spec.allowed_contexts.clone(),
    })
}

/// A client, without retries, with the credentials of another context of the same cluster. The file is by default
/// that of the run.
pub async fn identity_client(
    cluster: &Cluster,
    file: Option<&Path>,
    context: &str,
) -> Result<kube::Client, ClusterError> {
    let own = (!cluster.kubeconfig().is_empty()).then(|| Path::new(cluster.kubeconfig()));
    // KUBECONFIG may list several files, which only the environment can say.
    let file = file.or_else(|| own.filter(|file| file.is_file()));
    let (kubeconfig, place) = read(file)?;
    let access = Access::choose(kubeconfig, &place, Some(context)).await?;
    let other = Cluster::new(
        Arc::clone(cluster.provider()),
        access.context,
        String::new(),
        access.config,
        cluster.request_timeout(),
    )?;
    Ok(other.raw())
}
