//! What a scenario asks for.

use crate::engine::TenantRole;

/// What runs in a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// Nothing.
    #[default]
    None,
    /// `web -> api -> db`: a pod, a service and a headless service each.
    ThreeTier,
}

/// A tenant that a scenario asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantSpec {
    /// Its name in the features: `alpha`.
    pub name: String,
    /// What it is for.
    pub role: TenantRole,
    /// What runs in it.
    pub workload: Workload,
    /// True for a tenant of the scenario's own, which may be changed and removed; else one of that name is
    /// onboarded once and shared by all scenarios.
    pub exclusive: bool,
}

impl TenantSpec {
    /// A shared subject without a workload.
    pub fn subject(name: impl Into<String>) -> Self {
        Self { name: name.into(), role: TenantRole::Subject, workload: Workload::None, exclusive: false }
    }

    /// A shared control tenant without a workload.
    pub fn control(name: impl Into<String>) -> Self {
        Self { role: TenantRole::Control, ..Self::subject(name) }
    }

    /// The same with a workload.
    #[must_use]
    pub fn with(self, workload: Workload) -> Self {
        Self { workload, ..self }
    }

    /// The same for one scenario alone.
    #[must_use]
    pub fn exclusive(self) -> Self {
        Self { exclusive: true, ..self }
    }
}
