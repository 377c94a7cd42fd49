//! Onboarding adapters: the platform's own way to a tenant. One file an adapter, one arm here.

mod command;
mod existing;
mod manifests;

use std::collections::BTreeMap;

use super::{PoolSettings, TenantError};
use crate::cluster::{Cluster, Ownership};
use crate::profile::Onboarding;

pub use existing::Lender;
pub use manifests::files as manifest_files;

/// One tenant on its way in or out.
pub struct Case<'a> {
    pub cluster: &'a Cluster,
    pub settings: &'a PoolSettings,
    pub name: &'a str,
    pub id: &'a str,
    pub namespaces: &'a [String],
    pub placeholders: &'a BTreeMap<String, String>,
    pub ownership: &'a Ownership,
}

/// Brings one tenant in.
pub async fn onboard(case: &Case<'_>) -> Result<(), TenantError> {
    match &case.settings.platform.platform.spec.tenancy.onboarding {
        Onboarding::Manifests(adapter) => manifests::onboard(adapter, case).await,
        Onboarding::Command(adapter) => command::onboard(adapter, case).await,
        Onboarding::Existing(_) => Ok(()),
    }
}

/// Asks for the removal of one tenant. Its namespaces may still be on their way out afterwards.
pub async fn offboard(case: &Case<'_>) -> Result<(), TenantError> {
    match &case.settings.platform.platform.spec.tenancy.onboarding {
        Onboarding::Manifests(adapter) => manifests::offboard(adapter, case).await,
        Onboarding::Command(adapter) => command::offboard(adapter, case).await,
        Onboarding::Existing(_) => Ok(()),
    }
}
