//! Control groups of a lab, in the first and in the second version of the kernel's interface. Hierarchies are used
//! as they are mounted; none is ever mounted or remounted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Context as _, LabError, Result};

/// The hierarchies of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hierarchies {
    /// One directory a controller.
    V1(Vec<PathBuf>),
    /// One directory for all.
    V2(PathBuf),
}

/// The one place where kubelet and runc look for control groups.
const PLACE: &str = "/sys/fs/cgroup";

/// What a kubelet needs to hold pods to their limits.
const NEEDED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

impl Hierarchies {
    /// Finds them.
    pub(crate) fn detect() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context(|| "reading the mounts")?;
        parse(&mounts).ok_or_else(|| {
            LabError::precondition(
                format!("no control groups are mounted on {PLACE}"),
                "mount cgroup2 on /sys/fs/cgroup; in a container, run it with those of the machine \
                 (`--privileged --cgroupns=host`)",
            )
        })
    }

    /// Makes the control groups of a lab and of its nodes; gives the top directories, to be removed with the lab.
    pub(crate) fn create(&self, group: &str, nodes: &[String]) -> Result<Vec<PathBuf>> {
        match self {
            Self::V1(hierarchies) => {
                for hierarchy in hierarchies {
                    let top = hierarchy.join(group);
                    make_v1(hierarchy, &top)?;
                    for node in nodes {
                        make_v1(&top, &top.join(node))?;
                    }
                }
                Ok(hierarchies.iter().map(|hierarchy| hierarchy.join(group)).collect())
            }
            Self::V2(root) => {
                let top = root.join(group);
                delegate(root)?;
                make(&top)?;
                delegate(&top)?;
                for node in nodes {
                    make(&top.join(node))?;
                }
                Ok(vec![top])
            }
        }
    }

    /// The top directories of a lab, made or not.
    pub(crate) fn tops(&self, group: &str) -> Vec<PathBuf> {
        match self {
            Self::V1(hierarchies) => hierarchies.iter().map(|hierarchy| hierarchy.join(group)).collect(),
            Self::V2(root) => vec![root.join(group)],
        }
    }
}

/// The name of a lab's control group in every hierarchy.
pub(crate) fn group_name(lab: &str) -> String {
    format!("plimsoll-{lab}")
}

fn parse(mounts: &str) -> Option<Hierarchies> {
    let mut first = Vec::new();
    let mut second = None;
    let mut unified = false;
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(path), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if path == PLACE {
            // What was mounted last hides the rest.
            unified = kind == "cgroup2";
        }
        match kind {
            // The same hierarchy can be mounted twice; the second mount shows the same groups.
            "cgroup" if !first.contains(&PathBuf::from(path)) => first.push(PathBuf::from(path)),
            "cgroup2" if second.is_none() => second = Some(PathBuf::from(path)),
            _ => {}
        }
    }
    // As kubelet and runc decide it. A hierarchy of the first version can be mounted beside it, by a VPN's client
    // or for an old container, and has no controller that matters.
    if unified {
        return Some(Hierarchies::V2(PLACE.into()));
    }
    if first.is_empty() {
        return None;
    }
    // A machine with both keeps its controllers in the first; runc makes groups in both then.
    first.extend(second);
    Some(Hierarchies::V1(first))
}

fn make(directory: &Path) -> Result<()> {
    match fs::create_dir(directory) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
            ) =>
        {
            Err(LabError::precondition(
                format!("the control group {} cannot be made: {error}", directory.display()),
                "run the lab on the machine itself, or in a container that may (`--privileged`)",
            ))
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).context(|| format!("making the control group {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn make_v1(parent: &Path, directory: &Path) -> Result<()> {
    make(directory)?;
    // A new cpuset is empty, and nothing can run in it until it has processors and memory.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(value) = fs::read_to_string(parent.join(file)) {
            let path = directory.join(file);
            fs::write(&path, value.trim()).context(|| format!("writing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Lets the groups below use the controllers that this one has.
fn delegate(directory: &Path) -> Result<()> {
    let available = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let control = directory.join("cgroup.subtree_control");
    for controller in available.split_ascii_whitespace() {
        let written = fs::write(&control, format!("+{controller}"));
        if NEEDED.contains(&controller)
            && let Err(error) = written
        {
            return Err(LabError::precondition(
                format!("the control groups in {} cannot be handed down: {error}", directory.display()),
                "run the lab on the machine itself, or in a container whose own processes are not in the top \
                 control group (`--privileged --cgroupns=host`)",
            ));
        }
    }
    let missing: Vec<&str> = NEEDED
        .into_iter()
        .filter(|needed| !available.split_ascii_whitespace().any(|controller| controller == *needed))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LabError::precondition(
        format!("{} lacks the controllers {}", directory.display(), missing.join(", ")),
        "enable them for this machine or container, then try again",
    ))
}

/// Removes control groups with all that is below them, waiting for the last of their processes to be gone.
pub(crate) fn remove(tops: &[PathBuf], limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    for top in tops {
        loop {
            match remove_tree(top) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => {
                    return Err(error).context(|| format!("removing the control group {}", top.display()));
                }
            }
        }
    }
    Ok(())
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_told_apart() {
        let second = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(parse(second), Some(Hierarchies::V2("/sys/fs/cgroup".into())));
        let mixed = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw 0 0\n\
                     cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let paths = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"];
        assert_eq!(parse(mixed), Some(Hierarchies::V1(paths.map(PathBuf::from).to_vec())));
        assert_eq!(parse("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn what_is_mounted_at_the_usual_place_decides() {
        let unified = Some(Hierarchies::V2("/sys/fs/cgroup".into()));
        // A hierarchy without a controller that matters, as the clients of some VPNs mount it.
        let beside = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\nnet_cls /run/net-cls cgroup rw,net_cls 0 0\n";
        assert_eq!(parse(beside), unified);
        let hidden = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(parse(hidden), unified);
        // No program of a node looks elsewhere.
        assert_eq!(parse("cgroup2 /mnt/groups cgroup2 rw 0 0\n"), None);
    }

    #[test]
    fn a_group_without_its_controllers_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
        fs::write(dir.path().join("cgroup.subtree_control"), "").unwrap();
        let error = delegate(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("lacks the controllers cpuset"), "{error}");
        fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        delegate(dir.path()).unwrap();
    }

    #[test]
    fn trees_are_removed_from_the_bottom_and_absence_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("plimsoll-a");
        fs::create_dir_all(top.join("node-1/pods/x")).unwrap();
        remove(&[top.clone(), dir.path().join("absent")], Duration::ZERO).unwrap();
        assert!(!top.exists());
    }
}
