//! The Platform profile: what a platform promises and where its parts answer.

mod access;
mod capability;
mod check;
mod check_identity;
mod deadlines;
mod diagnostic;
mod glob;
mod identity;
mod images;
mod isolation;
mod load;
mod locate;
mod promises;
mod schema;
mod services;
mod storage;
mod tenancy;
mod timespan;
mod types;
mod waiver;

#[cfg(test)]
mod tests;

pub use access::{Anonymous, AnonymousRole, ClusterAdmin, Power, SubjectKind};
pub use capability::Capability;
pub use deadlines::{Bounds, Deadlines};
pub use diagnostic::{ProfileError, ProfileProblem};
pub use glob::matches as glob_matches;
pub use identity::{
    AuditPromise, ClaimMapping, ClaimMappings, IdentityPromise, KeyRotation, Oidc, PeerCluster, ProgramCall,
    RoleGroups,
};
pub use images::Images;
pub use isolation::{ClusterPolicy, ClusterPolicyDialect, OpenConnections, SystemNamespaces};
pub use load::{LAB_PROFILE, LoadedPlatform, load, load_lab, load_str};
pub use promises::{
    AddressExpectation, Addresses, DeniedAs, Dns, GuardRail, LimitRangePromise, Network, PodSecurity,
    PodSecurityLevel, QuotaPromise, Resources, Rights, RoleRights, Rule,
};
pub use schema::{EDITOR_HEADER, schema};
pub use services::{Permission, Services};
pub use storage::{Reclaim, Storage};
pub use tenancy::{
    CommandAdapter, ExistingAdapter, ExistingTenant, Identities, Identity, Impersonation, KubeconfigIdentity,
    ManifestsAdapter, Onboarding, OwnerLabel, Tenancy,
};
pub use timespan::Timespan;
pub use types::{API_VERSION, ApiVersion, Environment, Kind, Metadata, Platform, Spec};
pub use waiver::{Waiver, WaiverState};
