//! What is bound to those who are not logged in.

use super::rbac::{Rbac, RbacRule, Subject};
use crate::profile::{Anonymous, AnonymousRole};

/// The names under which requests without a login go, and logins that nobody could tell.
fn nobody() -> [Subject; 2] {
    [Subject::group("system:unauthenticated"), Subject::user("system:anonymous")]
}

/// One binding of those who are not logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousBinding {
    /// The binding with its role, in words.
    pub binding: String,
    /// Who is bound by it.
    pub subject: Subject,
    /// What it grants that nobody declared; none where all is declared.
    pub excess: Vec<String>,
}

/// Every binding of those who are not logged in, held against what the profile declares.
pub fn anonymous_bindings(rbac: &Rbac, declared: &Anonymous) -> Vec<AnonymousBinding> {
    let mut found = Vec::new();
    for binding in &rbac.bindings {
        let of_nobody = binding.subjects.iter().filter(|subject| nobody().contains(subject));
        for subject in of_nobody {
            let known = declared
                .roles
                .iter()
                .find(|role| role.role == binding.role && role.namespace == binding.namespace);
            let excess = match (known, rbac.role_of(binding)) {
                (None, _) => vec!["a role that the profile does not declare".to_owned()],
                // A binding to nothing grants nothing.
                (Some(_), None) => Vec::new(),
                (Some(known), Some(role)) => {
                    rbac.rules_of(role).into_iter().flat_map(|rule| beyond(rule, known)).collect()
                }
            };
            found.push(AnonymousBinding { binding: binding.to_string(), subject: subject.clone(), excess });
        }
    }
    found
}

/// What a rule grants that the declaration does not.
fn beyond(rule: &RbacRule, declared: &AnonymousRole) -> Vec<String> {
    let paths = rule.paths.iter().filter(|path| !declared.paths.contains(path));
    let mut excess: Vec<String> = paths.map(|path| format!("`{} {path}`", rule.verbs.join(","))).collect();
    for group in &rule.groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                if !declared.rules.iter().any(|known| known.grants(group, resource, verb)) {
                    let dot = if group.is_empty() { "" } else { "." };
                    excess.push(format!("`{verb} {resource}{dot}{group}`"));
                }
            }
        }
    }
    excess
}

#[cfg(test)]
mod tests {
    use super::super::rbac::{RbacBinding, RbacRole};
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn info(paths: &[&str]) -> RbacRole {
        let rule = RbacRule { paths: words(paths), verbs: words(&["get"]), ..RbacRule::default() };
        RbacRole { name: "info".into(), rules: vec![rule], ..RbacRole::default() }
    }

    fn bound(role: &str, subject: Subject) -> RbacBinding {
        RbacBinding {
            namespace: None,
            name: format!("{role}-binding"),
            role_namespace: None,
            role: role.into(),
            subjects: vec![Subject::group("system:authenticated"), subject],
        }
    }

    fn declared() -> Anonymous {
        let role = AnonymousRole {
            namespace: None,
            role: "info".into(),
            paths: words(&["/healthz", "/version"]),
            rules: Vec::new(),
        };
        Anonymous { paths: words(&["/healthz"]), roles: vec![role] }
    }

    #[test]
    fn only_what_is_declared_is_no_excess() {
        let mut rbac = Rbac { roles: vec![info(&["/healthz"])], bindings: Vec::new() };
        rbac.bindings.push(bound("info", Subject::group("system:unauthenticated")));
        assert_eq!(anonymous_bindings(&rbac, &declared())[0].excess, words(&[]));

        rbac.roles = vec![info(&["/healthz", "/metrics", "*"])];
        assert_eq!(anonymous_bindings(&rbac, &declared())[0].excess, ["`get /metrics`", "`get *`"]);

        let secrets = RbacRule {
            groups: words(&[""]),
            resources: words(&["secrets"]),
            verbs: words(&["list"]),
            ..RbacRule::default()
        };
        rbac.roles[0].rules = vec![secrets];
        assert_eq!(anonymous_bindings(&rbac, &declared())[0].excess, ["`list secrets`"]);
    }

    #[test]
    fn another_role_or_another_scope_is_not_the_declared_one() {
        let mut rbac = Rbac { roles: vec![info(&["/healthz"])], bindings: Vec::new() };
        rbac.bindings.push(bound("view", Subject::user("system:anonymous")));
        rbac.bindings.push(bound("info", Subject::user("alice")));
        let found = anonymous_bindings(&rbac, &declared());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].excess, ["a role that the profile does not declare"]);
        rbac.bindings[0] = bound("info", Subject::user("system:anonymous"));
        rbac.bindings[0].namespace = Some("kube-public".into());
        assert_eq!(anonymous_bindings(&rbac, &declared())[0].excess.len(), 1);
    }
}
