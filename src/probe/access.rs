//! Rights as the cluster tells them: every verb on every resource that it serves, asked one by one.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SelfSubjectRulesReview,
    SelfSubjectRulesReviewSpec,
};
use kube::{
    Api, Client,
    api::PostParams,
    core::discovery::v2::{APIGroupDiscoveryList, GroupVersionKind},
};

use crate::{
    oracle::{AccessRow, AccessScope, Rbac},
    profile::Rule,
};

/// Questions under way at once. The API server answers one in well under a millisecond of its own time, so that more
/// would only queue there.
const CONCURRENCY: usize = 24;

/// A resource or subresource that the cluster serves, whatever its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Served {
    /// API group; the core group is empty.
    pub group: String,
    /// `pods`, `pods/exec`.
    pub resource: String,
    /// Whether it lives in namespaces.
    pub namespaced: bool,
    /// A version that serves it.
    pub version: String,
    /// The kind of what is sent there.
    pub kind: String,
    /// What can be done with it.
    pub verbs: BTreeSet<String>,
}

/// Every resource and subresource that the cluster serves, custom and aggregated ones included.
pub async fn served(client: &Client) -> kube::Result<Vec<Served>> {
    let (core, groups) =
        futures::try_join!(client.list_core_api_versions_aggregated(), client.list_api_groups_aggregated())?;
    let mut found: Vec<Served> = Vec::new();
    for one in from_discovery(core).into_iter().chain(from_discovery(groups)) {
        // Rights know no versions: the same resource in another version adds its verbs.
        match found.iter_mut().find(|known| known.group == one.group && known.resource == one.resource) {
            Some(known) => known.verbs.extend(one.verbs),
            None => found.push(one),
        }
    }
    found.sort();
    Ok(found)
}

fn from_discovery(list: APIGroupDiscoveryList) -> Vec<Served> {
    let mut found = Vec::new();
    for group in list.items {
        let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        for version in group.versions {
            let served_version = version.version.unwrap_or_default();
            for resource in version.resources {
                let Some(plural) = resource.resource else { continue };
                let namespaced = resource.scope.as_deref() == Some("Namespaced");
                let kind = |kind: Option<GroupVersionKind>| kind.and_then(|it| it.kind).unwrap_or_default();
                let one = |resource: String, kind: String, verbs: Vec<String>| Served {
                    group: name.clone(),
                    resource,
                    namespaced,
                    version: served_version.clone(),
                    kind,
                    verbs: verbs.into_iter().collect(),
                };
                for sub in resource.subresources {
                    if let Some(sub_name) = sub.subresource {
                        found.push(one(format!("{plural}/{sub_name}"), kind(sub.response_kind), sub.verbs));
                    }
                }
                // A resource that has nothing but subresources is listed without verbs.
                if !resource.verbs.is_empty() {
                    found.push(one(plural, kind(resource.response_kind), resource.verbs));
                }
            }
        }
    }
    found
}

/// One question: may I?
#[derive(Clone, Debug)]
pub struct Question {
    scope: AccessScope,
    namespace: Option<String>,
    group: String,
    resource: String,
    verb: String,
}

/// Rights that no discovery lists, since they are verbs of authorization itself, not of a request: whoever holds one
/// of them holds the rights of others. Group, resource, whether it lives in namespaces, verbs.
/// See <https://kubernetes.io/docs/concepts/security/rbac-good-practices/>.
const AUTHORIZATION_VERBS: [(&str, &str, bool, &[&str]); 11] = [
    // Constrained impersonation asks these of a group of its own.
    ("authentication.k8s.io", "groups", false, &["impersonate:user-info"]),
    ("authentication.k8s.io", "serviceaccounts", true, &["impersonate:serviceaccount"]),
    ("authentication.k8s.io", "users", false, &["impersonate:user-info"]),
    ("", "groups", false, &["impersonate"]),
    ("", "serviceaccounts", true, &["impersonate"]),
    ("", "users", false, &["impersonate"]),
    ("authentication.k8s.io", "uids", false, &["impersonate", "impersonate:user-info"]),
    ("authentication.k8s.io", "userextras", false, &["impersonate", "impersonate:user-info"]),
    ("certificates.k8s.io", "signers", false, &["approve", "attest", "sign"]),
    ("rbac.authorization.k8s.io", "clusterroles", false, &["bind", "escalate"]),
    ("rbac.authorization.k8s.io", "roles", true, &["bind", "escalate"]),
];

