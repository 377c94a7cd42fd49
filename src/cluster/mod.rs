//! The cluster under test: clients, apply, waits, ownership and sweep.

mod api_error;
mod apply;
mod asked_again;
mod client;
mod connect;
mod detect;
mod detect_identity;
mod doctor;
mod error;
mod labels;
pub(crate) mod listing;
#[cfg(test)]
mod mock_tests;
mod objects;
mod peers;
mod pods;
mod provider;
mod rbac;
mod rights;
mod silent;
mod sweep;
mod target;
mod wait;
mod wide_policy;

pub use api_error::doing;
pub use apply::{ApplyError, FIELD_MANAGER, apply, parse_manifests};
pub use client::{ClockSkew, Cluster, NodeInfo, ServerInfo};
pub use connect::{ConnectOptions, Impersonate, connect, identity_client};
pub use detect::{CapabilityCheck, detect};
pub use doctor::{Finding, FindingLevel, Report as DoctorReport, doctor};
pub use error::{ClusterError, ErrorFamily};
pub use labels::{
    EXPIRES_AT, MANAGED_BY, MANAGED_BY_VALUE, Ownership, RUN_LABEL, RunId, SCENARIO_ANNOTATION, TENANT_LABEL,
};
pub(crate) use objects::merge;
pub use objects::{dynamic, reference};
pub use peers::{PeerClusters, PeerConnection};
pub use pods::{explain as explain_pod, is_ready as pod_is_ready};
pub use provider::{ImageDelivery, Kind, Provider};
pub use rbac::rbac;
pub use rights::{RightsCheck, check as check_rights, cluster_role, suites as suites_with_rights};
pub use silent::silent_apis;
pub use sweep::{
    HELD_BACK, Leftover, Selection as SweepSelection, Sweep, find as find_leftovers, let_go as let_go_of,
    remove as remove_leftovers, remove_of_dead as remove_leftovers_of_dead,
};
pub use target::Target;
pub use wait::{
    StuckNamespace, WaitError, namespace_blockers, wait_all, wait_allowed, wait_for, wait_namespaces_gone,
    wait_pods_gone, wait_pods_ready,
};
pub use wide_policy::{WideAction, WidePolicy, wide_policy_kind};
