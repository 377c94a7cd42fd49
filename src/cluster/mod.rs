//! The cluster under test: clients, apply, waits, ownership and sweep.

mod api_error;
mod apply;
mod client;
mod connect;
mod error;
mod labels;
mod objects;
mod pods;
mod provider;
mod target;
mod wait;

pub use api_error::doing;
pub use apply::{ApplyError, FIELD_MANAGER, apply, parse_manifests};
pub use client::{ClockSkew, Cluster, NodeInfo, ServerInfo};
pub use connect::{ConnectOptions, connect};
pub use error::{ClusterError, ErrorFamily};
pub use labels::{
    EXPIRES_AT, MANAGED_BY, MANAGED_BY_VALUE, Ownership, RUN_LABEL, RunId, SCENARIO_ANNOTATION, TENANT_LABEL,
};
pub use objects::{dynamic, reference};
pub use pods::{explain as explain_pod, is_ready as pod_is_ready};
pub use provider::{ImageDelivery, Kind, Provider};
pub use target::Target;
pub use wait::{
    StuckNamespace, WaitError, namespace_blockers, wait_for, wait_namespaces_gone, wait_pods_gone,
    wait_pods_ready,
};
