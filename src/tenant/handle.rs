//! A tenant that is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::OnceCell;

use super::workload::Deployed;
use super::{TenantError, Workload};
use crate::cluster::{Cluster, Ownership};
use crate::engine::TenantRole;

/// Somebody to act as, and the client that does.
#[derive(Clone)]
pub struct Actor {
    /// Who, for reports: the impersonated user or the context.
    pub name: String,
    /// The user name that the API server should see, where it is known; refusals name it.
    pub user: Option<String>,
    /// Its groups, where they are known.
    pub groups: Vec<String>,
    /// A client without retries.
    pub client: Client,
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// A tenant that is there.
#[derive(Debug)]
pub struct Tenant {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) role: TenantRole,
    pub(super) adapter: &'static str,
    pub(super) namespaces: Vec<String>,
    pub(super) admin: Actor,
    pub(super) viewer: Option<Actor>,
    pub(super) ownership: Ownership,
    pub(super) placeholders: BTreeMap<String, String>,
    pub(super) onboarding: Duration,
    pub(super) cluster: Cluster,
    pub(super) workload: OnceCell<Result<Arc<Deployed>, TenantError>>,
}

impl Tenant {
    /// Its name in the features: `alpha`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id on the cluster, the value of `${tenant}`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is for.
    pub const fn role(&self) -> TenantRole {
        self.role
    }

    /// How it came: `manifests`, `command`, `existing`, or `control`.
    pub const fn adapter(&self) -> &'static str {
        self.adapter
    }

    /// Its namespaces; the first is the one where its workload runs.
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }

    /// The namespace where its workload runs.
    pub fn namespace(&self) -> &str {
        self.namespaces.first().map_or("", String::as_str)
    }

    /// Its administrator. For a control tenant, the harness itself.
    pub const fn admin(&self) -> &Actor {
        &self.admin
    }

    /// Who may look only.
    pub fn viewer(&self) -> Result<&Actor, TenantError> {
        self.viewer.as_ref().ok_or(TenantError::NoIdentity { role: "viewer" })
    }

    /// Labels and annotations for everything that is made in it.
    pub const fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// How long onboarding took, its workload not included. Zero for a tenant that was there before.
    pub const fn onboarding(&self) -> Duration {
        self.onboarding
    }

    /// The cluster.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What runs in it; `None` where nothing was asked for.
    pub fn workload(&self) -> Option<&Deployed> {
        match self.workload.get() {
            Some(Ok(deployed)) => Some(deployed),
            _ => None,
        }
    }

    /// Fills in `${tenant}`, `${name}` and `${run}` in a text of the profile.
    pub fn fill(&self, text: &str) -> String {
        fill(text, &self.placeholders)
    }

    /// What was asked to run in it.
    pub fn runs(&self, workload: Workload) -> bool {
        workload == Workload::None || self.workload().is_some()
    }
}

pub(super) fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(&format!("${{{key}}}"), value))
}
