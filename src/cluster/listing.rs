//! Looking at every object of every kind.

use futures::StreamExt as _;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};

use super::{Cluster, ClusterError};

/// How many listings run at one time.
const PARALLEL: usize = 12;
/// How many objects one answer may hold.
const PAGE: u32 = 500;

/// A kind that can be listed.
#[derive(Clone, Debug)]
pub(crate) struct Listable {
    pub resource: ApiResource,
    pub namespaced: bool,
    pub deletable: bool,
}

/// Objects of all kinds, and the kinds that could not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub objects: Vec<(Listable, DynamicObject)>,
    /// One line a kind: `could not list secrets: ...`.
    pub unseen: Vec<String>,
}

/// Every kind that can be listed, each in its preferred version. Left out are events, which expire by
/// themselves, and kinds that are views of others.
pub(crate) fn kinds(discovery: &Discovery) -> Vec<Listable> {
    let mut kinds: Vec<Listable> = discovery
        .groups()
        .filter(|group| group.name() != "metrics.k8s.io")
        .flat_map(kube::discovery::ApiGroup::recommended_resources)
        .filter(|(resource, capabilities)| {
            capabilities.supports_operation(verbs::LIST)
                && !matches!(resource.plural.as_str(), "events" | "componentstatuses")
        })
        .map(|(resource, capabilities)| Listable {
            namespaced: matches!(capabilities.scope, Scope::Namespaced),
            deletable: capabilities.supports_operation(verbs::DELETE),
            resource,
        })
        .collect();
    kinds.sort_by(|a, b| {
        (&a.resource.group, &a.resource.plural).cmp(&(&b.resource.group, &b.resource.plural))
    });
    kinds
}

/// Lists the given kinds. `namespace` narrows namespaced kinds down.
pub(crate) async fn list(
    cluster: &Cluster,
    kinds: Vec<Listable>,
    namespace: Option<&str>,
    selector: Option<&str>,
    metadata_only: bool,
) -> Result<Listing, ClusterError> {
    let requests = kinds.into_iter().map(|kind| async move {
        let found = list_kind(cluster, &kind, namespace, selector, metadata_only).await;
        (kind, found)
    });
    let mut answers = futures::stream::iter(requests).buffered(PARALLEL);
    let mut listing = Listing::default();
    while let Some((kind, found)) = answers.next().await {
        match found {
            Ok(objects) => {
                listing.objects.extend(objects.into_iter().map(|object| (kind.clone(), object)));
            }
            // Without the server or its trust every further kind would end the same way.
            Err(
                error @ (ClusterError::Unreachable { .. }
                | ClusterError::Slow { .. }
                | ClusterError::Credentials { .. }),
            ) => return Err(error),
            // What lies in namespaces cannot be told by who does not see them.
            Err(error) if kind.resource.group.is_empty() && kind.resource.plural == "namespaces" => {
                return Err(error);
            }
            // Served in discovery, but gone or not offered: nothing can be left of it.
            Err(ClusterError::Api { code: 404 | 405, .. }) => {}
            Err(error) => listing.unseen.push(error.to_string()),
        }
    }
    Ok(listing)
}

async fn list_kind(
    cluster: &Cluster,
    kind: &Listable,
    namespace: Option<&str>,
    selector: Option<&str>,
    metadata_only: bool,
) -> Result<Vec<DynamicObject>, ClusterError> {
    let client = cluster.client();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) if kind.namespaced => Api::namespaced_with(client, namespace, &kind.resource),
        _ => Api::all_with(client, &kind.resource),
    };
    // What a secret holds is nobody's business here; its name and labels say whose it is.
    let metadata_only =
        metadata_only || (kind.resource.group.is_empty() && kind.resource.plural == "secrets");
    let mut parameters = ListParams::default().limit(PAGE);
    if let Some(selector) = selector {
        parameters = parameters.labels(selector);
    }
    let mut objects = Vec::new();
    loop {
        let doing = || format!("list {}", kind.resource.plural);
        let next = if metadata_only {
            let page = api.list_metadata(&parameters).await.map_err(|error| cluster.error(doing(), error))?;
            objects.extend(page.items.into_iter().map(|object| DynamicObject {
                types: None,
                metadata: object.metadata,
                data: serde_json::Value::Null,
            }));
            page.metadata.continue_
        } else {
            let page = api.list(&parameters).await.map_err(|error| cluster.error(doing(), error))?;
            objects.extend(page.items);
            page.metadata.continue_
        };
        match next.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
