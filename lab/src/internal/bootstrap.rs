//! The first objects of a new cluster: rights of the lab's own parts, and its nodes.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeSpec};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use crate::address;
use crate::apply::apply_all;
use crate::error::{Context as _, LabError, Result};
use crate::manifests;
use crate::patience::{LOOK_AGAIN, Patience};

/// How long the API server may take.
const API_START: Duration = Duration::from_secs(180);

/// Waits until the API server says that it is ready.
pub(super) async fn await_apiserver(client: &Client, patience: Patience) -> Result<()> {
    let limit = API_START * patience;
    let deadline = Instant::now() + limit;
    loop {
        let last_seen = match ready(client).await {
            Ok(answer) if answer == "ok" => return Ok(()),
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(LabError::Timeout { what: "a ready API server".into(), limit, last_seen });
        }
        tokio::time::sleep(LOOK_AGAIN * patience).await;
    }
}

async fn ready(client: &Client) -> Result<String> {
    let request = http::Request::get("/readyz")
        .body(Vec::new())
        .map_err(|error| LabError::component("kube-apiserver", error.to_string()))?;
    client.request_text(request).await.context(|| "asking the API server whether it is ready")
}

/// Applies the rights that the lab's own parts need.
pub(super) async fn apply_rights(client: &Client, patience: Patience) -> Result<()> {
    apply_all(client, &manifests::bootstrap()?, patience).await
}

/// Declares a node before its kubelet does, so that its pod range is the one that its network is configured with and
/// not the next one free.
pub(super) async fn declare_node(client: &Client, name: &str, index: u16) -> Result<()> {
    let range = address::pod_range(index);
    let node = Node {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: Some(NodeSpec {
            pod_cidr: Some(range.clone()),
            pod_cidrs: Some(vec![range]),
            ..NodeSpec::default()
        }),
        ..Node::default()
    };
    let nodes = Api::<Node>::all(client.clone());
    match nodes.create(&PostParams::default(), &node).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        outcome => drop(outcome.context(|| format!("declaring {name}"))?),
    }
    // The kubelet will report the same; kube-proxy, which starts at the same time, need not wait for it.
    let addresses = json!({ "status": { "addresses": [
        { "type": "InternalIP", "address": address::node(index).to_string() },
        { "type": "Hostname", "address": name },
    ] } });
    nodes
        .patch_status(name, &PatchParams::default(), &Patch::Merge(addresses))
        .await
        .map(drop)
        .context(|| format!("declaring the address of {name}"))
}
