//! What RBAC knows on a cluster.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject as BoundSubject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, ObjectMeta};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::{Cluster, ClusterError};
use crate::oracle::{Collects, Rbac, RbacBinding, RbacRole, RbacRule, Subject};
use crate::profile::SubjectKind;

/// How many objects one answer may hold.
const PAGE: u32 = 500;

/// Reads every role and every binding.
pub async fn rbac(cluster: &Cluster) -> Result<Rbac, ClusterError> {
    let (whole, namespaced, wide, narrow) = futures::try_join!(
        all::<ClusterRole>(cluster),
        all::<Role>(cluster),
        all::<ClusterRoleBinding>(cluster),
        all::<RoleBinding>(cluster),
    )?;
    let mut roles: Vec<RbacRole> = whole
        .into_iter()
        .map(|one| {
            let collects = one.aggregation_rule.and_then(|rule| rule.cluster_role_selectors);
            RbacRole {
                collects: collects.into_iter().flatten().map(selector).collect(),
                ..role(one.metadata, one.rules)
            }
        })
        .collect();
    roles.extend(namespaced.into_iter().map(|one| role(one.metadata, one.rules)));
    let mut bindings: Vec<RbacBinding> =
        wide.into_iter().map(|one| binding(one.metadata, one.role_ref, one.subjects)).collect();
    bindings.extend(narrow.into_iter().map(|one| binding(one.metadata, one.role_ref, one.subjects)));
    Ok(Rbac { roles, bindings })
}

async fn all<K>(cluster: &Cluster) -> Result<Vec<K>, ClusterError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(cluster.client());
    let mut parameters = ListParams::default().limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api
            .list(&parameters)
            .await
            .map_err(|error| cluster.error(format!("list {}", K::plural(&())), error))?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn role(metadata: ObjectMeta, rules: Option<Vec<PolicyRule>>) -> RbacRole {
    RbacRole {
        namespace: metadata.namespace,
        name: metadata.name.unwrap_or_default(),
        labels: metadata.labels.unwrap_or_default(),
        rules: rules.into_iter().flatten().map(rule).collect(),
        collects: Vec::new(),
    }
}

fn rule(rule: PolicyRule) -> RbacRule {
    RbacRule {
        groups: rule.api_groups.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
        names: rule.resource_names.unwrap_or_default(),
        paths: rule.non_resource_urls.unwrap_or_default(),
        verbs: rule.verbs,
    }
}

fn selector(selector: LabelSelector) -> Collects {
    let mut collects = Collects { labels: selector.match_labels.unwrap_or_default(), ..Collects::default() };
    for one in selector.match_expressions.into_iter().flatten() {
        let values: BTreeSet<String> = one.values.into_iter().flatten().collect();
        match one.operator.as_str() {
            "In" => collects.any_of.push((one.key, values)),
            "NotIn" => collects.none_of.push((one.key, values)),
            "Exists" => collects.present.push(one.key),
            // The API server admits no fifth operator.
            _ => collects.absent.push(one.key),
        }
    }
    collects
}

fn binding(metadata: ObjectMeta, role: RoleRef, subjects: Option<Vec<BoundSubject>>) -> RbacBinding {
    RbacBinding {
        role_namespace: metadata.namespace.clone().filter(|_| role.kind == "Role"),
        namespace: metadata.namespace,
        name: metadata.name.unwrap_or_default(),
        role: role.name,
        subjects: subjects.into_iter().flatten().map(subject).collect(),
    }
}

fn subject(subject: BoundSubject) -> Subject {
    match subject.kind.as_str() {
        "User" => Subject::user(subject.name),
        "ServiceAccount" => Subject::account(&subject.namespace.unwrap_or_default(), &subject.name),
        _ => Subject { kind: SubjectKind::Group, name: subject.name },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_read_as_the_authorizer_reads_them() {
        let object: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "b", "namespace": "alpha"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccount:x:y"},
                {"kind": "ServiceAccount", "namespace": "alpha", "name": "default"},
                {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "g"},
            ],
        }))
        .unwrap();
        let read = binding(object.metadata, object.role_ref, object.subjects);
        assert_eq!(read.to_string(), "RoleBinding alpha/b to ClusterRole view");
        let subjects: Vec<_> = read.subjects.iter().map(ToString::to_string).collect();
        assert_eq!(subjects, ["service account x/y", "service account alpha/default", "group g"]);
    }
}
