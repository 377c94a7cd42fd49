//! Any cluster that a kubeconfig leads to.

use std::path::Path;

use futures::future::{BoxFuture, FutureExt as _};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::{ImageDelivery, Provider};
use crate::cluster::ClusterError;

/// Any cluster that a kubeconfig leads to. Nodes pull images themselves.
#[derive(Debug)]
pub struct KubeconfigProvider;

impl Provider for KubeconfigProvider {
    fn name(&self) -> &'static str {
        "kubeconfig"
    }

    fn load_image<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Result<ImageDelivery, ClusterError>> {
        async { Ok(ImageDelivery::ByReference) }.boxed()
    }
}

/// What a kubeconfig gives.
#[derive(Debug)]
pub struct Access {
    /// The context's name.
    pub context: String,
    /// Server and credentials.
    pub config: Config,
}

/// Reads a kubeconfig: the given file, else what KUBECONFIG lists, merged, else `~/.kube/config`.
pub fn read(file: Option<&Path>) -> Result<(Kubeconfig, String), ClusterError> {
    let place = || match file {
        Some(file) => format!("`{}`", file.display()),
        None => match std::env::var("KUBECONFIG") {
            Ok(list) if !list.is_empty() => format!("of KUBECONFIG (`{list}`)"),
            _ => "`~/.kube/config`".to_owned(),
        },
    };
    let kubeconfig = match file {
        Some(file) => Kubeconfig::read_from(file),
        None => Kubeconfig::read(),
    };
    kubeconfig
        .map(|kubeconfig| (kubeconfig, place()))
        .map_err(|error| ClusterError::Kubeconfig { place: place(), source: Box::new(error) })
}

impl Access {
    /// Picks a context, by default the current one.
    pub async fn choose(
        kubeconfig: Kubeconfig,
        place: &str,
        context: Option<&str>,
    ) -> Result<Self, ClusterError> {
        let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let context = context.map(str::to_owned).or(current).ok_or_else(|| ClusterError::Kubeconfig {
            place: place.to_owned(),
            source: "it has no current context, and none is named".into(),
        })?;
        if !known.contains(&context) {
            return Err(ClusterError::UnknownContext { context, known });
        }
        let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| ClusterError::Kubeconfig { place: place.to_owned(), source: Box::new(error) })?;
        Ok(Self { context, config })
    }
}
