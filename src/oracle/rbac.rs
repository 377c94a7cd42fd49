//! Roles and bindings, read as the RBAC authorizer reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::profile::SubjectKind;

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RbacRule {
    /// API groups; the core group is empty, `*` is every one.
    pub groups: Vec<String>,
    /// Resources and subresources: `pods`, `pods/exec`, `*/status`, `*`.
    pub resources: Vec<String>,
    /// Names of objects; none stands for all.
    pub names: Vec<String>,
    /// Paths that are no resources: `/metrics`, `/healthz/*`.
    pub paths: Vec<String>,
    /// Verbs; `*` is every one.
    pub verbs: Vec<String>,
}

impl RbacRule {
    /// Whether it grants the verb on the resource, of some object at least.
    pub fn grants(&self, group: &str, resource: &str, verb: &str) -> bool {
        let subresource = resource.split_once('/').map(|(_, sub)| sub);
        let holds = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        holds(&self.groups, group)
            && holds(&self.verbs, verb)
            && self.resources.iter().any(|known| {
                known == "*"
                    || known == resource
                    || matches!((known.strip_prefix("*/"), subresource), (Some(wanted), Some(sub)) if wanted == sub)
            })
    }

    /// Whether it grants everything that there is or ever will be.
    pub fn is_everything(&self) -> bool {
        let star = |list: &[String]| list.iter().any(|one| one == "*");
        star(&self.groups) && star(&self.resources) && star(&self.verbs) && self.names.is_empty()
    }
}

/// Which other roles a role collects: labels that these must all have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collects {
    /// Keys and values.
    pub labels: BTreeMap<String, String>,
    /// Keys with the values that each may have.
    pub any_of: Vec<(String, BTreeSet<String>)>,
    /// Keys with the values that each must not have.
    pub none_of: Vec<(String, BTreeSet<String>)>,
    /// Keys that must be there.
    pub present: Vec<String>,
    /// Keys that must not be there.
    pub absent: Vec<String>,
}

impl Collects {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.any_of.iter().all(|(key, values)| labels.get(key).is_some_and(|it| values.contains(it)))
            && self.none_of.iter().all(|(key, values)| labels.get(key).is_none_or(|it| !values.contains(it)))
            && self.present.iter().all(|key| labels.contains_key(key))
            && self.absent.iter().all(|key| !labels.contains_key(key))
    }
}

/// A `Role`, or without a namespace a `ClusterRole`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RbacRole {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its own rules, as stored.
    pub rules: Vec<RbacRule>,
    /// The roles whose rules are added to its own, where it collects any.
    pub collects: Vec<Collects>,
}

/// Somebody who is bound to a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// User, group or service account.
    pub kind: SubjectKind,
    /// Its name; of a service account with its namespace: `kube-system/default`.
    pub name: String,
}

impl Subject {
    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: SubjectKind::Group, name: name.into() }
    }

    /// A user. The user name of a service account stands for the account.
    pub fn user(name: impl Into<String>) -> Self {
        let name = name.into();
        match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
            Some((namespace, account)) => Self::account(namespace, account),
            None => Self { kind: SubjectKind::User, name },
        }
    }

    /// A service account.
    pub fn account(namespace: &str, name: &str) -> Self {
        Self { kind: SubjectKind::ServiceAccount, name: format!("{namespace}/{name}") }
    }

    /// The namespace whose service accounts it is or holds.
    pub(super) fn namespace_of_accounts(&self) -> Option<&str> {
        match self.kind {
            SubjectKind::ServiceAccount => self.name.split_once('/').map(|(namespace, _)| namespace),
            SubjectKind::Group => self.name.strip_prefix("system:serviceaccounts:"),
            SubjectKind::User => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SubjectKind::User => "user",
            SubjectKind::Group => "group",
            SubjectKind::ServiceAccount => "service account",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// A `RoleBinding`, or without a namespace a `ClusterRoleBinding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RbacBinding {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The role's namespace; none where it is a `ClusterRole`.
    pub role_namespace: Option<String>,
    /// The role's name.
    pub role: String,
    /// Who is bound.
    pub subjects: Vec<Subject>,
}

impl fmt::Display for RbacBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "RoleBinding {namespace}/{}", self.name)?,
            None => write!(f, "ClusterRoleBinding {}", self.name)?,
        }
        let kind = if self.role_namespace.is_some() { "Role" } else { "ClusterRole" };
        write!(f, " to {kind} {}", self.role)
    }
}

