//! Server-side apply of objects of any kind, in an order that works.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client};
use serde::Deserialize as _;
use thiserror::Error;

use super::{Cluster, ClusterError, Ownership, objects::reference_of};

/// The field manager of everything that we apply.
pub const FIELD_MANAGER: &str = "plimsoll";

/// Manifests that cannot be applied as they are.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// Not YAML, or not an object.
    #[error("{file}: document {document} is not a Kubernetes object: {why}")]
    NotAnObject {
        /// The file.
        file: String,
        /// Which document of it, from 1.
        document: usize,
        /// Why.
        why: String,
    },
    /// A placeholder that nobody fills in.
    #[error("{file}:{line}: unknown placeholder `${{{name}}}`; there are {}", .known.iter().map(|name| format!("`${{{name}}}`")).collect::<Vec<_>>().join(", "))]
    UnknownPlaceholder {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The placeholder.
        name: String,
        /// Those that are filled in.
        known: Vec<String>,
    },
}

/// Reads the objects of a manifest after filling in its `${placeholders}`. Comments are left as they are.
pub fn parse_manifests(
    file: &str,
    text: &str,
    values: &BTreeMap<String, String>,
) -> Result<Vec<DynamicObject>, ApplyError> {
    let filled = fill(file, text, values)?;
    let mut objects = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(&filled).enumerate() {
        let wrong = |why: String| ApplyError::NotAnObject { file: file.to_owned(), document: index + 1, why };
        let value = serde_json::Value::deserialize(document).map_err(|error| wrong(error.to_string()))?;
        if value.is_null() {
            continue;
        }
        let object: DynamicObject =
            serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        if object.types.is_none() {
            return Err(wrong("`apiVersion` and `kind` are missing".to_owned()));
        }
        if object.metadata.name.is_none() {
            return Err(wrong("`metadata.name` is missing".to_owned()));
        }
        objects.push(object);
    }
    Ok(objects)
}

fn fill(file: &str, text: &str, values: &BTreeMap<String, String>) -> Result<String, ApplyError> {
    let mut filled = String::with_capacity(text.len());
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            filled.push('\n');
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                filled.push_str("${");
                rest = after;
                continue;
            };
            let value = values.get(name).ok_or_else(|| ApplyError::UnknownPlaceholder {
                file: file.to_owned(),
                line: index + 1,
                name: name.to_owned(),
                known: values.keys().cloned().collect(),
            })?;
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        filled.push('\n');
    }
    Ok(filled)
}

/// Applies objects through the given client, each stamped as ours. What others build upon goes first: namespaces
/// and definitions, then access, limits and policies, then workloads; what is of one rank goes at once.
pub async fn apply(
    cluster: &Cluster,
    client: &Client,
    ownership: Option<&Ownership>,
    objects: Vec<DynamicObject>,
) -> Result<Vec<DynamicObject>, ClusterError> {
    let discovery = cluster.discovery().await?;
    let mut ranked: BTreeMap<u8, Vec<DynamicObject>> = BTreeMap::new();
    for mut object in objects {
        if let Some(ownership) = ownership {
            ownership.stamp(&mut object.metadata);
        }
        let kind = object.types.as_ref().map_or("", |types| types.kind.as_str());
        ranked.entry(rank(kind)).or_default().push(object);
    }
    let mut applied = Vec::new();
    for (_, objects) in ranked {
        let requests = objects.into_iter().map(|object| apply_one(cluster, client, &discovery, object));
        applied.extend(try_join_all(requests).await?);
    }
    Ok(applied)
}

async fn apply_one(
    cluster: &Cluster,
    client: &Client,
    discovery: &Discovery,
    mut object: DynamicObject,
) -> Result<DynamicObject, ClusterError> {
    let doing = format!("apply {}", reference_of(&object));
    let api = api_for(client, discovery, &mut object).ok_or_else(|| ClusterError::Api {
        doing: doing.clone(),
        code: 0,
        message: "the API server does not serve this kind".to_owned(),
    })?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(&object)).await.map_err(|error| cluster.error(doing, error))
}

/// The interface for an object's kind and namespace; `None` where the server does not serve the kind.
fn api_for(client: &Client, discovery: &Discovery, object: &mut DynamicObject) -> Option<Api<DynamicObject>> {
    let gvk = GroupVersionKind::try_from(object.types.as_ref()?).ok()?;
    let (resource, capabilities) = discovery.resolve_gvk(&gvk)?;
    Some(match (capabilities.scope, &mut object.metadata.namespace) {
        (Scope::Cluster, namespace) => {
            *namespace = None;
            Api::all_with(client.clone(), &resource)
        }
        (Scope::Namespaced, namespace) => {
            let namespace = namespace.get_or_insert_with(|| client.default_namespace().to_owned());
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    })
}

fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" | "CustomResourceDefinition" => 0,
        // An account's pods may start as soon as it is there, so what closes them comes with it, not after.
        "Pod" | "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "CronJob" => 3,
        "ValidatingAdmissionPolicyBinding"
        | "MutatingAdmissionPolicyBinding"
        | "RoleBinding"
        | "ClusterRoleBinding" => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        BTreeMap::from([("tenant".to_owned(), "plim-x7k2-alpha".to_owned())])
    }

    #[test]
    fn fills_in_and_skips_empty_documents() {
        let text = "# ${whatever} in a comment\napiVersion: v1\nkind: Namespace\nmetadata: {name: \"${tenant}\"}\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: \"${tenant}\"}\n";
        let objects = parse_manifests("a.yaml", text, &values()).unwrap();
        let names: Vec<String> = objects.iter().map(reference_of).collect();
        assert_eq!(names, ["v1/Namespace plim-x7k2-alpha", "v1/ConfigMap plim-x7k2-alpha/x"]);
    }

    #[test]
    fn says_where_a_manifest_is_wrong() {
        let wrong = |text: &str| parse_manifests("a.yaml", text, &values()).unwrap_err().to_string();
        insta::assert_snapshot!(
            [wrong("a: 1\nb: ${tennant}\n"), wrong("a: 1\n"), wrong("kind: X\napiVersion: v1\n"), wrong("a: [\n")].join("\n"),
            @r"
        a.yaml:2: unknown placeholder `${tennant}`; there are `${tenant}`
        a.yaml: document 1 is not a Kubernetes object: `apiVersion` and `kind` are missing
        a.yaml: document 1 is not a Kubernetes object: `metadata.name` is missing
        a.yaml: document 1 is not a Kubernetes object: did not find expected node content at line 2 column 1, while parsing a flow node
        "
        );
    }
}