/// What is served, with the verbs of authorization, and with whatever some role of the cluster grants: a policy may ask
/// the authorizer about verbs and resources that nobody serves.
fn grantable(served: &[Served], rbac: &Rbac) -> Vec<Served> {
    let mut all: BTreeMap<(String, String), Served> =
        served.iter().map(|one| ((one.group.clone(), one.resource.clone()), one.clone())).collect();
    let mut add = |group: &str, resource: &str, namespaced: bool, verb: &str| {
        all.entry((group.to_owned(), resource.to_owned()))
            .or_insert_with(|| Served {
                group: group.to_owned(),
                resource: resource.to_owned(),
                namespaced,
                version: String::new(),
                kind: String::new(),
                verbs: BTreeSet::new(),
            })
            .verbs
            .insert(verb.to_owned());
    };
    for (group, resource, namespaced, verbs) in AUTHORIZATION_VERBS {
        for verb in verbs {
            add(group, resource, namespaced, verb);
        }
    }
    for rule in rbac.roles.iter().flat_map(|role| &role.rules) {
        // A star is no word: what it grants is asked about where the thing itself is known.
        for group in rule.groups.iter().filter(|word| *word != "*") {
            for resource in rule.resources.iter().filter(|word| !word.contains('*')) {
                for verb in rule.verbs.iter().filter(|word| *word != "*") {
                    add(group, resource, true, verb);
                }
            }
        }
    }
    all.into_values().collect()
}

/// Every question about these resources, about the rights over rights, and about whatever some role grants: in the own
/// namespace, in the other one, and on the cluster. A namespace is cluster-scoped, and yet rights to it are given inside
/// it, so it is asked about everywhere.
///
/// `*` is asked as a verb too: only a rule that grants every verb, those that nobody has thought of yet included,
/// allows it.
pub fn questions(served: &[Served], rbac: &Rbac, own: &str, other: &str) -> Vec<Question> {
    let mut all = Vec::new();
    for one in &grantable(served, rbac) {
        let is_namespace = one.group.is_empty() && one.resource.split('/').next() == Some("namespaces");
        for scope in AccessScope::ALL {
            let namespace = match scope {
                AccessScope::Own => Some(own.to_owned()),
                AccessScope::Other => Some(other.to_owned()),
                AccessScope::Cluster => None,
            };
            if namespace.is_some() && !one.namespaced && !is_namespace {
                continue;
            }
            for verb in one.verbs.iter().map(String::as_str).chain(["*"]) {
                all.push(Question {
                    scope,
                    namespace: namespace.clone(),
                    group: one.group.clone(),
                    resource: one.resource.clone(),
                    verb: verb.to_owned(),
                });
            }
        }
    }
    all
}