/// Everything that RBAC knows on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rbac {
    /// The roles.
    pub roles: Vec<RbacRole>,
    /// The bindings.
    pub bindings: Vec<RbacBinding>,
}

impl Rbac {
    /// The role of a binding, if it is there.
    pub fn role_of(&self, binding: &RbacBinding) -> Option<&RbacRole> {
        self.roles.iter().find(|role| role.namespace == binding.role_namespace && role.name == binding.role)
    }

    /// The rules of a role with those of the roles that it collects, whether or not a controller has written them
    /// there already.
    pub fn rules_of<'a>(&'a self, role: &'a RbacRole) -> Vec<&'a RbacRule> {
        let mut seen = vec![role];
        let mut rules: Vec<&RbacRule> = role.rules.iter().collect();
        let mut next = 0;
        while let Some(one) = seen.get(next).copied() {
            next += 1;
            for other in &self.roles {
                let collected = other.namespace.is_none()
                    && one.namespace.is_none()
                    && one.collects.iter().any(|collects| collects.matches(&other.labels));
                if collected && !seen.iter().any(|known| std::ptr::eq(*known, other)) {
                    rules.extend(&other.rules);
                    seen.push(other);
                }
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_the_rules_that_it_collects_also_at_second_hand() {
        let label = |key: &str| BTreeMap::from([(key.to_owned(), "true".to_owned())]);
        let collects = |key: &str| vec![Collects { labels: label(key), ..Collects::default() }];
        let rule = |resource: &str| RbacRule { resources: vec![resource.into()], ..RbacRule::default() };
        let view = RbacRole { name: "view".into(), collects: collects("view"), ..RbacRole::default() };
        let middle = RbacRole {
            name: "middle".into(),
            labels: label("view"),
            rules: vec![rule("pods")],
            collects: collects("middle"),
            ..RbacRole::default()
        };
        // A circle must not go on for ever.
        let mut last = middle.clone();
        last.name = "last".into();
        last.labels = label("middle");
        last.rules = vec![rule("secrets")];
        last.collects = collects("view");
        let rbac = Rbac { roles: vec![view, middle, last], bindings: Vec::new() };
        let resources: Vec<_> =
            rbac.rules_of(&rbac.roles[0]).iter().map(|rule| rule.resources[0].as_str()).collect();
        assert_eq!(resources, ["pods", "secrets"]);
    }

    #[test]
    fn every_kind_of_selector_is_read() {
        let set = |value: &str| BTreeSet::from([value.to_owned()]);
        let collects = Collects {
            labels: BTreeMap::from([("a".into(), "1".into())]),
            any_of: vec![("b".into(), set("2"))],
            none_of: vec![("c".into(), set("3"))],
            present: vec!["d".into()],
            absent: vec!["e".into()],
        };
        let labels = |text: &str| -> BTreeMap<String, String> {
            text.split(' ')
                .filter_map(|pair| pair.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect()
        };
        assert!(collects.matches(&labels("a=1 b=2 d=x")));
        for wrong in ["b=2 d=x", "a=1 b=3 d=x", "a=1 b=2 c=3 d=x", "a=1 b=2", "a=1 b=2 d=x e="] {
            assert!(!collects.matches(&labels(wrong)), "{wrong}");
        }
    }

    #[test]
    fn the_user_name_of_an_account_is_the_account() {
        assert_eq!(
            Subject::user("system:serviceaccount:kube-system:a"),
            Subject::account("kube-system", "a")
        );
        assert_eq!(Subject::user("alice").to_string(), "user alice");
    }
}
