//! What tenants may do with services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether tenants may have something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// It is refused, by whichever guard.
    #[default]
    Refused,
    /// It is no business of the platform's, so that nobody looks.
    Allowed,
}

/// Which services a tenant may have beyond plain ones. What is left out is refused. Wherever they point, they carry
/// nothing to another tenant's pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Services {
    /// A port on every node.
    pub node_ports: Permission,
    /// An address outside the cluster.
    pub load_balancers: Permission,
    /// Addresses whose traffic a service draws to itself, wherever they belong (`externalIPs`).
    pub external_addresses: Permission,
    /// A name that stands for another one, wherever that leads (`ExternalName`).
    pub external_names: Permission,
    /// Endpoints and endpoint slices that a tenant writes by hand.
    pub endpoints: Permission,
}
