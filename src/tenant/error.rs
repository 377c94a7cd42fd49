//! What can go wrong with a tenant.

use std::time::Duration;

use thiserror::Error;

use crate::cluster::{ApplyError, ClusterError};
use crate::engine::{Reason, ReasonKind};

/// What can go wrong with a tenant. Shared tenants are asked for by many, so the error is, too.
#[derive(Clone, Debug, Error)]
pub enum TenantError {
    /// The cluster did not do what was asked.
    #[error("could not {doing}: {source}")]
    Cluster {
        /// `onboard tenant alpha`.
        doing: String,
        /// Why.
        source: std::sync::Arc<ClusterError>,
    },
    /// The blueprint's manifests are wrong.
    #[error("the tenant's manifests cannot be used: {source}")]
    Manifests {
        /// Why.
        source: std::sync::Arc<ApplyError>,
    },
    /// A file of the adapter cannot be read.
    #[error("cannot read `{place}`: {why}")]
    Files {
        /// Which.
        place: String,
        /// Why.
        why: String,
    },
    /// A command of the adapter failed.
    #[error("the command `{command}` {why}")]
    Command {
        /// Program and arguments.
        command: String,
        /// `ended with exit status 1` and the like.
        why: String,
        /// The end of what it wrote.
        output: Vec<String>,
    },
    /// The onboarding path ended well, but what it should have made is not there.
    #[error("onboarding {tenant} by `{adapter}` ended well, but {missing}")]
    NotOnboarded {
        /// The tenant.
        tenant: String,
        /// The adapter.
        adapter: &'static str,
        /// What is missing.
        missing: String,
    },
    /// All existing tenants are lent.
    #[error("the profile names {count} existing tenants, and `{tenant}` would be one more")]
    NoneLeft {
        /// Who asked.
        tenant: String,
        /// How many there are.
        count: usize,
    },
    /// There is no identity for that role.
    #[error("the profile has no identity for the {role} of a tenant")]
    NoIdentity {
        /// `viewer`.
        role: &'static str,
    },
    /// Too little of the cluster is usable.
    #[error("no node takes pods: {why}")]
    NoNodes {
        /// What is seen.
        why: String,
    },
    /// It took too long altogether.
    #[error("tenant {tenant} was not usable within {within:?}: {last}")]
    TooSlow {
        /// The tenant.
        tenant: String,
        /// The deadline.
        within: Duration,
        /// What was being done.
        last: String,
    },
    /// The pool is closed.
    #[error("tenant {tenant} was asked for after the tenants of the run were removed")]
    Closed {
        /// Who asked.
        tenant: String,
    },
}

impl TenantError {
    pub(super) fn cluster(doing: impl Into<String>) -> impl FnOnce(ClusterError) -> Self {
        let doing = doing.into();
        move |source| Self::Cluster { doing, source: std::sync::Arc::new(source) }
    }
}

impl From<TenantError> for Reason {
    fn from(error: TenantError) -> Self {
        let mut reason = Self::new(ReasonKind::Trouble, error.to_string());
        match &error {
            TenantError::Cluster { source, .. } => {
                reason.hint = source.hint();
                if let ClusterError::Wait(wait) = &**source {
                    reason.details.clone_from(&wait.details);
                }
            }
            TenantError::Command { output, .. } => reason.details.clone_from(output),
            TenantError::NoneLeft { .. } => {
                reason.hint = Some("name more under `spec.tenancy.onboarding.existing.tenants`".to_owned());
            }
            TenantError::NoIdentity { role } => {
                reason.hint = Some(format!("add `spec.tenancy.identities.{role}` to the profile"));
            }
            _ => {}
        }
        reason
    }
}
