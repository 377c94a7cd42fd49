//! What can go wrong between us and a cluster, typed by what the user can do about it.

use std::time::Duration;

use thiserror::Error;

use super::WaitError;
use crate::engine::{Reason, ReasonKind};

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorFamily {
    /// The user asked wrongly: exit 2.
    Usage,
    /// The cluster or the harness could not tell: inconclusive, exit 3.
    Trouble,
}

/// What can go wrong between us and a cluster.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No kubeconfig, or one that cannot be read.
    #[error("cannot use the kubeconfig {place}")]
    Kubeconfig {
        /// Which file or files.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The context is not in the kubeconfig.
    #[error("there is no context `{context}` in the kubeconfig{}", known_contexts(known))]
    UnknownContext {
        /// As asked for.
        context: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// In CI the context has to be named.
    #[error("no context is named; in CI the current context (`{current}`) is not taken by itself")]
    ContextRequired {
        /// The kubeconfig's current one.
        current: String,
    },
    /// The profile does not allow to change anything there.
    #[error("the profile `{profile}` does not allow to change anything in the context `{context}`")]
    ContextNotAllowed {
        /// The context.
        context: String,
        /// Name of the profile.
        profile: String,
        /// The patterns that it allows.
        allowed: Vec<String>,
    },
    /// The API server does not answer.
    #[error("the API server {server} does not answer: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// The cause, in one line.
        why: String,
    },
    /// The API server took the request, but did not answer in time.
    #[error("the API server {server} did not answer within {within:?}")]
    Slow {
        /// Its address.
        server: String,
        /// The deadline.
        within: Duration,
    },
    /// The API server does not know us (any more).
    #[error("the API server {server} does not accept the credentials: {why}")]
    Credentials {
        /// Its address.
        server: String,
        /// What it or the credential plugin said.
        why: String,
    },
    /// We may not do what we need to do.
    #[error("could not {doing}: {message}")]
    Forbidden {
        /// `list nodes`.
        doing: String,
        /// The server's words.
        message: String,
    },
    /// Any other answer.
    #[error("could not {doing}: {message}")]
    Api {
        /// `apply v1/Namespace plim-x7k2-alpha`.
        doing: String,
        /// Status code; 0 where there was none.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// A wait passed its deadline.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// A provider's program is not installed: nothing was touched.
    #[error("{provider}: there is no program `{program}`")]
    NoProgram {
        /// `kind`.
        provider: &'static str,
        /// As it was called.
        program: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A provider's program or library failed.
    #[error("{provider}: could not {doing}: {why}")]
    Provider {
        /// `kind`, `lab`.
        provider: &'static str,
        /// What.
        doing: String,
        /// Why.
        why: String,
        /// What to do.
        remedy: Option<String>,
    },
}

fn known_contexts(known: &[String]) -> String {
    match known {
        [] => " (it has none)".to_owned(),
        some => format!(
            " (it has {})",
            some.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

impl ClusterError {
    /// Who has to act.
    pub const fn family(&self) -> ErrorFamily {
        match self {
            Self::Kubeconfig { .. }
            | Self::UnknownContext { .. }
            | Self::ContextRequired { .. }
            | Self::ContextNotAllowed { .. }
            | Self::NoProgram { .. } => ErrorFamily::Usage,
            _ => ErrorFamily::Trouble,
        }
    }

    /// What to do, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Kubeconfig { .. } => Some(
                "name one with `--kubeconfig FILE` or KUBECONFIG, or use the lab: `--cluster lab`".into(),
            ),
            Self::UnknownContext { .. } => Some("`kubectl config get-contexts` lists them".into()),
            Self::ContextRequired { .. } => Some("name it with `--context NAME`".into()),
            Self::ContextNotAllowed { allowed, .. } => Some(format!(
                "add the context to `spec.allowedContexts` of the profile (now: {}), if it is meant to be tested",
                allowed.join(", ")
            )),
            Self::Unreachable { .. } | Self::Slow { .. } => Some(
                "see whether the server is up and this machine reaches it (`kubectl version` by the same kubeconfig \
                 and context); what was asked can be repeated when it is back"
                    .into(),
            ),
            Self::Credentials { .. } => Some("log in again (or renew the token), then repeat the run".into()),
            Self::Forbidden { .. } => Some("`plimsoll doctor` lists the rights that each suite needs".into()),
            Self::NoProgram { remedy, .. } => Some((*remedy).to_owned()),
            Self::Provider { remedy, .. } => remedy.clone(),
            Self::Api { .. } | Self::Wait(_) => None,
        }
    }
}

impl From<ClusterError> for Reason {
    fn from(error: ClusterError) -> Self {
        let hint = error.hint();
        let mut reason = Self::new(ReasonKind::Trouble, error.to_string());
        if let ClusterError::Wait(wait) = &error {
            reason.details.clone_from(&wait.details);
        }
        reason.hint = hint;
        reason
    }
}
