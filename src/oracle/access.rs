//! Which rights a role ought to have: the profile's rules, read as the RBAC authorizer reads them.

use std::fmt;

use crate::profile::{RoleRights, Rule};

/// Where a right is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccessScope {
    /// In the tenant's own namespace.
    Own,
    /// In another tenant's namespace.
    Other,
    /// On cluster-scoped objects, and in all namespaces at once.
    Cluster,
}

impl AccessScope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Own, Self::Other, Self::Cluster];

    /// The words of reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Own => "its own namespace",
            Self::Other => "another tenant's namespace",
            Self::Cluster => "the cluster",
        }
    }
}

/// One question with the cluster's answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccessRow {
    /// Where.
    pub scope: AccessScope,
    /// API group; the core group is empty.
    pub group: String,
    /// Resource or subresource: `pods`, `pods/exec`.
    pub resource: String,
    /// Verb.
    pub verb: String,
    /// What the cluster answered.
    pub allowed: bool,
}

/// An answer that is not the promised one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deviation(AccessRow);

impl Deviation {
    /// The question and its answer.
    pub const fn row(&self) -> &AccessRow {
        &self.0
    }

    /// A right that nobody promised, as opposed to one that is missing.
    pub const fn is_excess(&self) -> bool {
        self.0.allowed
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccessRow { scope, group, resource, verb, allowed } = &self.0;
        let (expected, seen) = if *allowed { ("refused", "allowed") } else { ("allowed", "refused") };
        let dot = if group.is_empty() { "" } else { "." };
        write!(
            f,
            "expected `{verb} {resource}{dot}{group}` to be {expected} in {}, saw it {seen}",
            scope.word()
        )
    }
}

/// What a role ought to be allowed, by scope. A right on the whole cluster is one in every namespace too.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedAccess<'a> {
    rights: &'a RoleRights,
}

impl<'a> ExpectedAccess<'a> {
    /// From the rules of the profile.
    pub const fn new(rights: &'a RoleRights) -> Self {
        Self { rights }
    }

    /// Whether the profile promises the right.
    pub fn allows(self, scope: AccessScope, group: &str, resource: &str, verb: &str) -> bool {
        let granted = |rules: &[Rule]| rules.iter().any(|rule| rule.grants(group, resource, verb));
        let local = match scope {
            AccessScope::Own => granted(&self.rights.own),
            AccessScope::Other => granted(&self.rights.other),
            AccessScope::Cluster => false,
        };
        local || granted(&self.rights.cluster)
    }

    /// The answers that are not the promised ones, the rights in excess first.
    pub fn deviations<'r>(self, rows: impl IntoIterator<Item = &'r AccessRow>) -> Vec<Deviation> {
        let mut found: Vec<_> = rows
            .into_iter()
            .filter(|row| self.allows(row.scope, &row.group, &row.resource, &row.verb) != row.allowed)
            .cloned()
            .map(Deviation)
            .collect();
        found.sort_by(|one, other| (!one.is_excess(), one.row()).cmp(&(!other.is_excess(), other.row())));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(group: &str, resource: &str, verb: &str) -> Rule {
        Rule { api_groups: vec![group.into()], resources: vec![resource.into()], verbs: vec![verb.into()] }
    }

    fn row(scope: AccessScope, group: &str, resource: &str, verb: &str, allowed: bool) -> AccessRow {
        AccessRow { scope, group: group.into(), resource: resource.into(), verb: verb.into(), allowed }
    }

    #[test]
    fn a_right_holds_where_it_was_promised_and_nowhere_else() {
        let rights = RoleRights {
            own: vec![rule("", "pods", "get")],
            other: Vec::new(),
            cluster: vec![rule("authorization.k8s.io", "selfsubjectaccessreviews", "create")],
        };
        let expected = ExpectedAccess::new(&rights);
        assert!(expected.allows(AccessScope::Own, "", "pods", "get"));
        for scope in [AccessScope::Other, AccessScope::Cluster] {
            assert!(!expected.allows(scope, "", "pods", "get"));
        }
        for scope in AccessScope::ALL {
            assert!(expected.allows(scope, "authorization.k8s.io", "selfsubjectaccessreviews", "create"));
        }
    }

    #[test]
    fn a_verb_that_nobody_promised_is_told_first() {
        let rights = RoleRights { own: vec![rule("apps", "deployments", "get")], ..RoleRights::default() };
        let rows = [
            row(AccessScope::Own, "apps", "deployments", "get", false),
            row(AccessScope::Own, "apps", "deployments", "list", false),
            row(AccessScope::Other, "", "secrets", "list", true),
        ];
        let text: Vec<_> =
            ExpectedAccess::new(&rights).deviations(&rows).iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "expected `list secrets` to be refused in another tenant's namespace, saw it allowed",
                "expected `get deployments.apps` to be allowed in its own namespace, saw it refused",
            ]
        );
    }
}
