//! The parts that a platform may have.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part that a platform may have: claimed in the profile, detected on the cluster, and compared. Features
/// name them in tags: `@needs-network-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// `NetworkPolicy` objects are enforced, not only stored.
    NetworkPolicy,
    /// Network policies of the whole cluster are enforced, in the dialect that the profile names.
    ClusterPolicy,
    /// Pod Security admission acts on namespace labels.
    PodSecurity,
    /// `ResourceQuota` admission is on.
    ResourceQuota,
    /// `LimitRange` admission is on.
    LimitRange,
    /// `ValidatingAdmissionPolicy` is served and acted upon.
    AdmissionPolicy,
    /// Service names resolve inside pods.
    Dns,
    /// Two or more schedulable nodes, so that paths across nodes exist.
    MultiNode,
    /// The caller may act as the tenants' identities.
    Impersonation,
    /// People log in by OpenID Connect.
    Oidc,
    /// Who did what is on record, and the record can be read.
    Audit,
}

impl Capability {
    /// Every capability, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::NetworkPolicy,
        Self::ClusterPolicy,
        Self::PodSecurity,
        Self::ResourceQuota,
        Self::LimitRange,
        Self::AdmissionPolicy,
        Self::Dns,
        Self::MultiNode,
        Self::Impersonation,
        Self::Oidc,
        Self::Audit,
    ];

    /// The name in profiles and, after `needs-`, in tags.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "network-policy",
            Self::ClusterPolicy => "cluster-policy",
            Self::PodSecurity => "pod-security",
            Self::ResourceQuota => "resource-quota",
            Self::LimitRange => "limit-range",
            Self::AdmissionPolicy => "admission-policy",
            Self::Dns => "dns",
            Self::MultiNode => "multi-node",
            Self::Impersonation => "impersonation",
            Self::Oidc => "oidc",
            Self::Audit => "audit",
        }
    }

    /// One line on what it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "NetworkPolicy objects are enforced, not only stored",
            Self::ClusterPolicy => "network policies of the whole cluster are enforced",
            Self::PodSecurity => "Pod Security admission acts on namespace labels",
            Self::ResourceQuota => "ResourceQuota admission refuses what goes over",
            Self::LimitRange => "LimitRange admission fills in defaults",
            Self::AdmissionPolicy => "ValidatingAdmissionPolicy is served and acted upon",
            Self::Dns => "service names resolve inside pods",
            Self::MultiNode => "two or more schedulable nodes",
            Self::Impersonation => "the caller may act as the tenants' identities",
            Self::Oidc => "people log in by OpenID Connect",
            Self::Audit => "who did what is on record, and the record can be read",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Capability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.name() == text)
            .ok_or_else(|| format!("unknown capability `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_what_serde_writes() {
        for capability in Capability::ALL {
            assert_eq!(serde_json::to_value(capability).unwrap(), capability.name());
            assert_eq!(capability.name().parse::<Capability>().unwrap(), capability);
        }
    }
}
