//! Removing tenants: the platform's own way, then a wait until nothing is left.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use tokio::time::Instant;

use super::adapter::{self, Case};
use super::pool::{TenantPool, millis};
use super::{Tenant, TenantError};
use crate::cluster::{self, Ownership};
use crate::engine::{Event, TenantRole};

/// What removing a tenant came to.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Its name.
    pub tenant: String,
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// From the first delete until nothing was left or the time was up.
    pub took: Duration,
    /// What is still there: reference and reason.
    pub leftovers: Vec<(String, String)>,
}

/// What closing the pool came to.
#[derive(Clone, Debug, Default)]
pub struct CloseReport {
    /// One a tenant.
    pub removed: Vec<Removal>,
    /// Everything that could not be removed: reference and reason.
    pub leftovers: Vec<(String, String)>,
}

impl TenantPool {
    /// Ends the pods that the run itself has put into a tenant, ahead of its removal. The namespace controller
    /// looks at a deleted namespace after five seconds, and again only later where it still finds pods then:
    /// with the pods gone, its first look is its last. What fails here is left to the removal itself.
    pub(super) async fn end_workload(&self, tenant: &Tenant) {
        let selector = Ownership::selector(&self.inner.settings.run);
        let ends = tenant.namespaces().iter().map(|namespace| {
            let pods: Api<Pod> = Api::namespaced(self.inner.cluster.client(), namespace);
            let selected = ListParams::default().labels(&selector);
            async move { pods.delete_collection(&DeleteParams::default(), &selected).await }
        });
        for end in futures::future::join_all(ends).await {
            if let Err(error) = end {
                tracing::debug!(tenant = tenant.name(), %error, "the pods were not ended ahead of their namespace");
            }
        }
    }

    pub(super) async fn ask_for_removal(&self, case: &Case<'_>, control: bool) -> Result<(), TenantError> {
        if !control {
            return adapter::offboard(case).await;
        }
        let namespaces: Api<Namespace> = Api::all(self.inner.cluster.client());
        for name in case.namespaces {
            match namespaces.delete(name, &DeleteParams::background()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => {
                    let error = self.inner.cluster.error(format!("delete namespace {name}"), error);
                    return Err(TenantError::cluster("remove the control tenant")(error));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn remove(&self, tenant: &Tenant, within: Duration) -> Result<Removal, TenantError> {
        let started = Instant::now();
        let case = Case {
            cluster: &self.inner.cluster,
            settings: &self.inner.settings,
            name: tenant.name(),
            id: tenant.id(),
            namespaces: tenant.namespaces(),
            placeholders: &tenant.placeholders,
            ownership: tenant.ownership(),
        };
        let mut removal = Removal {
            tenant: tenant.name().to_owned(),
            namespaces: tenant.namespaces().to_vec(),
            took: Duration::ZERO,
            leftovers: Vec::new(),
        };
        if tenant.adapter() == "existing" {
            // It stays; only what the run put into it goes.
            let runs = cluster::SweepSelection::Runs([self.inner.settings.run.to_string()].into());
            let doing = || TenantError::cluster(format!("empty tenant {}", tenant.name()));
            let found = cluster::find_leftovers(&self.inner.cluster, &runs).await.map_err(doing())?;
            let own: Vec<_> = found
                .meant
                .into_iter()
                .filter(|leftover| leftover.tenant.as_deref() == Some(tenant.id()))
                .collect();
            let kept = cluster::remove_leftovers(&self.inner.cluster, &own, within).await.map_err(doing())?;
            removal.leftovers =
                kept.into_iter().map(|kept| (kept.reference, kept.stuck.unwrap_or_default())).collect();
        } else {
            self.ask_for_removal(&case, tenant.role() == TenantRole::Control).await?;
            let left = within.saturating_sub(started.elapsed());
            let stuck = cluster::wait_namespaces_gone(&self.inner.cluster, tenant.namespaces(), None, left)
                .await
                .map_err(TenantError::cluster(format!("remove tenant {}", tenant.name())))?;
            removal.leftovers =
                stuck.into_iter().map(|stuck| (format!("v1/Namespace {}", stuck.name), stuck.why)).collect();
        }
        removal.took = started.elapsed();
        // One that could not be removed is looked for again when the run ends: only then it is a leftover.
        if removal.leftovers.is_empty() {
            self.inner.settings.events.emit(Event::TenantRemoved {
                name: removal.tenant.clone(),
                namespaces: removal.namespaces.clone(),
                took_ms: millis(removal.took),
            });
        }
        Ok(removal)
    }
}
