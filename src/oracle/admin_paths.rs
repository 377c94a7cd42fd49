//! Every path to the administrator of the whole cluster: who holds it, by which power, through which binding.
//!
//! A power that is bound in a namespace counts where the namespace is a way up: where a service account lives that has
//! a path itself. So the paths are found by going round until nothing new is found.

use std::collections::BTreeSet;
use std::fmt;

use super::rbac::{Rbac, RbacRule, Subject};
use crate::profile::{ClusterAdmin, Power, SubjectKind, glob_matches};

/// Whom the API server lets do everything without asking an authorizer.
const MASTERS: &str = "system:masters";
/// The platform's own namespace, whatever lives in it: what the cluster's own parts read lies there.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// One path to the administrator of the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdminPath {
    /// Who holds it.
    pub holder: Subject,
    /// By which power.
    pub power: Power,
    /// The namespace where the power holds; none for the whole cluster.
    pub within: Option<String>,
    /// Whose powers it leads to, where it leads to one alone.
    pub through: Option<String>,
    /// The binding that gives it; empty where the API server itself does.
    pub by: String,
}

impl fmt::Display for AdminPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.holder, self.power.words())?;
        if let Some(namespace) = &self.within {
            write!(f, " in {namespace}")?;
        }
        if let Some(through) = &self.through {
            write!(f, ", those of {through}")?;
        }
        if !self.by.is_empty() {
            write!(f, ", by {}", self.by)?;
        }
        Ok(())
    }
}

impl ClusterAdmin {
    /// Whether the declaration covers the path.
    pub fn covers(&self, path: &AdminPath) -> bool {
        self.kind == path.holder.kind
            && glob_matches(&self.name, &path.holder.name)
            && self.powers.as_ref().is_none_or(|powers| powers.contains(&path.power))
    }
}

/// The paths that nobody has declared.
pub fn undeclared<'a>(paths: &'a [AdminPath], declared: &[ClusterAdmin]) -> Vec<&'a AdminPath> {
    paths.iter().filter(|path| !declared.iter().any(|one| one.covers(path))).collect()
}

/// Whoever has a path already.
#[derive(Debug, Default)]
struct Strong(BTreeSet<Subject>);

impl Strong {
    fn namespace(&self, name: &str) -> bool {
        // What every account holds, those of any namespace hold.
        let everybody = ["system:serviceaccounts", "system:authenticated"].map(Subject::group);
        name == SYSTEM_NAMESPACE
            || everybody.iter().any(|group| self.0.contains(group))
            || self.0.iter().any(|one| one.namespace_of_accounts() == Some(name))
    }

    fn account(&self, namespace: &str, name: &str) -> bool {
        self.0.contains(&Subject::account(namespace, name))
            || self.0.contains(&Subject::group(format!("system:serviceaccounts:{namespace}")))
    }

    /// A service account of that name anywhere.
    fn any_account(&self, name: &str) -> bool {
        let of_name = |one: &Subject| {
            one.kind == SubjectKind::ServiceAccount
                && one.name.split_once('/').is_some_and(|(_, known)| known == name)
        };
        self.0.iter().any(of_name)
    }
}

/// Every path, sorted by holder.
pub fn admin_paths(rbac: &Rbac) -> Vec<AdminPath> {
    let masters = AdminPath {
        holder: Subject::group(MASTERS),
        power: Power::BypassAuthorizers,
        within: None,
        through: None,
        by: String::new(),
    };
    let mut strong = Strong(BTreeSet::from([masters.holder.clone()]));
    let mut paths = BTreeSet::from([masters]);
    let bound: Vec<_> = rbac
        .bindings
        .iter()
        .filter_map(|binding| rbac.role_of(binding).map(|role| (binding, rbac.rules_of(role))))
        .collect();
    loop {
        let known = paths.len();
        for (binding, rules) in &bound {
            let reach =
                Reach { rbac, strong: &strong, rules, namespace: binding.namespace.as_deref(), bindings: 0 };
            let powers = reach.powers();
            for holder in &binding.subjects {
                paths.extend(powers.iter().map(|(power, through)| AdminPath {
                    holder: holder.clone(),
                    power: *power,
                    within: binding.namespace.clone(),
                    through: through.clone(),
                    by: binding.to_string(),
                }));
            }
        }
        strong.0.extend(paths.iter().map(|path| path.holder.clone()));
        if paths.len() == known {
            return paths.into_iter().collect();
        }
    }
}

