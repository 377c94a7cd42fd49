//! The ways by which a tenant would get hold of namespaces, and of what lies in them, that are not its own.

use http::Method;
use serde_json::{Value, json};

use super::ways::Way;

/// Whom and what the requests name.
#[derive(Clone, Debug)]
pub struct Prey {
    /// The tenant's id, as its owner label says.
    pub own_owner: String,
    /// The other tenant's.
    pub other_owner: String,
    /// The key of the owner label.
    pub owner_key: String,
    /// The tenant's namespace, as it stands.
    pub own: Value,
    /// The other tenant's, as it stands.
    pub other: Value,
    /// A pod of the other tenant.
    pub other_pod: String,
    /// A namespace of the platform.
    pub system: String,
}

const NAME: &str = "plimsoll-takeover";
const NAMESPACES: &str = "/api/v1/namespaces";
const LEVEL: &str = "pod-security.kubernetes.io/enforce";

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// A label's key inside a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Prey {
    fn path(&self) -> String {
        format!("{NAMESPACES}/{}", name(&self.other))
    }

    /// The other's namespace under the tenant's own label.
    fn stolen(&self) -> Value {
        let mut object = self.other.clone();
        object["metadata"]["labels"][&self.owner_key] = json!(self.own_owner);
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        object["apiVersion"] = json!("v1");
        object["kind"] = json!("Namespace");
        object
    }

    fn label(&self) -> Value {
        json!({"metadata": {"labels": {&self.owner_key: self.own_owner}}})
    }

    /// By ordinary writes of the object.
    pub fn overwrite(&self) -> Vec<Way> {
        let (path, other) = (self.path(), name(&self.other));
        let pointer = format!("/metadata/labels/{}", escaped(&self.owner_key));
        vec![
            Way::replace(format!("put its own name on {other} by an update"), &path, self.stolen()),
            Way::json(
                format!("put its own name on {other} by a JSON patch"),
                &path,
                json!([{"op": "replace", "path": pointer, "value": self.own_owner}]),
            ),
            Way::json(
                format!("take the owner off {other} by a JSON patch"),
                &path,
                json!([{"op": "remove", "path": pointer}]),
            ),
            Way::merge(format!("put its own name on {other} by a merge patch"), &path, self.label()),
            Way::strategic(format!("put its own name on {other} by a strategic patch"), &path, self.label()),
        ]
    }

    /// By server-side apply.
    pub fn apply(&self) -> Vec<Way> {
        let (path, other) = (self.path(), name(&self.other));
        let mut object = self.label();
        object["apiVersion"] = json!("v1");
        object["kind"] = json!("Namespace");
        object["metadata"]["name"] = json!(other);
        let nothing = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}});
        let mut ways = vec![Way::apply(
            format!("put its own name on {other} by a forced apply"),
            &path,
            None,
            object.clone(),
        )];
        let managers = self.other["metadata"]["managedFields"].as_array().into_iter().flatten();
        let applied = managers.filter(|entry| entry["operation"] == "Apply");
        for manager in applied.filter_map(|entry| entry["manager"].as_str()) {
            ways.push(Way::apply(
                format!("put its own name on {other} as the field manager {manager}"),
                &path,
                Some(manager),
                object.clone(),
            ));
            // What a manager does not apply again is taken away.
            ways.push(Way::apply(
                format!("take every label off {other} as the field manager {manager}"),
                &path,
                Some(manager),
                nothing.clone(),
            ));
        }
        ways
    }

    /// By subresources, which guards of the object itself do not look at.
    pub fn subresources(&self) -> Vec<Way> {
        let mut lowered = self.own.clone();
        lowered["metadata"]["labels"][LEVEL] = json!("privileged");
        if let Some(metadata) = lowered["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        lowered["apiVersion"] = json!("v1");
        lowered["kind"] = json!("Namespace");
        let (own, other) = (name(&self.own), name(&self.other));
        let lower = json!({"metadata": {"labels": {LEVEL: "privileged"}}});
        let mut ways = Vec::new();
        for sub in ["status", "finalize"] {
            let of = |namespace: &str| format!("{NAMESPACES}/{namespace}/{sub}");
            ways.push(Way::replace(
                format!("put its own name on {other} through {sub}"),
                &of(other),
                self.stolen(),
            ));
            ways.push(Way::replace(
                format!("lower the pod security of {own} through {sub}"),
                &of(own),
                lowered.clone(),
            ));
        }
        for (namespace, patch) in [(other, self.label()), (own, lower)] {
            let path = format!("{NAMESPACES}/{namespace}/status");
            ways.push(Way::merge(
                format!("patch the labels of {namespace} through status"),
                &path,
                patch.clone(),
            ));
            ways.push(Way::strategic(
                format!("patch the labels of {namespace} strategically through status"),
                &path,
                patch,
            ));
        }
        ways
    }

    /// By references and labels that say whose something is.
    pub fn forge(&self) -> Vec<Way> {
        let (own, other) = (name(&self.own), name(&self.other));
        let owned_by = |owner: &Value| {
            json!({"metadata": {"ownerReferences": [{
                "apiVersion": "v1", "kind": "Namespace", "name": name(owner), "uid": owner["metadata"]["uid"],
            }]}})
        };
        let of = |namespace: &str| format!("{NAMESPACES}/{namespace}");
        vec![
            Way::merge(format!("make {other} a dependent of {own}"), &of(other), owned_by(&self.own)),
            Way::merge(format!("make {own} a dependent of {other}"), &of(own), owned_by(&self.other)),
            Way::merge(
                format!("give {own} to the tenant of {other}"),
                &of(own),
                json!({"metadata": {"labels": {&self.owner_key: self.other_owner}}}),
            ),
            Way::merge(
                format!("put its own name on the platform's namespace {}", self.system),
                &of(&self.system),
                self.label(),
            ),
            Way::merge(
                format!("give {other} the name label of {}", self.system),
                &of(other),
                json!({"metadata": {"annotations": {"plimsoll.dev/tried": "forge"},
                    "labels": {"kubernetes.io/metadata.name": self.system}}}),
            ),
        ]
    }

    /// By new namespaces.
    pub fn make(&self) -> Vec<Way> {
        let namespace =
            |metadata: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let other = name(&self.other);
        vec![
            Way::create("make a namespace of nobody's", NAMESPACES, namespace(json!({"name": NAME}))),
            Way::create(
                "make a namespace under its own name",
                NAMESPACES,
                namespace(json!({"name": NAME, "labels": {&self.owner_key: self.own_owner}})),
            ),
            Way::create(
                "make a namespace under the name of another tenant",
                NAMESPACES,
                namespace(json!({"name": NAME, "labels": {&self.owner_key: self.other_owner}})),
            ),
            Way::create(
                "make a namespace whose name is made up for it",
                NAMESPACES,
                namespace(json!({"generateName": format!("{other}-")})),
            ),
            Way::create(
                "make a namespace that passes for one of the platform",
                NAMESPACES,
                namespace(json!({"name": NAME, "labels": {"kubernetes.io/metadata.name": self.system}})),
            ),
            Way::create(
                "make a namespace without pod security",
                NAMESPACES,
                namespace(json!({"name": NAME, "labels": {
                    &self.owner_key: self.own_owner, LEVEL: "privileged",
                }})),
            ),
        ]
    }

    /// By writing into it.
    pub fn write_into(&self) -> Vec<Way> {
        let other = name(&self.other);
        let of = |resource: &str| format!("{NAMESPACES}/{other}/{resource}");
        let pod = of(&format!("pods/{}", self.other_pod));
        let map = |metadata: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        let own_uid = &self.own["metadata"]["uid"];
        vec![
            Way::create(
                format!("create an object in {other}"),
                &of("configmaps"),
                map(json!({"name": NAME})),
            ),
            Way::create(
                format!("create an object in {other} whose name is made up for it"),
                &of("configmaps"),
                map(json!({"generateName": "plimsoll-"})),
            ),
            Way::create(
                format!("create an object in {other} that its own namespace owns"),
                &of("configmaps"),
                map(json!({"name": NAME, "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Namespace", "name": name(&self.own), "uid": own_uid,
                }]})),
            ),
            Way::apply(
                format!("apply an object into {other}"),
                &of(&format!("configmaps/{NAME}")),
                None,
                map(json!({"name": NAME})),
            ),
            Way::merge(
                format!("label a pod of {other}"),
                &pod,
                json!({"metadata": {"labels": {"plimsoll.dev/tried": "label"}}}),
            ),
            Way::merge(
                format!("say what state a pod of {other} is in"),
                &format!("{pod}/status"),
                json!({"status": {"message": "tried"}}),
            ),
            Way::ask(
                format!("place a pod of {other} on a node"),
                Method::POST,
                &format!("{pod}/binding?dryRun=All"),
                json!({
                    "apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.other_pod},
                    "target": {"kind": "Node", "name": "plimsoll-none"},
                }),
            ),
        ]
    }

    /// By removing what lies there.
    pub fn remove(&self) -> Vec<Way> {
        let other = name(&self.other);
        let of = |resource: &str| format!("{NAMESPACES}/{other}/{resource}");
        vec![
            Way::delete(format!("delete the namespace {other}"), &self.path()),
            Way::delete(format!("delete a pod of {other}"), &of(&format!("pods/{}", self.other_pod))),
            Way::delete(
                format!("delete the pods of {other} by a label"),
                &of("pods?labelSelector=plimsoll.dev%2Fnever"),
            ),
            Way::delete(
                format!("delete the secrets of {other} by a label"),
                &of("secrets?labelSelector=plimsoll.dev%2Fnever"),
            ),
            Way::ask(
                format!("evict a pod of {other}"),
                Method::POST,
                &of(&format!("pods/{}/eviction?dryRun=All", self.other_pod)),
                json!({
                    "apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": {"name": self.other_pod, "namespace": other},
                    "deleteOptions": {"dryRun": ["All"]},
                }),
            ),
        ]
    }
}
