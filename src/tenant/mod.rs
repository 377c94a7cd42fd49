//! Throwaway tenants: onboarded the platform's own way, shared, given a workload, removed.

mod adapter;
mod control;
mod error;
mod handle;
mod inventory;
mod placement;
mod pool;
mod removal;
mod settings;
mod spec;
mod workload;

pub use adapter::manifest_files;
pub use error::TenantError;
pub use handle::{Actor, Tenant};
pub use inventory::{Inventory, InventoryItem};
pub use pool::{TenantLease, TenantPool};
pub use removal::{CloseReport, Removal};
pub use settings::{AgentImage, Inspector, Newcomer, PoolSettings};
pub use spec::{TenantSpec, Workload};
pub use workload::{
    DeclaredPath, Deployed, DeployedPod, DeployedService, Protocol, TIER_LABEL, Tier, WORKLOAD_LABEL,
    agent_pod,
};