/// Rules, and how far a binding makes them reach.
struct Reach<'a> {
    rbac: &'a Rbac,
    strong: &'a Strong,
    rules: &'a [&'a RbacRule],
    namespace: Option<&'a str>,
    /// How many bindings of named roles lie before these rules.
    bindings: u8,
}

/// On which objects something is granted.
enum Granted {
    Nothing,
    Named(BTreeSet<String>),
    All,
}

impl Granted {
    fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }
}

/// How many bindings of named roles, one after the other, are followed.
const MOST_BINDINGS: u8 = 4;

const WRITE: &[&str] = &["create", "update", "patch"];
const CHANGE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Kinds whose objects bring pods, by group.
const RUNS_PODS: [(&str, &[&str]); 3] = [
    ("", &["pods", "replicationcontrollers", "podtemplates"]),
    ("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
];

impl Reach<'_> {
    fn granted(&self, group: &str, resource: &str, verbs: &[&str]) -> Granted {
        let mut names = BTreeSet::new();
        for rule in self.rules {
            // A created object has no name to be asked about yet, unless it is created below another.
            let by_name = |verb: &str| verb != "create" || resource.contains('/');
            let held =
                |verb: &&&str| rule.grants(group, resource, verb) && (rule.names.is_empty() || by_name(verb));
            if verbs.iter().any(|verb| held(&verb)) {
                if rule.names.is_empty() {
                    return Granted::All;
                }
                names.extend(rule.names.iter().cloned());
            }
        }
        if names.is_empty() { Granted::Nothing } else { Granted::Named(names) }
    }

    /// On every object, or on some.
    fn any(&self, group: &str, resource: &str, verbs: &[&str]) -> bool {
        !matches!(self.granted(group, resource, verbs), Granted::Nothing)
    }

    fn powers(&self) -> Vec<(Power, Option<String>)> {
        let everywhere = self.namespace.is_none();
        if self.namespace.is_some_and(|namespace| !self.strong.namespace(namespace)) {
            return Vec::new();
        }
        if self.rules.iter().any(|rule| rule.is_everything()) {
            return vec![(Power::Everything, None)];
        }
        let mut found = self.impersonate();
        let mut add = |power: Power, holds: bool| {
            if holds {
                found.push((power, None));
            }
        };
        add(Power::BindRoles, self.binds_more());
        add(
            Power::EscalateRoles,
            self.any(RBAC_GROUP, "roles", &["escalate"])
                || everywhere && self.any(RBAC_GROUP, "clusterroles", &["escalate"]),
        );
        let namespaced = ["roles", "rolebindings"];
        let whole = ["clusterroles", "clusterrolebindings"];
        add(
            Power::WriteRoles,
            namespaced.iter().any(|resource| self.any(RBAC_GROUP, resource, WRITE))
                || everywhere && whole.iter().any(|resource| self.any(RBAC_GROUP, resource, WRITE)),
        );
        add(Power::ReadSecrets, self.granted("", "secrets", &["get", "list", "watch"]).is_all());
        add(
            Power::RunPods,
            RUNS_PODS
                .iter()
                .any(|(group, resources)| resources.iter().any(|resource| self.any(group, resource, WRITE))),
        );
        add(
            Power::EnterPods,
            self.any("", "pods/exec", &["get", "create"])
                || self.any("", "pods/attach", &["get", "create"])
                || self.any("", "pods/ephemeralcontainers", &["update", "patch"]),
        );
        add(Power::IssueTokens, self.issues_tokens());
        if everywhere {
            const CERTIFICATES: &str = "certificates.k8s.io";
            add(
                Power::ApproveCertificates,
                self.any(CERTIFICATES, "signers", &["approve", "sign"])
                    && self.signs_clients()
                    && (self.any(CERTIFICATES, "certificatesigningrequests/approval", &["update", "patch"])
                        || self.any(CERTIFICATES, "certificatesigningrequests/status", &["update", "patch"])),
            );
            add(Power::ReachKubelets, self.any("", "nodes/proxy", &["get", "create", "update", "patch"]));
            const ADMISSION: [&str; 6] = [
                "mutatingwebhookconfigurations",
                "validatingwebhookconfigurations",
                "mutatingadmissionpolicies",
                "mutatingadmissionpolicybindings",
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
            ];
            add(
                Power::ChangeAdmission,
                ADMISSION.iter().any(|resource| self.any("admissionregistration.k8s.io", resource, CHANGE)),
            );
            add(Power::ServeApis, self.any("apiregistration.k8s.io", "apiservices", WRITE));
            add(Power::MakeVolumes, self.any("", "persistentvolumes", &["create"]));
        }
        found
    }

    /// Acting under other names: any name at all, or one that has a path.
    fn impersonate(&self) -> Vec<(Power, Option<String>)> {
        let everywhere = self.namespace.is_none();
        let mut found = Vec::new();
        let mut add = |through: Option<String>| found.push((Power::Impersonate, through));
        // The second group and the longer verb are those of constrained impersonation.
        let asked = |resource: &str| {
            let plain = self.granted("", resource, &["impersonate"]);
            if plain.is_all() {
                return plain;
            }
            const CONSTRAINED: [&str; 2] = ["impersonate:user-info", "impersonate:serviceaccount"];
            match (plain, self.granted("authentication.k8s.io", resource, &CONSTRAINED)) {
                (_, Granted::All) => Granted::All,
                (Granted::Named(mut names), Granted::Named(more)) => {
                    names.extend(more);
                    Granted::Named(names)
                }
                (Granted::Nothing, other) | (other, _) => other,
            }
        };
        if everywhere {
            for (resource, kind) in [("users", SubjectKind::User), ("groups", SubjectKind::Group)] {
                match asked(resource) {
                    Granted::All => add(None),
                    Granted::Nothing => {}
                    Granted::Named(names) => {
                        for name in names {
                            let named = if kind == SubjectKind::User {
                                Subject::user(name)
                            } else {
                                Subject { kind, name }
                            };
                            if self.strong.0.contains(&named) {
                                add(Some(named.to_string()));
                            }
                        }
                    }
                }
            }
        }
        match asked("serviceaccounts") {
            Granted::All => add(None),
            Granted::Nothing => {}
            Granted::Named(names) => {
                for name in names.into_iter().filter(|name| self.is_strong_account(name)) {
                    add(Some(format!("service account {name}")));
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn is_strong_account(&self, name: &str) -> bool {
        match self.namespace {
            Some(namespace) => self.strong.account(namespace, name),
            None => self.strong.any_account(name),
        }
    }

    /// Binding any role, or one that holds a power.
    fn binds_more(&self) -> bool {
        let holds_power = |name: &String| {
            let role = self.rbac.roles.iter().find(|role| role.namespace.is_none() && role.name == *name);
            role.is_some_and(|role| {
                let rules = self.rbac.rules_of(role);
                let bound = Reach { rules: &rules, bindings: self.bindings + 1, ..*self };
                !bound.powers().is_empty()
            })
        };
        let named = match self.granted(RBAC_GROUP, "clusterroles", &["bind"]) {
            Granted::All => return true,
            Granted::Named(names) => names,
            Granted::Nothing => BTreeSet::new(),
        };
        // Roles that may bind each other would be followed for ever.
        (self.bindings < MOST_BINDINGS && named.iter().any(holds_power))
            || self.granted(RBAC_GROUP, "roles", &["bind"]).is_all()
    }

    fn issues_tokens(&self) -> bool {
        match self.granted("", "serviceaccounts/token", &["create"]) {
            Granted::All => true,
            Granted::Nothing => false,
            Granted::Named(names) => names.iter().any(|name| self.is_strong_account(name)),
        }
    }

    /// Whether it may approve or sign what the API server takes for a login.
    fn signs_clients(&self) -> bool {
        match self.granted("certificates.k8s.io", "signers", &["approve", "sign"]) {
            Granted::All => true,
            Granted::Nothing => false,
            Granted::Named(names) => names.iter().any(|name| {
                matches!(
                    name.as_str(),
                    "kubernetes.io/*"
                        | "kubernetes.io/kube-apiserver-client"
                        | "kubernetes.io/kube-apiserver-client-kubelet"
                )
            }),
        }
    }
}
