//! Applies manifests, server-side.

use std::path::Path;
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Scope, pinned_kind};
use kube::{Api, Client, Config, ResourceExt as _};
use tokio::time::Instant;

use crate::error::{Context as _, LabError, Result};
use crate::patience::Patience;

/// The owner of the fields that the lab sets.
const MANAGER: &str = "plimsoll-lab";

/// How long a kind may take to be served after its definition, or a namespace to be there after its creation.
const SETTLE: Duration = Duration::from_secs(30);

/// A client for a kubeconfig file.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    Client::try_from(config(kubeconfig).await?).context(|| "making a client")
}

async fn config(kubeconfig: &Path) -> Result<Config> {
    let unusable = |error: &dyn std::fmt::Display| {
        LabError::component("kubeconfig", format!("{}: {error}", kubeconfig.display()))
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(&error))?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(&error))?;
    // The lab is on this machine: what the environment says about the way out is not meant for it.
    config.proxy_url = None;
    Ok(config)
}

/// Presents a token that the API server will refuse, for what it does before it refuses.
pub(crate) async fn present(kubeconfig: &Path, token: String) -> Result<()> {
    let mut config = config(kubeconfig).await?;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    let client = Client::try_from(config).context(|| "making a client")?;
    match client.apiserver_version().await {
        Err(kube::Error::Api(status)) if status.code == 401 => Ok(()),
        Ok(_) => Err(LabError::component("kube-apiserver", "accepts a token of a key that is not published")),
        Err(error) => Err(error).context(|| "presenting a token to the API server"),
    }
}

/// A manifest with the name of the file that it is from.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) source: String,
    pub(crate) object: DynamicObject,
}

/// Reads all objects of a file.
pub(crate) fn parse(source: &str, text: &str) -> Result<Vec<Manifest>> {
    use serde::Deserialize as _;
    let bad = |error: &dyn std::fmt::Display| LabError::Usage(format!("{source}: {error}"));
    let mut manifests = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document).map_err(|error| bad(&error))?;
        if value.is_null() {
            continue;
        }
        let object: DynamicObject = serde_yaml::from_value(value).map_err(|error| bad(&error))?;
        if object.types.is_none() || object.metadata.name.is_none() {
            return Err(bad(&"an object needs apiVersion, kind and metadata.name"));
        }
        manifests.push(Manifest { source: source.to_owned(), object });
    }
    Ok(manifests)
}

/// Applies objects in their order.
pub(crate) async fn apply_all(client: &Client, manifests: &[Manifest], patience: Patience) -> Result<()> {
    let mut known: std::collections::HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)> =
        std::collections::HashMap::new();
    for manifest in manifests {
        let deadline = Instant::now() + SETTLE * patience;
        loop {
            match apply(client, &mut known, &manifest.object).await {
                Ok(()) => break,
                // What it builds on may just have been made.
                Err(kube::Error::Api(status)) if status.is_not_found() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => {
                    return Err(error).context(|| {
                        let name = manifest.object.name_any();
                        format!("applying {name} of {}", manifest.source)
                    });
                }
            }
        }
    }
    Ok(())
}

async fn apply(
    client: &Client,
    known: &mut std::collections::HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>,
    object: &DynamicObject,
) -> Result<(), kube::Error> {
    let types = object.types.clone().unwrap_or_default();
    let kind = GroupVersionKind::try_from(&types).map_err(|error| {
        kube::Error::Discovery(kube::error::DiscoveryError::InvalidGroupVersion(error.to_string()))
    })?;
    let (resource, capabilities) = if let Some(found) = known.get(&kind) {
        found.clone()
    } else {
        let found = pinned_kind(client, &kind).await?;
        known.insert(kind, found.clone());
        found
    };
    let api: Api<DynamicObject> = match (&capabilities.scope, object.namespace()) {
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), &namespace, &resource),
        (Scope::Namespaced, None) => Api::default_namespaced_with(client.clone(), &resource),
    };
    api.patch(&object.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_bad_ones_located() {
        let text = "# a comment only\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n\
                    apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n";
        let names: Vec<String> = parse("x.yaml", text).unwrap().iter().map(|m| m.object.name_any()).collect();
        assert_eq!(names, ["a", "b"]);
        let error = parse("x.yaml", "kind: Namespace\n").unwrap_err();
        assert!(error.to_string().starts_with("x.yaml: "), "{error}");
    }
}
