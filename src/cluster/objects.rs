//! Small helpers around objects of any kind.

use kube::api::{ApiResource, DynamicObject};
use kube::core::{Resource, TypeMeta};
use serde::Serialize;
use serde_json::Value;

/// `v1/Pod plim-x7k2-alpha/web`, as in reports.
pub fn reference(types: Option<&TypeMeta>, namespace: Option<&str>, name: &str) -> String {
    let kind =
        types.map_or_else(|| "object".to_owned(), |types| format!("{}/{}", types.api_version, types.kind));
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The reference of an object of any kind.
pub(super) fn reference_of(object: &DynamicObject) -> String {
    reference(
        object.types.as_ref(),
        object.metadata.namespace.as_deref(),
        object.metadata.name.as_deref().unwrap_or_default(),
    )
}

/// A typed object as one of any kind.
pub fn dynamic<K>(object: &K) -> Result<DynamicObject, serde_json::Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let mut value = serde_json::to_value(object)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), K::api_version(&()).into_owned().into());
        fields.insert("kind".to_owned(), K::kind(&()).into_owned().into());
    }
    serde_json::from_value(value)
}

/// The reference of an object that a listing gave, where kind and version stand on the list only.
pub(super) fn reference_in(resource: &ApiResource, namespace: Option<&str>, name: &str) -> String {
    let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
    reference(Some(&types), namespace, name)
}

/// Applies a JSON merge patch (RFC 7386).
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, change) in changes {
                if change.is_null() {
                    fields.remove(key);
                } else {
                    merge(fields.entry(key.clone()).or_insert(Value::Null), change);
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}
