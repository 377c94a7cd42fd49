//! Who may do everything, and what those may do who are not logged in.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Rule;

/// Kinds of subjects, as in bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A user name.
    User,
    /// A group of users.
    Group,
    /// A service account.
    ServiceAccount,
}

/// What makes somebody the administrator of the whole cluster, at once or by a detour.
/// See <https://kubernetes.io/docs/concepts/security/rbac-good-practices/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// No authorizer is asked: the group `system:masters`.
    BypassAuthorizers,
    /// Every verb on every resource.
    Everything,
    /// To act under the names of others.
    Impersonate,
    /// To bind roles that hold more than oneself.
    BindRoles,
    /// To write roles that hold more than oneself.
    EscalateRoles,
    /// To write roles and bindings, within what oneself holds.
    WriteRoles,
    /// To read secrets, the tokens of others among them.
    ReadSecrets,
    /// To run pods under the service accounts of others.
    RunPods,
    /// To enter pods of others: `exec`, `attach`, debug containers.
    EnterPods,
    /// To issue tokens of other service accounts.
    IssueTokens,
    /// To approve or sign client certificates under any name.
    ApproveCertificates,
    /// To reach kubelets through the API server, and so every pod of a node.
    ReachKubelets,
    /// To write what the API server asks before it stores: webhooks and policies of admission.
    ChangeAdmission,
    /// To serve APIs in the API server's place.
    ServeApis,
    /// To make volumes of any path of any node.
    MakeVolumes,
}

impl Power {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::BypassAuthorizers,
        Self::Everything,
        Self::Impersonate,
        Self::BindRoles,
        Self::EscalateRoles,
        Self::WriteRoles,
        Self::ReadSecrets,
        Self::RunPods,
        Self::EnterPods,
        Self::IssueTokens,
        Self::ApproveCertificates,
        Self::ReachKubelets,
        Self::ChangeAdmission,
        Self::ServeApis,
        Self::MakeVolumes,
    ];

    /// What its holder may do, in the words of reports.
    pub const fn words(self) -> &'static str {
        match self {
            Self::BypassAuthorizers => "is asked by no authorizer",
            Self::Everything => "may do everything",
            Self::Impersonate => "may act under the names of others",
            Self::BindRoles => "may bind roles that hold more than itself",
            Self::EscalateRoles => "may write roles that hold more than itself",
            Self::WriteRoles => "may write roles or bindings",
            Self::ReadSecrets => "may read every secret",
            Self::RunPods => "may run pods under the service accounts of others",
            Self::EnterPods => "may enter the pods of others",
            Self::IssueTokens => "may issue tokens of other service accounts",
            Self::ApproveCertificates => "may approve or sign client certificates",
            Self::ReachKubelets => "may reach kubelets through the API server",
            Self::ChangeAdmission => "may write what admission asks",
            Self::ServeApis => "may serve APIs in the API server's place",
            Self::MakeVolumes => "may make volumes of any path of a node",
        }
    }
}

/// Somebody who may come to be the administrator of the whole cluster, and is meant to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterAdmin {
    /// User, group or service account.
    pub kind: SubjectKind,
    /// Its name; of a service account with its namespace: `kube-system/replicaset-controller`. `*` and `?` match as in
    /// a shell.
    pub name: String,
    /// By which powers; left out, by any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub powers: Option<BTreeSet<Power>>,
    /// Why that is so.
    pub why: String,
}

/// What those may do who are not logged in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Anonymous {
    /// Paths of the API server that answer without credentials, exactly these: `/livez`.
    pub paths: Vec<String>,
    /// Roles that may be bound to `system:anonymous` or `system:unauthenticated`, and no others. A binding counts even
    /// where the API server lets nobody in without credentials: it waits for the day when it does.
    #[serde(default)]
    pub roles: Vec<AnonymousRole>,
}

/// A role of those who are not logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnonymousRole {
    /// Its namespace; left out, the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the `ClusterRole` or `Role`.
    pub role: String,
    /// Paths that it may grant, as rules name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Resources that it may grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}
