//! The record of who did what.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::profile::{AuditPromise, LoadedPlatform};
use crate::services::CommandError;
use crate::services::command::{Surroundings, lines};

/// One event of `audit.k8s.io/v1`, as far as it is looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// The API server's number of the request; it stands in the answer's header, too.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `Metadata`, `Request`, `RequestResponse`.
    #[serde(default)]
    pub level: String,
    /// `ResponseComplete` is the last one of a request.
    pub stage: String,
    /// The verb.
    #[serde(default)]
    pub verb: String,
    /// Who.
    #[serde(default)]
    pub user: AuditUser,
    /// For whom, where somebody acted as somebody else.
    #[serde(default)]
    pub impersonated_user: Option<AuditUser>,
    /// To what.
    #[serde(default)]
    pub object_ref: Option<AuditObject>,
    /// With which result.
    #[serde(default)]
    pub response_status: Option<AuditStatus>,
    /// When the request came in.
    pub request_received_timestamp: Timestamp,
}

/// Who did something.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AuditUser {
    /// The user.
    #[serde(default)]
    pub username: String,
    /// Its groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// What something was done to.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AuditObject {
    /// `pods`.
    #[serde(default)]
    pub resource: String,
    /// Its namespace, where it has one.
    #[serde(default)]
    pub namespace: String,
    /// Its name, where one was given.
    #[serde(default)]
    pub name: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AuditStatus {
    /// The HTTP status.
    #[serde(default)]
    pub code: u16,
}

impl AuditEvent {
    /// Whose doing it was in the end.
    pub fn who(&self) -> &str {
        self.impersonated_user.as_ref().map_or(&self.user.username, |user| &user.username)
    }
}

/// The audit log of one cluster.
#[derive(Clone, Debug)]
pub struct AuditLog {
    promise: AuditPromise,
    directory: PathBuf,
    context: String,
    kubeconfig: String,
}

impl AuditLog {
    /// The one of the profile, for a cluster; none where the profile gives no access to it.
    pub fn of(profile: &LoadedPlatform, cluster: &Cluster) -> Option<Self> {
        Some(Self {
            promise: profile.platform.spec.audit.clone()?,
            directory: profile.directory.clone(),
            context: cluster.context().to_owned(),
            kubeconfig: cluster.kubeconfig().to_owned(),
        })
    }

    /// What the profile promises of it.
    pub const fn promise(&self) -> &AuditPromise {
        &self.promise
    }

    /// Shows each line of the log from about then on with its event, one after the other: the log of a busy cluster is
    /// larger than anybody's memory. A line that cannot be read is an error, since it may be the one that matters.
    ///
    /// # Errors
    /// The log cannot be had, or a line is no event.
    pub async fn each(
        &self,
        since: Timestamp,
        mut show: impl FnMut(&str, AuditEvent),
    ) -> Result<(), CommandError> {
        let since = since.to_string();
        let values = [("context", self.context.as_str()), ("since", &since)];
        let around = Surroundings { directory: &self.directory, kubeconfig: &self.kubeconfig };
        let mut unreadable = None;
        lines(&self.promise.log, &values, around, |line| {
            let line = line.trim();
            if line.is_empty() || unreadable.is_some() {
                return;
            }
            match serde_json::from_str(line) {
                Ok(event) => show(line, event),
                Err(error) => unreadable = Some(error.column()),
            }
        })
        .await?;
        match unreadable {
            None => Ok(()),
            Some(column) => Err(CommandError::Answer {
                program: self.promise.log.command.first().cloned().unwrap_or_default(),
                what: "an audit log",
                // The error's own words may hold a piece of the line.
                why: format!("a line cannot be read (column {column})"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_who_what_when() {
        let line = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete",
            "requestURI":"/","verb":"create","user":{"username":"admin","groups":["a"]},
            "impersonatedUser":{"username":"alice"},"sourceIPs":["127.0.0.1"],
            "objectRef":{"resource":"configmaps","namespace":"n","name":"x","apiVersion":"v1"},
            "responseStatus":{"metadata":{},"code":201},"requestReceivedTimestamp":"2026-11-24T10:00:00.000001Z",
            "stageTimestamp":"2026-11-24T10:00:00.010000Z"}"#;
        let event: AuditEvent = serde_json::from_str(line).unwrap();
        assert_eq!(event.who(), "alice");
        assert_eq!(event.object_ref.unwrap().name, "x");
        assert_eq!(event.response_status.unwrap().code, 201);
    }
}