/// Asks them all, as the client's own identity.
pub async fn ask(client: &Client, questions: Vec<Question>) -> kube::Result<Vec<AccessRow>> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut rows: Vec<AccessRow> = stream::iter(questions)
        .map(|question| {
            let reviews = reviews.clone();
            async move {
                let review = reviews.create(&PostParams::default(), &question.review()).await?;
                // Neither yes nor no is not a no.
                let untold =
                    |why: &str| kube::Error::Service(format!("the authorizer could not tell: {why}").into());
                let status = review.status.ok_or_else(|| untold("its answer has no status"))?;
                match status.evaluation_error {
                    Some(why) if !status.allowed && !status.denied.unwrap_or_default() => Err(untold(&why)),
                    _ => Ok(question.answered(status.allowed)),
                }
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    rows.sort();
    Ok(rows)
}

impl Question {
    fn review(&self) -> SelfSubjectAccessReview {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (self.resource.as_str(), None),
        };
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(self.group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    verb: Some(self.verb.clone()),
                    namespace: self.namespace.clone(),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }

    fn answered(self, allowed: bool) -> AccessRow {
        AccessRow { scope: self.scope, group: self.group, resource: self.resource, verb: self.verb, allowed }
    }
}

/// The rules that the cluster lists for the client's own identity in a namespace.
#[derive(Clone, Debug)]
pub struct ListedRules {
    /// Rules that hold for every object of a resource.
    pub rules: Vec<Rule>,
    /// Rules that hold for some objects alone, with the names of these.
    pub named: Vec<(Rule, Vec<String>)>,
    /// False where an authorizer cannot list its rules, as webhooks cannot: then the list proves nothing by absence.
    pub complete: bool,
}

impl ListedRules {
    /// Whether a rule of the list grants it.
    pub fn grants(&self, group: &str, resource: &str, verb: &str) -> bool {
        self.rules.iter().any(|rule| rule.grants(group, resource, verb))
    }
}

/// Asks for the rules of the client's own identity in a namespace.
pub async fn listed_rules(client: &Client, namespace: &str) -> kube::Result<ListedRules> {
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let question = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) },
        ..SelfSubjectRulesReview::default()
    };
    let status = reviews.create(&PostParams::default(), &question).await?.status.unwrap_or_default();
    let mut listed = ListedRules { rules: Vec::new(), named: Vec::new(), complete: !status.incomplete };
    for rule in status.resource_rules {
        let names = rule.resource_names.unwrap_or_default();
        let rule = Rule {
            api_groups: rule.api_groups.unwrap_or_default(),
            resources: rule.resources.unwrap_or_default(),
            verbs: rule.verbs,
        };
        // A rule for named objects grants nothing on the others.
        if names.is_empty() {
            listed.rules.push(rule);
        } else {
            listed.named.push((rule, names));
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{RbacRole, RbacRule};

    fn discovery() -> APIGroupDiscoveryList {
        serde_json::from_value(serde_json::json!({"items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [
                {"resource": "pods", "scope": "Namespaced", "verbs": ["get", "list"],
                 "subresources": [{"subresource": "exec", "verbs": ["create"]}]},
                {"resource": "namespaces", "scope": "Cluster", "verbs": ["get"]},
                {"resource": "nodes", "scope": "Cluster", "verbs": ["get"]},
            ]}]},
        ]}))
        .unwrap()
    }

    #[test]
    fn subresources_are_served_too() {
        let served = from_discovery(discovery());
        let names: Vec<_> = served.iter().map(|one| one.resource.as_str()).collect();
        assert_eq!(names, ["pods/exec", "pods", "namespaces", "nodes"]);
    }

    #[test]
    fn rights_over_rights_are_asked_about_though_nothing_serves_them() {
        let all = questions(&from_discovery(discovery()), &Rbac::default(), "a", "b");
        let asked = |resource: &str, verb: &str| {
            all.iter()
                .filter(|one| one.resource == resource && one.verb == verb)
                .map(|one| one.scope)
                .collect::<Vec<_>>()
        };
        assert_eq!(asked("roles", "escalate"), AccessScope::ALL);
        assert_eq!(asked("serviceaccounts", "impersonate"), AccessScope::ALL);
        assert_eq!(asked("users", "impersonate"), [AccessScope::Cluster]);
        assert_eq!(asked("signers", "approve"), [AccessScope::Cluster]);
    }

    #[test]
    fn what_some_role_grants_is_asked_about_though_nothing_serves_it() {
        let words = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<String>>();
        let rule = RbacRule {
            groups: words(&["platform.example.com", "*"]),
            resources: words(&["guardrails", "*"]),
            verbs: words(&["bypass", "*"]),
            ..RbacRule::default()
        };
        let role = RbacRole { rules: vec![rule], ..RbacRole::default() };
        let rbac = Rbac { roles: vec![role], bindings: Vec::new() };
        let all = questions(&from_discovery(discovery()), &rbac, "a", "b");
        let asked = all.iter().filter(|one| one.resource == "guardrails" && one.verb == "bypass");
        assert_eq!(asked.map(|one| one.scope).collect::<Vec<_>>(), AccessScope::ALL);
        assert!(all.iter().all(|one| one.resource != "*" && one.group != "*"));
    }

    #[test]
    fn each_resource_is_asked_about_where_it_can_be_granted() {
        let all = questions(&from_discovery(discovery()), &Rbac::default(), "a", "b");
        let count = |resource: &str| all.iter().filter(|one| one.resource == resource).count();
        // Verbs and `*`, times three scopes or one.
        assert_eq!([count("pods"), count("pods/exec"), count("namespaces"), count("nodes")], [9, 6, 6, 2]);
        let review = all.iter().find(|one| one.resource == "pods/exec").unwrap().review();
        let attributes = review.spec.resource_attributes.unwrap();
        assert_eq!(attributes.resource.as_deref(), Some("pods"));
        assert_eq!(attributes.subresource.as_deref(), Some("exec"));
    }
}
