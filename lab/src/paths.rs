//! Where a lab keeps its files: state that goes with the lab, and a cache that stays.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Context as _, LabError, Result};

/// The name of a lab: a DNS label of at most 32 characters, since it becomes part of paths and cgroup names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabName(String);

impl LabName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LabName {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self> {
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty()
            || text.len() > 32
            || !text.chars().all(label)
            || text.starts_with('-')
            || text.ends_with('-')
        {
            return Err(LabError::Usage(format!(
                "\"{text}\" cannot be the name of a lab: use 1 to 32 lower-case letters, digits and inner hyphens"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The two base directories.
#[derive(Debug, Clone)]
pub struct Home {
    state: PathBuf,
    cache: PathBuf,
}

impl Home {
    /// The directories that the XDG base directory specification names.
    pub fn from_env() -> Result<Self> {
        Ok(Self::new(
            xdg("XDG_STATE_HOME", ".local/state")?.join("plimsoll"),
            xdg("XDG_CACHE_HOME", ".cache")?.join("plimsoll"),
        ))
    }

    /// Explicit directories, for tests and for embedding.
    pub fn new(state: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Self {
        Self { state: resolved(&state.into()), cache: resolved(&cache.into()) }
    }

    /// What is kept from one lab to the next: built components and locks.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The directory that holds one directory a lab.
    pub fn labs(&self) -> PathBuf {
        self.state.join("lab")
    }

    /// The built components.
    pub fn components(&self) -> PathBuf {
        self.cache.join("components")
    }

    /// Lock files. They are in the cache, because a lock whose file is removed under it protects nothing.
    pub fn locks(&self) -> PathBuf {
        self.cache.join("locks")
    }

    /// The files of one lab.
    pub fn lab(&self, name: &LabName) -> LabPaths {
        LabPaths { root: self.labs().join(name.as_str()) }
    }

    /// The names of the labs that have left files, running or not.
    pub fn lab_names(&self) -> Vec<LabName> {
        let Ok(entries) = fs::read_dir(self.labs()) else { return Vec::new() };
        let mut names: Vec<LabName> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names
    }

    /// Removes the directories above a removed lab as far as they are empty.
    pub(crate) fn prune(&self) {
        // An error means that it is in use or gone: both are fine.
        let _ = fs::remove_dir(self.labs());
        let _ = fs::remove_dir(&self.state);
    }
}

/// A path without symbolic links, as far as it exists: a node sees the lab's directories at the same path, in a root
/// of its own where a link would lead out to the machine's.
fn resolved(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            return real.join(rest);
        }
    }
    path.to_owned()
}

fn xdg(variable: &str, fallback: &str) -> Result<PathBuf> {
    if let Some(value) = env::var_os(variable).map(PathBuf::from)
        && value.is_absolute()
    {
        return Ok(value);
    }
    env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(fallback)).ok_or_else(|| {
        LabError::precondition(
            "there is no home directory to keep the lab in",
            format!("set HOME or {variable}"),
        )
    })
}

/// The files of one lab.
#[derive(Debug, Clone)]
pub struct LabPaths {
    root: PathBuf,
}

impl LabPaths {
    /// The paths under a given directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory of the lab.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the lab was asked to be.
    pub fn spec(&self) -> PathBuf {
        self.root.join("spec.json")
    }

    /// Who runs it.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The socket that the running lab takes requests on.
    pub fn socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The administrator's kubeconfig, for use outside.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// Configuration of the control plane.
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// The socket that the identity provider takes requests on.
    pub fn issuer_socket(&self) -> PathBuf {
        self.root.join("issuer.sock")
    }

    /// The settings of the identity provider.
    pub fn issuer_settings(&self) -> PathBuf {
        self.config().join("issuer.yaml")
    }

    /// One log file a process.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of one process.
    pub fn log(&self, component: &str) -> PathBuf {
        self.logs().join(format!("{component}.log"))
    }

    /// The data of etcd.
    pub fn etcd(&self) -> PathBuf {
        self.root.join("etcd")
    }

    /// The manifests that come with the lab.
    pub fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    /// The files of one node.
    pub fn node(&self, node: &str) -> NodePaths {
        NodePaths { root: self.root.join("nodes").join(node) }
    }
}

/// The files of one node.
#[derive(Debug, Clone)]
pub struct NodePaths {
    root: PathBuf,
}

impl NodePaths {
    /// Where a node sees the directory of its local volumes.
    pub const VOLUMES: &'static str = "/var/lib/plimsoll/volumes";

    /// The directory of the node.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Configuration and credentials of the node's own processes.
    pub fn config(&self) -> PathBuf {
        self.root.join("config")
    }

    /// What becomes the node's root directory, in the node's mount namespace only.
    pub fn view(&self) -> PathBuf {
        self.root.join("view")
    }

    /// Directories that are kept on disk, with the place where the node sees them.
    pub fn on_disk(&self) -> [(PathBuf, &'static str); 5] {
        [
            (self.root.join("kubelet"), "/var/lib/kubelet"),
            (self.root.join("containerd"), "/var/lib/containerd"),
            (self.root.join("pods"), "/var/log/pods"),
            (self.root.join("containers"), "/var/log/containers"),
            (self.root.join("volumes"), Self::VOLUMES),
        ]
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    write_mode(path, content.as_ref(), 0o600)
}

/// Writes a file, with the directories above it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    write_mode(path, content.as_ref(), 0o644)
}

fn write_mode(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    // Written beside and moved, so that no reader ever sees half of it.
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let _ = fs::remove_file(&draft);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&draft, path))
        .context(|| format!("writing {}", path.display()))
}

/// Makes a directory and those above it.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("making the directory {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn names_are_dns_labels() {
        for good in ["default", "a", "lab-2", "0"] {
            assert!(good.parse::<LabName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a b", &"x".repeat(33)] {
            assert!(bad.parse::<LabName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_linked_home_is_seen_where_it_really_is() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        fs::create_dir(real.join("disk")).unwrap();
        std::os::unix::fs::symlink("disk", real.join("link")).unwrap();
        let home = Home::new(real.join("link/state"), real.join("link"));
        assert_eq!(home.labs(), real.join("disk/state/lab"));
        assert_eq!(home.components(), real.join("disk/components"));
    }

    #[test]
    fn private_files_are_private_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/secret");
        write_private(&path, "x").unwrap();
        write_private(&path, "y").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "y");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
