//! Writes a lab's certificates, kubeconfigs and configuration: everything that must be there before it starts.

use std::path::Path;

use base64::Engine as _;

use crate::address;
use crate::cgroup;
use crate::config::{ControlPlane, NodeConfig, kubeconfig};
use crate::error::{Context as _, LabError, Result};
use crate::paths::{LabPaths, create_dir, write, write_private};
use crate::pki::{Authority, Credential, Identity};
use crate::preflight::find_program;
use crate::state::{LabSpec, LabState};

/// For the process that starts the control plane: a member of `system:masters`, which needs no binding.
pub(crate) const CONTROL_KUBECONFIG: &str = "control.kubeconfig";
/// For the controller manager.
pub(crate) const CONTROLLER_MANAGER_KUBECONFIG: &str = "controller-manager.kubeconfig";
/// For the scheduler.
pub(crate) const SCHEDULER_KUBECONFIG: &str = "scheduler.kubeconfig";

/// The group of the lab's administrators: bound to `cluster-admin` like any other, so that a review of rights sees it.
const ADMINISTRATORS: &str = "plimsoll:lab-administrators";

/// Writes everything.
pub(crate) fn write_all(paths: &LabPaths, spec: &LabSpec) -> Result<()> {
    for directory in [paths.logs(), paths.etcd(), paths.config(), paths.pki()] {
        create_dir(&directory)?;
    }
    make_private(paths.root())?;
    make_private(&paths.etcd())?;
    let authority = Authority::create(&paths.pki())?;
    for (name, text) in ControlPlane::files(&random_key()?, &authority.certificate(), spec.environment)? {
        // One of them holds the key of the secrets.
        write_private(&paths.config().join(name), text)?;
    }

    let inside = format!("https://127.0.0.1:{}", address::API_PORT);
    for (file, user, group) in [
        (CONTROL_KUBECONFIG, "plimsoll-lab", Some("system:masters")),
        (CONTROLLER_MANAGER_KUBECONFIG, "system:kube-controller-manager", None),
        (SCHEDULER_KUBECONFIG, "system:kube-scheduler", None),
    ] {
        write_kubeconfig(&authority, &paths.config().join(file), &inside, Identity { user, group })?;
    }

    let admin = authority.client(Identity { user: "lab-admin", group: Some(ADMINISTRATORS) })?;
    write(&paths.pki().join("admin.crt"), &admin.certificate)?;
    write_private(&paths.pki().join("admin.key"), &admin.key)?;

    for (index, name) in spec.node_names().iter().enumerate() {
        write_node(paths, spec, &authority, index as u16, name)?;
    }
    Ok(())
}

/// Writes the administrator's kubeconfig, once the port is known.
pub(crate) fn write_admin_kubeconfig(paths: &LabPaths, spec: &LabSpec, state: &LabState) -> Result<()> {
    let read = |file: &str| {
        let path = paths.pki().join(file);
        std::fs::read_to_string(&path).context(|| format!("reading {}", path.display()))
    };
    let credential = Credential { certificate: read("admin.crt")?, key: read("admin.key")? };
    let server = format!("https://127.0.0.1:{}", state.api_port);
    let context = format!("plimsoll-{}", spec.name);
    let text = kubeconfig(&context, &server, &read("ca.crt")?, "lab-admin", &credential)?;
    if std::fs::read_to_string(paths.kubeconfig()).is_ok_and(|present| present == text) {
        return Ok(());
    }
    write_private(&paths.kubeconfig(), text)
}

fn write_node(paths: &LabPaths, spec: &LabSpec, authority: &Authority, index: u16, name: &str) -> Result<()> {
    let node = paths.node(name);
    let directory = node.config();
    let runtime = find_program("runc").ok_or_else(|| LabError::component("runc", "is not on PATH"))?;
    for (on_disk, _) in node.on_disk() {
        create_dir(&on_disk)?;
    }
    let config = NodeConfig {
        name,
        pod_range: &address::pod_range(index),
        directory: &directory,
        cgroup: &format!("/{}/{name}", cgroup::group_name(&spec.name)),
        snapshotter: snapshotter(node.root())?,
        runtime: &runtime.display().to_string(),
    };
    for (file, text) in config.files()? {
        write(&directory.join(file), text)?;
    }
    write(&directory.join("ca.crt"), authority.certificate())?;
    let serving = authority.server(
        &format!("system:node:{name}"),
        Some("system:nodes"),
        &[name],
        &[address::node(index)],
    )?;
    write(&directory.join("kubelet.crt"), &serving.certificate)?;
    write_private(&directory.join("kubelet.key"), &serving.key)?;

    let server = format!("https://{}:{}", address::CONTROL_PLANE, address::API_PORT);
    let kubelet = format!("system:node:{name}");
    for (file, user, group) in [
        ("kubelet.kubeconfig", kubelet.as_str(), Some("system:nodes")),
        ("kube-proxy.kubeconfig", "system:kube-proxy", None),
        (NodeConfig::NETPOL_KUBECONFIG, "plimsoll:netpol", None),
        (NodeConfig::VOLUMES_KUBECONFIG, "plimsoll:volumes", None),
    ] {
        write_kubeconfig(authority, &directory.join(file), &server, Identity { user, group })?;
    }
    Ok(())
}

fn write_kubeconfig(authority: &Authority, path: &Path, server: &str, identity: Identity<'_>) -> Result<()> {
    let credential = authority.client(identity)?;
    let text = kubeconfig("lab", server, &authority.certificate(), identity.user, &credential)?;
    write_private(path, text)
}

/// An overlay cannot keep its changes on another overlay, which is what a container's own disk is.
fn snapshotter(directory: &Path) -> Result<&'static str> {
    let kind = nix::sys::statfs::statfs(directory)
        .context(|| format!("asking for the file system of {}", directory.display()))?
        .filesystem_type();
    Ok(if kind == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC { "native" } else { "overlayfs" })
}

/// A key for the encryption of secrets.
fn random_key() -> Result<String> {
    use std::io::Read as _;
    let mut key = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut key))
        .context(|| "reading random bytes")?;
    Ok(base64::engine::general_purpose::STANDARD.encode(key))
}

/// Nobody else may look into the directory: logs and disks of pods are in it.
fn make_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
        .context(|| format!("protecting {}", directory.display()))
}
