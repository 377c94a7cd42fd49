//! Tells a process which part of a lab it is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::{control, init, node, supervisor};
use crate::error::{LabError, Result};

/// The first argument of the lab's own processes.
pub(crate) const HIDDEN_ARGUMENT: &str = "__lab";

/// A part of a lab, with what it needs to know at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// Outside of the lab's namespaces; `lock` is held as long as the lab lives.
    Supervisor { root: PathBuf, lock: PathBuf },
    /// First process of a lab; `parent` is who must be alive for it to be.
    InitLab { root: PathBuf, parent: u32 },
    /// The control plane.
    Control { root: PathBuf },
    /// The identity provider.
    Issuer { root: PathBuf },
    /// On the way into a node's namespaces.
    NodeEnter { root: PathBuf, node: String },
    /// First process of a node.
    InitNode { root: PathBuf, node: String, parent: u32 },
    /// A node.
    Node { root: PathBuf, node: String },
    /// The NetworkPolicy dataplane of a node.
    Netpol { node: String, kubeconfig: PathBuf, pods: String, status: PathBuf },
    /// Its CNI plugin, run by containerd for every pod.
    NetpolPlugin,
    /// The provisioner of a node's local volumes.
    Volumes { node: String, kubeconfig: PathBuf },
}

impl Role {
    /// The command that starts it: this very executable, also if its file has been replaced meanwhile.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg(HIDDEN_ARGUMENT).args(self.arguments());
        command
    }

    /// What follows the hidden argument.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        match self {
            Self::Supervisor { root, lock } => vec!["supervisor".into(), root.into(), lock.into()],
            Self::InitLab { root, parent } => vec!["init-lab".into(), root.into(), parent.to_string().into()],
            Self::Control { root } => vec!["control".into(), root.into()],
            Self::Issuer { root } => vec!["issuer".into(), root.into()],
            Self::NodeEnter { root, node } => vec!["node-enter".into(), root.into(), node.into()],
            Self::InitNode { root, node, parent } => {
                vec!["init-node".into(), root.into(), node.into(), parent.to_string().into()]
            }
            Self::Node { root, node } => vec!["node".into(), root.into(), node.into()],
            Self::Netpol { node, kubeconfig, pods, status } => {
                vec!["netpol".into(), node.into(), kubeconfig.into(), pods.into(), status.into()]
            }
            Self::NetpolPlugin => vec!["netpol-plugin".into()],
            Self::Volumes { node, kubeconfig } => vec!["volumes".into(), node.into(), kubeconfig.into()],
        }
    }

    fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let role = words.next()?;
        let mut word = || words.next();
        let text = |word: OsString| word.into_string().ok();
        let number = |word: OsString| word.to_str()?.parse().ok();
        Some(match role.to_str()? {
            "supervisor" => Self::Supervisor { root: word()?.into(), lock: word()?.into() },
            "init-lab" => Self::InitLab { root: word()?.into(), parent: number(word()?)? },
            "control" => Self::Control { root: word()?.into() },
            "issuer" => Self::Issuer { root: word()?.into() },
            "node-enter" => Self::NodeEnter { root: word()?.into(), node: text(word()?)? },
            "init-node" => {
                Self::InitNode { root: word()?.into(), node: text(word()?)?, parent: number(word()?)? }
            }
            "node" => Self::Node { root: word()?.into(), node: text(word()?)? },
            "netpol" => Self::Netpol {
                node: text(word()?)?,
                kubeconfig: word()?.into(),
                pods: text(word()?)?,
                status: word()?.into(),
            },
            "netpol-plugin" => Self::NetpolPlugin,
            "volumes" => Self::Volumes { node: text(word()?)?, kubeconfig: word()?.into() },
            _ => return None,
        })
    }

    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Supervisor { root, lock } => supervisor::run(&root, &lock),
            Self::InitLab { root, parent } => init::lab(&root, parent),
            Self::Control { root } => runtime()?.block_on(control::run(root)),
            Self::Issuer { root } => runtime()?.block_on(crate::issuer::run(root)),
            Self::NodeEnter { root, node } => supervisor::enter_node(&root, &node),
            Self::InitNode { root, node, parent } => init::node(&root, &node, parent),
            Self::Node { root, node } => runtime()?.block_on(node::run(root, node)),
            Self::Netpol { node, kubeconfig, pods, status } => {
                runtime()?.block_on(node::netpol(node, kubeconfig, &pods, status))
            }
            Self::Volumes { node, kubeconfig } => runtime()?.block_on(node::volumes(node, kubeconfig)),
            Self::NetpolPlugin => {
                let variable = |name: &str| std::env::var(name).ok();
                let status = crate::netpol::plugin(variable, std::io::stdin(), std::io::stdout());
                return Ok(ExitCode::from(status));
            }
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

/// Becomes a part of a lab if this process was started as one, and does not return then. Every binary that uses
/// this crate must call it first thing in `main`, before any thread exists.
pub fn dispatch() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()?.to_str() != Some(HIDDEN_ARGUMENT) {
        return None;
    }
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new("info,kube_client=off"))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let outcome = Role::parse(words)
        .ok_or_else(|| LabError::Usage(format!("{HIDDEN_ARGUMENT} is for the lab's own processes")))
        .and_then(Role::run);
    Some(match outcome {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| LabError::Io { what: "starting the runtime".into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_survives_its_command_line() {
        let (root, node) = (PathBuf::from("/lab"), "node-1".to_owned());
        for role in [
            Role::Supervisor { root: root.clone(), lock: "/lock".into() },
            Role::InitLab { root: root.clone(), parent: 7 },
            Role::Control { root: root.clone() },
            Role::Issuer { root: root.clone() },
            Role::NodeEnter { root: root.clone(), node: node.clone() },
            Role::InitNode { root: root.clone(), node: node.clone(), parent: 8 },
            Role::Node { root: root.clone(), node: node.clone() },
            Role::NetpolPlugin,
            Role::Volumes { node: node.clone(), kubeconfig: "/k".into() },
            Role::Netpol { node, kubeconfig: "/k".into(), pods: "198.19.0.0/24".into(), status: "/s".into() },
        ] {
            assert_eq!(Role::parse(role.arguments().into_iter()), Some(role));
        }
        assert_eq!(Role::parse(["rubbish".into()].into_iter()), None);
    }
}
