//! The profile's root.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Anonymous, AuditPromise, Bounds, Capability, ClusterAdmin, Deadlines, GuardRail, IdentityPromise, Images,
    LimitRangePromise, Network, PeerCluster, PodSecurity, QuotaPromise, Rights, Services, Storage, Tenancy,
    Waiver, glob,
};
use crate::engine::Risk;

/// The version of the profile's format.
pub const API_VERSION: &str = "plimsoll.dev/v1alpha1";

/// The versions of the format that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[serde(rename = "plimsoll.dev/v1alpha1")]
    V1Alpha1,
}

/// The kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A platform's profile.
    Platform,
}

/// Name and title of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Short name, as in reports and file names: lower-case letters, digits and `-`.
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Whether people depend on the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// People depend on it: faults need to be asked for by name.
    Production,
    /// Nobody does.
    NonProduction,
}

/// What a platform promises and where its parts answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// The version of this format.
    pub api_version: ApiVersion,
    /// Always `Platform`.
    pub kind: Kind,
    /// Name and title.
    pub metadata: Metadata,
    /// Everything else.
    pub spec: Spec,
}

impl Platform {
    /// Whether a run may change anything in a cluster that is reached through this context.
    pub fn allows_context(&self, context: &str) -> bool {
        self.spec.allowed_contexts.iter().any(|pattern| glob::matches(pattern, context))
    }

    /// Whether the profile claims the capability.
    pub fn claims(&self, capability: Capability) -> bool {
        self.spec.capabilities.contains(&capability)
    }
}

/// The body of a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Whether people depend on the cluster.
    pub environment: Environment,
    /// Contexts in which a run may change anything; `*` and `?` match as in a shell. A context that no
    /// pattern matches is read only, whatever the command line says.
    pub allowed_contexts: Vec<String>,
    /// True where the whole cluster may be lost (a lab, an ephemeral cluster of a pipeline).
    #[serde(default)]
    pub expendable: bool,
    /// The most that a scenario may do: `none` (its own throwaway tenants only), `load`, `fault`.
    #[serde(default)]
    pub risk_ceiling: Risk,
    /// Parts of the platform that are stand-ins for the real thing, by name. They are shown wherever results
    /// are.
    #[serde(default)]
    pub stand_ins: Vec<String>,
    /// The parts that the platform claims to have. Each is detected too, and the two are compared.
    pub capabilities: Vec<Capability>,
    /// How tenants come, go, and are acted for.
    pub tenancy: Tenancy,
    /// The quota of every tenant namespace; matched exactly, key by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaPromise>,
    /// What pods get that name no resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_range: Option<LimitRangePromise>,
    /// The level of pod security of every tenant namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// What a tenant must not be able to change, though it lies in its own namespace.
    #[serde(default)]
    pub guard_rails: Vec<GuardRail>,
    /// What each role of a tenant may do, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Rights>,
    /// Everybody who may come to be the administrator of the whole cluster; whoever else can, is a hole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_admins: Option<Vec<ClusterAdmin>>,
    /// What those may do who are not logged in, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Anonymous>,
    /// Who may log in, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityPromise>,
    /// Where it is on record who did what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditPromise>,
    /// The other clusters of the fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerCluster>,
    /// What the network promises.
    #[serde(default)]
    pub network: Network,
    /// Which services a tenant may have.
    #[serde(default)]
    pub services: Services,
    /// How tenants' pods come by their images.
    #[serde(default)]
    pub images: Images,
    /// The volumes that tenants' claims get; without it, nothing is promised about storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// How long each kind of wait may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Bounds on what is measured. A bound that is absent is not judged.
    #[serde(default)]
    pub bounds: Bounds,
    /// Accepted deviations.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
}
