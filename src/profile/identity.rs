//! Who may log in to the cluster, and how the harness does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timespan;

/// Who may log in to the cluster, and how the harness does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdentityPromise {
    /// The identity provider, where people log in by OpenID Connect.
    pub oidc: Oidc,
}

/// The identity provider whose tokens the API server accepts. Commands are run without a shell in the profile's
/// directory; `@plimsoll` as the program is this program itself. `${context}` stands for the context of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// The issuer, as its tokens name it in `iss`.
    pub issuer: String,
    /// The audience that the API server expects in `aud`.
    pub audience: String,
    /// What the API server makes of a token's claims.
    pub claims: ClaimMappings,
    /// The groups of a tenant's roles, as the issuer knows them, without the prefix; with the placeholders of the
    /// tenancy section.
    pub groups: RoleGroups,
    /// Gives a token: an ExecCredential or the bare token on stdout. `${user}` and `${groups}` (separated by commas)
    /// say for whom; `${mfa}` (true or false), `${audience}`, `${lifetime}` (seconds, negative for one that is
    /// over) and `${notBefore}` (seconds from now) may be left out where the issuer cannot mint such tokens: what
    /// needs them is then not applicable.
    pub token: ProgramCall,
    /// Gives the issuer's key set on stdout (RFC 7517), as its `jwks_uri` does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<ProgramCall>,
    /// Gives a token of another issuer, one that exists and must not be trusted: another directory of the same
    /// provider, a partner's. The same placeholders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranger: Option<ProgramCall>,
    /// How the issuer's keys are rotated, where that may be done in a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<KeyRotation>,
}

/// What the API server makes of a token's claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimMappings {
    /// The claim that becomes the user.
    pub username: ClaimMapping,
    /// The claim that becomes the groups.
    pub groups: ClaimMapping,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimMapping {
    /// Its name.
    pub claim: String,
    /// What the API server puts before its value.
    #[serde(default)]
    pub prefix: String,
}

/// The groups of a tenant's roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleGroups {
    /// That of the administrators.
    pub admin: String,
    /// That of those who may look only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewer: Option<String>,
}

/// A program to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProgramCall {
    /// Program and arguments.
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(default = "default_timeout")]
    pub timeout: Timespan,
}

const fn default_timeout() -> Timespan {
    Timespan::from_secs(30)
}

impl ProgramCall {
    /// Whether an argument holds the placeholder.
    pub fn takes(&self, placeholder: &str) -> bool {
        let placeholder = format!("${{{placeholder}}}");
        self.command.iter().any(|word| word.contains(&placeholder))
    }
}

/// How the issuer's keys are rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRotation {
    /// Makes the issuer sign with a new key; the earlier one stays published.
    pub rotate: ProgramCall,
    /// Withdraws every key but the newest.
    pub withdraw: ProgramCall,
    /// The promised time until tokens of a withdrawn key are refused.
    pub refused_within: Timespan,
}

/// Where it is on record who did what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditPromise {
    /// Gives the audit log on stdout: events of `audit.k8s.io/v1` as JSON, one a line. `${since}` stands for the
    /// time (RFC 3339) from which on events are wanted; earlier ones do no harm.
    pub log: ProgramCall,
    /// The promised time from a request to its being on record.
    pub recorded_within: Timespan,
}

/// Another cluster of the fleet. A run finds it where `--peer NAME=CLUSTER` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerCluster {
    /// Its name, for `--peer` and reports.
    pub name: String,
    /// Whether people depend on it.
    pub environment: super::Environment,
}
