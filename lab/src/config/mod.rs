//! Renders what the lab's processes are configured with. Nothing here touches the machine.

mod control_plane;
mod kubeconfig;
mod node;

pub(crate) use control_plane::{APISERVER, AUDIT, AUTHENTICATION, ApiServerSettings, ControlPlane, ISSUER};
pub(crate) use kubeconfig::kubeconfig;
pub(crate) use node::{CONTAINERD_SOCKET, NETPOL_PLUGIN, NETPOL_SOCKET, NodeConfig};

use crate::error::{LabError, Result};

/// A file to write: its name in the directory of its configuration, and its text.
pub(crate) type Rendered = (&'static str, String);

fn yaml(value: &serde_json::Value) -> Result<String> {
    serde_yaml::to_string(value).map_err(|error| LabError::component("configuration", error.to_string()))
}
