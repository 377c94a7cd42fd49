//! The report model and one small file a renderer.

mod build;
mod format;
mod json;
mod model;
mod output;
mod repeat;
mod tenants;
mod words;

pub use format::{Format, RenderError, render};
pub use model::{
    Accounting, Capability, Cluster, JournalFacts, Leftover, Model, Node, REPORT_SCHEMA, Requirement,
    RequirementInfo, RunEvidence, RunFacts, RunState, Scenario, Step, Tenant, Waived,
};
pub use output::{WriteError, write_all, write_atomically};
pub use tenants::{CellState, TenantCell, TenantMatrix, WordCount};
