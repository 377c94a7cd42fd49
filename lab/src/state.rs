//! What a running lab writes down about itself, and how a process is told from another with the same number.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::paths::{LabPaths, write};
use crate::patience::Patience;

/// Who brings the pod network and its policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, Default)]
#[serde(rename_all = "lowercase")]
pub enum Cni {
    /// The lab: the upstream `ptp` plugin, and NetworkPolicy in nftables.
    #[default]
    Bundled,
    /// The user: no CNI configuration is written and no policy is enforced until a network add-on is installed.
    External,
}

/// Whether people would depend on the cluster, were it not a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// They would: whoever logs in shows a second factor.
    Production,
    /// They would not.
    #[default]
    NonProduction,
}

impl std::fmt::Display for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Production => "production",
            Self::NonProduction => "non-production",
        })
    }
}

/// What a lab was asked to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabSpec {
    /// The lab's name.
    pub name: String,
    /// How many nodes.
    pub nodes: u16,
    /// The loopback port of the API server; 0 takes any free one.
    pub api_port: u16,
    /// Who brings the network.
    pub cni: Cni,
    /// What the cluster is for.
    #[serde(default)]
    pub environment: Environment,
    /// How much longer than usual its processes wait for each other.
    #[serde(default)]
    pub patience: Patience,
    /// The version of Kubernetes.
    #[serde(default)]
    pub kubernetes: Option<String>,
    /// Directories of built components, by component name.
    pub components: std::collections::BTreeMap<String, std::path::PathBuf>,
}

impl LabSpec {
    pub(crate) fn write(&self, paths: &LabPaths) -> Result<()> {
        write(&paths.spec(), to_json(self)?)
    }

    pub(crate) fn read(paths: &LabPaths) -> Result<Option<Self>> {
        read_json(&paths.spec())
    }

    /// The names of the nodes, in order.
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| format!("node-{number}")).collect()
    }

    /// The directory of a built component.
    pub(crate) fn component(&self, name: &str) -> Result<&Path> {
        self.components
            .get(name)
            .map(std::path::PathBuf::as_path)
            .ok_or_else(|| LabError::component(name, "not part of this lab's specification"))
    }

    /// One program of a built component.
    pub(crate) fn program(&self, component: &str, program: &str) -> Result<std::path::PathBuf> {
        Ok(self.component(component)?.join("bin").join(program))
    }
}

/// A process, told from a later one with the same number by the time it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process number.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub started: u64,
    /// Which boot.
    pub boot: String,
}

impl ProcessIdentity {
    /// The identity of a live process; `None` where there is none, or only its remains.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (state, started) = parse_stat(&stat)?;
        if matches!(state, 'Z' | 'X') {
            return None;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, started, boot })
    }

    /// As [`ProcessIdentity::of`], for a number as the standard library has it.
    pub(crate) fn of_id(pid: u32) -> Option<Self> {
        Self::of(i32::try_from(pid).ok()?)
    }

    /// Whether exactly this process is still alive.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// The state letter and the start time out of `/proc/PID/stat`, whose second field may contain anything.
fn parse_stat(stat: &str) -> Option<(char, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The start time is field 22; the state was field 3.
    let started = fields.nth(18)?.parse().ok()?;
    Some((state, started))
}

/// Who runs a lab, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabState {
    /// The process in the machine's own namespaces.
    pub supervisor: ProcessIdentity,
    /// The first process of the lab's namespaces: every other one dies with it.
    pub init: Option<ProcessIdentity>,
    /// The loopback port of the API server.
    pub api_port: u16,
    /// The control groups made for the lab.
    pub cgroups: Vec<std::path::PathBuf>,
}

impl LabState {
    pub(crate) fn write(&self, paths: &LabPaths) -> Result<()> {
        write(&paths.state(), to_json(self)?)
    }

    pub(crate) fn read(paths: &LabPaths) -> Result<Option<Self>> {
        read_json(&paths.state())
    }

    /// Whether the lab's processes can be alive.
    pub(crate) fn is_running(&self) -> bool {
        self.supervisor.is_alive() && self.init.as_ref().is_none_or(ProcessIdentity::is_alive)
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| LabError::component("state", error.to_string()))
}

/// Reads a file of ours. One that is missing or that an earlier version or a full disk left unreadable counts as
/// absent: its lab is dead or will be cleaned up as such.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LabError::Io { what: format!("reading {}", path.display()), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_confuse_the_parser() {
        let stat = "42 (a) R 1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 7777 20";
        assert_eq!(parse_stat(stat), Some(('S', 7777)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn identity_survives_neither_the_process_nor_its_number() {
        let own = ProcessIdentity::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { started: own.started + 1, ..own.clone() }.is_alive());
        assert!(!ProcessIdentity { boot: "another".into(), ..own }.is_alive());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id() as i32);
        child.wait().unwrap();
        assert!(identity.is_none_or(|identity| !identity.is_alive()));
    }

    #[test]
    fn state_round_trips_and_rubbish_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let paths = LabPaths::at(dir.path());
        assert_eq!(LabState::read(&paths).unwrap(), None);
        let state = LabState {
            supervisor: ProcessIdentity { pid: 1, started: 2, boot: "b".into() },
            init: None,
            api_port: 6443,
            cgroups: vec!["/sys/fs/cgroup/x".into()],
        };
        state.write(&paths).unwrap();
        assert_eq!(LabState::read(&paths).unwrap(), Some(state));
        fs::write(paths.state(), "{").unwrap();
        assert_eq!(LabState::read(&paths).unwrap(), None);
    }
}
