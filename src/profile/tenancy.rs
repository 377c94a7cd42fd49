//! How tenants come, go, and are acted for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timespan;

/// How tenants come, go, and are acted for. In every string of this section `${tenant}` stands for the
/// tenant's id on the cluster (`plim-k3x9-alpha`), `${name}` for its name in the features (`alpha`) and
/// `${run}` for the run's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenancy {
    /// The platform's own way to a tenant. Exactly one adapter.
    pub onboarding: Onboarding,
    /// The namespaces of a tenant; the first is where its workload runs.
    #[serde(default = "default_namespaces")]
    pub namespaces: Vec<String>,
    /// The label that says whose a namespace is.
    pub owner_label: OwnerLabel,
    /// How to act as the roles of a tenant.
    pub identities: Identities,
}

fn default_namespaces() -> Vec<String> {
    vec!["${tenant}".to_owned()]
}

/// The label that says whose a namespace is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnerLabel {
    /// Label key.
    pub key: String,
    /// Label value, by default the tenant's id.
    #[serde(default = "default_owner")]
    pub value: String,
}

fn default_owner() -> String {
    "${tenant}".to_owned()
}

/// The platform's own way to a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Onboarding {
    /// A directory of manifests with placeholders, applied by the harness.
    Manifests(ManifestsAdapter),
    /// Commands of the platform.
    Command(CommandAdapter),
    /// Tenants that are already there; the harness makes and removes none.
    Existing(ExistingAdapter),
}

impl Onboarding {
    /// The adapter's name, as in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Manifests(_) => "manifests",
            Self::Command(_) => "command",
            Self::Existing(_) => "existing",
        }
    }
}

/// A directory of manifests with placeholders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestsAdapter {
    /// The directory, relative to the profile's file. `@lab/tenant` is the blueprint that the lab brings.
    pub directory: String,
    /// Further placeholders and their values.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// Other directories for tenants of these names. No part of the format: only a sabotage onboards one tenant
    /// otherwise than the others.
    #[serde(skip)]
    pub instead: BTreeMap<String, String>,
}

/// Commands of the platform. They get `PLIMSOLL_TENANT`, `PLIMSOLL_NAME`, `PLIMSOLL_RUN`, `PLIMSOLL_CONTEXT`,
/// `PLIMSOLL_LABELS` (`key=value,...`, to be put on what they make), `PLIMSOLL_EXPIRES_AT` (for the annotation
/// `plimsoll.dev/expires-at`) and `KUBECONFIG`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandAdapter {
    /// Program and arguments that onboard one tenant; run without a shell, from the profile's directory.
    pub onboard: Vec<String>,
    /// Program and arguments that remove it again.
    pub offboard: Vec<String>,
    /// How long each may take.
    #[serde(default = "default_command_timeout")]
    pub timeout: Timespan,
    /// Further environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

const fn default_command_timeout() -> Timespan {
    Timespan::from_secs(300)
}

/// Tenants that are already there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingAdapter {
    /// They are lent to scenarios in this order.
    pub tenants: Vec<ExistingTenant>,
}

/// A tenant that is already there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingTenant {
    /// Its id: the value of `${tenant}`.
    pub name: String,
    /// Its namespaces; by default those of the pattern.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

/// How to act as the roles of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identities {
    /// Who administers the tenant.
    pub admin: Identity,
    /// Who may look only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewer: Option<Identity>,
}

/// How to act as somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Identity {
    /// By impersonation: the caller needs the right to it.
    Impersonate(Impersonation),
    /// By credentials of its own.
    Kubeconfig(KubeconfigIdentity),
}

/// A user and its groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Impersonation {
    /// User name.
    pub user: String,
    /// Groups; `system:authenticated` is added.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Credentials of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeconfigIdentity {
    /// The file, relative to the profile's; by default the one of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The context in it.
    pub context: String,
}
