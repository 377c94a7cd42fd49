//! APIs that the API server lists and cannot ask just now. Whatever they hold is seen by nobody meanwhile, and no list
//! that was made then is whole.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::core::discovery::v2::APIGroupDiscoveryList;
use serde_json::Value;

use super::{Cluster, ClusterError};

/// Every API that does not answer, one line each with its reason.
pub async fn silent_apis(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let kind = GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService");
    let api: Api<DynamicObject> = Api::all_with(cluster.client(), &ApiResource::from_gvk(&kind));
    let mut silent = match api.list(&ListParams::default()).await {
        Ok(list) => list.items.iter().filter_map(unavailable).collect(),
        // Without an aggregator there is nothing to be aggregated.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(cluster.error("list the APIs that are served by others", error)),
    };
    // Servers before 1.30 may not say how fresh their discovery is.
    if let Ok(groups) = cluster.client().list_api_groups_aggregated().await {
        for (api, line) in stale(&groups) {
            if !silent.iter().any(|known: &String| known.starts_with(&api)) {
                silent.push(line);
            }
        }
    }
    silent.sort();
    Ok(silent)
}

/// Why an API is not available; none where it is.
fn unavailable(service: &DynamicObject) -> Option<String> {
    let name = service.metadata.name.clone().unwrap_or_default();
    let (version, group) = name.split_once('.').unwrap_or((&name, ""));
    let conditions = service.data.pointer("/status/conditions").and_then(Value::as_array);
    let available = conditions.into_iter().flatten().find(|condition| condition["type"] == "Available");
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    match available {
        Some(condition) if condition["status"] == "True" => None,
        Some(condition) => Some(format!(
            "{group}/{version} does not answer: {}: {}",
            text(condition, "reason"),
            text(condition, "message")
        )),
        None => Some(format!("{group}/{version} does not answer: nobody has asked it yet")),
    }
}

/// Versions whose list of resources the API server could not renew, each with its line.
fn stale(groups: &APIGroupDiscoveryList) -> Vec<(String, String)> {
    let mut stale = Vec::new();
    for group in &groups.items {
        let name = group.metadata.as_ref().and_then(|metadata| metadata.name.clone()).unwrap_or_default();
        for version in group.versions.iter().filter(|one| one.freshness.as_deref() == Some("Stale")) {
            let version = version.version.clone().unwrap_or_default();
            let api = format!("{name}/{version} ");
            let line = format!("{api}does not answer: its discovery is stale");
            stale.push((api, line));
        }
    }
    stale
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_api_that_does_not_answer_is_named_with_its_reason() {
        let service = |conditions: Value| -> DynamicObject {
            serde_json::from_value(json!({
                "metadata": {"name": "v1beta1.metrics.k8s.io"}, "status": {"conditions": conditions},
            }))
            .unwrap()
        };
        let up = service(json!([{"type": "Available", "status": "True"}]));
        assert_eq!(unavailable(&up), None);
        let down = service(json!([
            {"type": "Available", "status": "False", "reason": "ServiceNotFound", "message": "no such service"},
        ]));
        insta::assert_snapshot!(unavailable(&down).unwrap(), @"metrics.k8s.io/v1beta1 does not answer: ServiceNotFound: no such service");
        assert!(unavailable(&service(json!([]))).is_some());
    }

    #[test]
    fn a_stale_version_is_named() {
        let groups: APIGroupDiscoveryList = serde_json::from_value(json!({"items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current"}]},
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [{"version": "v1beta1", "freshness": "Stale"}]},
        ]}))
        .unwrap();
        let lines: Vec<_> = stale(&groups).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["metrics.k8s.io/v1beta1 does not answer: its discovery is stale"]);
    }
}
