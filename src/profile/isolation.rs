//! What the platform promises of its insides, and of connections that are open when a policy changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names of namespaces that are the platform's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SystemNamespaces(pub Vec<String>);

impl Default for SystemNamespaces {
    fn default() -> Self {
        Self(vec!["kube-system".to_owned()])
    }
}

/// What becomes of a connection that is open when a policy closes its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenConnections {
    /// It is cut, within the time that any new policy may take.
    Cut,
    /// It goes on until one of its ends closes it; only new connections are refused.
    Kept,
}

impl OpenConnections {
    /// As a profile says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Kept => "kept",
        }
    }
}

/// The kinds of object in which policies of the whole cluster are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterPolicyDialect {
    /// `ClusterNetworkPolicy` of `policy.networking.k8s.io/v1alpha2`.
    ClusterNetworkPolicy,
    /// `AdminNetworkPolicy` of `policy.networking.k8s.io/v1alpha1`, which it replaces.
    AdminNetworkPolicy,
    /// `GlobalNetworkPolicy` of `projectcalico.org/v3`.
    Calico,
}

impl ClusterPolicyDialect {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::ClusterNetworkPolicy, Self::AdminNetworkPolicy, Self::Calico];
}

/// What the platform promises of policies of the whole cluster. That a denial wins over what a tenant allows is promised
/// by claiming the capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterPolicy {
    /// In which kind of object they are written.
    pub dialect: ClusterPolicyDialect,
    /// Whether an allowance wins over what a tenant leaves closed.
    #[serde(default)]
    pub allows_win: bool,
}
