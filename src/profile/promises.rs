//! What the platform promises to every tenant.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterPolicy, OpenConnections, SystemNamespaces};

/// The quota of every tenant namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotaPromise {
    /// The name of the `ResourceQuota`.
    pub name: String,
    /// Resource key to quantity, as in `spec.hard`: `requests.cpu: "4"`. Exactly these keys.
    pub hard: BTreeMap<String, String>,
}

/// What pods get that name no resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitRangePromise {
    /// The name of the `LimitRange`.
    pub name: String,
    /// The requests that a container gets.
    pub default_requests: Resources,
    /// The limits that a container gets.
    pub default_limits: Resources,
}

/// Resource name to quantity.
pub type Resources = BTreeMap<String, String>;

/// The levels of the pod security standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodSecurityLevel {
    /// Everything goes.
    Privileged,
    /// Known escalations are refused.
    Baseline,
    /// Hardened pods only.
    Restricted,
}

impl PodSecurityLevel {
    /// The label's value.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// The level of pod security of every tenant namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSecurity {
    /// The enforced level.
    pub level: PodSecurityLevel,
}

/// An object that a tenant must not be able to change, though it lies in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardRail {
    /// Group and version: `v1`, `networking.k8s.io/v1`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name, with placeholders; for a `Namespace` it is the tenant's namespace and is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Label keys that are the guard rail, where the object as a whole is not; `*` and `?` match as in a
    /// shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

/// What each role of a tenant may do. Whatever no rule grants must be refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rights {
    /// The tenant's administrator.
    pub admin: RoleRights,
    /// Who may look only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewer: Option<RoleRights>,
    /// The service accounts of its workloads; left out, nothing but what every user has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<RoleRights>,
}

/// The rights of one role, by scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleRights {
    /// In the tenant's own namespaces.
    pub own: Vec<Rule>,
    /// In the namespaces of other tenants and of the system.
    #[serde(default)]
    pub other: Vec<Rule>,
    /// On cluster-scoped resources.
    #[serde(default)]
    pub cluster: Vec<Rule>,
}

/// A rule in the form of Kubernetes roles. `*` stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// API groups; the core group is `""`.
    pub api_groups: Vec<String>,
    /// Resources and subresources: `pods`, `pods/exec`, `*`, `*/status`.
    pub resources: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

impl Rule {
    /// Whether this rule grants the verb on the resource (`pods`, `pods/log`) of the group. The rules are
    /// those of the RBAC authorizer: `*` is every resource and subresource, `*/status` the subresource of
    /// every resource; `pods` does not include `pods/log`.
    pub fn grants(&self, group: &str, resource: &str, verb: &str) -> bool {
        let subresource = resource.split_once('/').map(|(_, sub)| sub);
        let of_group = self.api_groups.iter().any(|known| known == "*" || known == group);
        let of_verb = self.verbs.iter().any(|known| known == "*" || known == verb);
        let of_resource = self.resources.iter().any(|known| {
            known == "*"
                || known == resource
                || matches!((known.strip_prefix("*/"), subresource), (Some(wanted), Some(sub)) if wanted == sub)
        });
        of_group && of_verb && of_resource
    }
}

/// What a closed path looks like from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeniedAs {
    /// Silence until the deadline.
    Dropped,
    /// An ICMP error. A bare reset does not count: a dead listener gives one, too.
    Rejected,
    /// Either, also mixed.
    #[default]
    Either,
}

/// What the network promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// What a closed path looks like from the client.
    #[serde(default)]
    pub denied: DeniedAs,
    /// The platform's name service.
    #[serde(default)]
    pub dns: Dns,
    /// Which of the platform's insides a tenant's pod may reach.
    #[serde(default)]
    pub addresses: Addresses,
    /// The namespaces of the platform itself: but for the name service, no tenant reaches what runs in them.
    #[serde(default)]
    pub system_namespaces: SystemNamespaces,
    /// What becomes of a connection that is open when a policy closes its path. Where it is absent, nothing is
    /// promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_connections: Option<OpenConnections>,
    /// Policies of the whole cluster, where the platform has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_policy: Option<ClusterPolicy>,
}

/// The platform's name service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dns {
    /// Its namespace.
    pub namespace: String,
    /// Its service.
    pub service: String,
    /// The labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// The domain of the cluster.
    pub domain: String,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            namespace: "kube-system".to_owned(),
            service: "kube-dns".to_owned(),
            selector: BTreeMap::from([("k8s-app".to_owned(), "kube-dns".to_owned())]),
            domain: "cluster.local".to_owned(),
        }
    }
}

/// Whether a tenant's pod may reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressExpectation {
    /// It may.
    Open,
    /// It may not.
    Closed,
}

/// Which of the platform's insides a tenant's pod may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Addresses {
    /// The API server, by its service.
    pub api_server: AddressExpectation,
    /// The kubelets' ports.
    pub kubelets: AddressExpectation,
    /// The nodes' own addresses.
    pub nodes: AddressExpectation,
    /// The cloud's metadata service.
    pub metadata: AddressExpectation,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            api_server: AddressExpectation::Closed,
            kubelets: AddressExpectation::Closed,
            nodes: AddressExpectation::Closed,
            metadata: AddressExpectation::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rule;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Rule {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Rule { api_groups: own(groups), resources: own(resources), verbs: own(verbs) }
    }

    #[test]
    fn rules_grant_what_the_rbac_authorizer_would() {
        let pods = rule(&[""], &["pods"], &["get"]);
        assert!(pods.grants("", "pods", "get"));
        assert!(!pods.grants("", "pods/log", "get"));
        assert!(!pods.grants("apps", "pods", "get"));
        assert!(!pods.grants("", "pods", "delete"));
        let all = rule(&["*"], &["*"], &["*"]);
        assert!(all.grants("apps", "deployments/scale", "patch"));
        let status = rule(&["*"], &["*/status"], &["get"]);
        assert!(status.grants("apps", "deployments/status", "get"));
        assert!(!status.grants("apps", "deployments", "get"));
        assert!(!status.grants("apps", "deployments/scale", "get"));
    }
}
