//! Everything on the cluster that has to do with a tenant.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use serde_json::Value;

use super::{Tenant, TenantError};
use crate::cluster::{listing, reference, silent_apis};

/// One object that has to do with a tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InventoryItem {
    /// `rbac.authorization.k8s.io/v1/ClusterRoleBinding auditors`.
    pub reference: String,
    /// How it is tied to the tenant: `is its namespace`, `lies in its namespace`, `names it`.
    pub tie: &'static str,
}

/// Everything on the cluster that has to do with a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The objects, sorted.
    pub items: Vec<InventoryItem>,
    /// Kinds that could not be looked at, one line each: there may be more.
    pub unseen: Vec<String>,
}

impl Inventory {
    /// The references alone.
    pub fn references(&self) -> BTreeSet<&str> {
        self.items.iter().map(|item| item.reference.as_str()).collect()
    }
}

impl Tenant {
    /// Looks at every object of every kind: those in its namespaces, and those anywhere that name it, be it as a
    /// subject of a binding, as the claim of a volume, in a label or in their own name. The tenant's id occurs
    /// nowhere else, so its text is the tie.
    pub async fn inventory(&self) -> Result<Inventory, TenantError> {
        let doing = || TenantError::cluster(format!("take the inventory of tenant {}", self.name()));
        let cluster = self.cluster();
        let discovery = cluster.discovery().await.map_err(doing())?;
        let kinds = listing::kinds(&discovery);
        let mut listing = listing::list(cluster, kinds, None, None, false).await.map_err(doing())?;
        // What an API that does not answer holds is in no listing, and its kinds may not even be known.
        listing.unseen.extend(silent_apis(cluster).await.map_err(doing())?);
        let mut items: Vec<InventoryItem> = listing
            .objects
            .iter()
            .filter_map(|(kind, object)| {
                let namespace = object.metadata.namespace.as_deref();
                let name = object.name_any();
                let is_namespace = kind.resource.group.is_empty() && kind.resource.kind == "Namespace";
                let tie = if is_namespace && self.namespaces().contains(&name) {
                    "is its namespace"
                } else if namespace
                    .is_some_and(|namespace| self.namespaces().iter().any(|own| own == namespace))
                {
                    "lies in its namespace"
                } else if names(
                    object.metadata.labels.as_ref(),
                    &name,
                    &object.data,
                    self.id(),
                    self.namespaces(),
                ) {
                    "names it"
                } else {
                    return None;
                };
                let types = kube::core::TypeMeta {
                    api_version: kind.resource.api_version.clone(),
                    kind: kind.resource.kind.clone(),
                };
                Some(InventoryItem { reference: reference(Some(&types), namespace, &name), tie })
            })
            .collect();
        items.sort();
        items.dedup();
        Ok(Inventory { items, unseen: listing.unseen })
    }
}

fn names(
    labels: Option<&std::collections::BTreeMap<String, String>>,
    name: &str,
    data: &Value,
    id: &str,
    namespaces: &[String],
) -> bool {
    let mentions = |text: &str| mentions(text, id) || namespaces.iter().any(|own| mentions(text, own));
    mentions(name)
        || labels.is_some_and(|labels| labels.values().any(|value| mentions(value)))
        || any_text(data, &mentions)
}

/// Whether the id stands in the text as a word of its own: `alpha-2` does not mention `alpha`, though
/// `tenant:alpha:admins` does.
fn mentions(text: &str, id: &str) -> bool {
    let part = |sign: char| sign.is_ascii_alphanumeric() || sign == '-';
    text.match_indices(id).any(|(start, found)| {
        !text[..start].ends_with(part) && {
            let after = &text[start + found.len()..];
            // `alpha-admin` is somebody of alpha's, `alpha-2` would be another tenant: digits tell them apart.
            !after.starts_with(|sign: char| sign.is_ascii_alphanumeric())
                && !after
                    .strip_prefix('-')
                    .is_some_and(|rest| rest.starts_with(|sign: char| sign.is_ascii_digit()))
        }
    })
}

fn any_text(value: &Value, holds: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => holds(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, holds)),
        Value::Object(fields) => fields.values().any(|field| any_text(field, holds)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tenant_is_mentioned_as_a_word() {
        let id = "plim-x7k2-alpha";
        for text in
            ["plim-x7k2-alpha", "tenant:plim-x7k2-alpha:admins", "plim-x7k2-alpha-admin", "a/plim-x7k2-alpha"]
        {
            assert!(mentions(text, id), "{text}");
        }
        for text in ["plim-x7k2-alphabet", "plim-x7k2-alpha-2", "xplim-x7k2-alpha", "alpha"] {
            assert!(!mentions(text, id), "{text}");
        }
    }

    #[test]
    fn bindings_and_volumes_name_it_deep_inside() {
        let id = "plim-x7k2-alpha";
        let own = vec![id.to_owned()];
        let binding = json!({"subjects": [{"kind": "Group", "name": "tenant:plim-x7k2-alpha:admins"}]});
        assert!(names(None, "auditors", &binding, id, &own));
        let volume = json!({"spec": {"claimRef": {"namespace": "plim-x7k2-alpha", "name": "data"}}});
        assert!(names(None, "pv-1", &volume, id, &own));
        assert!(!names(None, "pv-1", &json!({"spec": {}}), id, &own));
    }
}
