//! What a lab and its nodes see of the machine's files.
//!
//! A node has a root directory of its own: every file system of the machine as a copy-on-write view whose changes are
//! kept in memory, with the node's own /run, /tmp, /proc and /sys. What a pod writes through `hostPath`, or a network
//! add-on installs into /opt/cni/bin, is the node's alone and goes with it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::error::{Context as _, LabError, Result};
use crate::paths::{LabPaths, NodePaths, create_dir, write};
use crate::state::LabSpec;

const NONE: Option<&str> = None;

/// Parameters that a kubelet insists on, and the values that it wants. They are the whole machine's: a node is shown
/// files of its own in their place, and the machine keeps what it has.
const KUBELET_PARAMETERS: [(&str, &str); 6] = [
    ("kernel/keys/root_maxbytes", "25000000"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
];

/// Gives the lab mounts and a /proc of its own.
pub(super) fn enter_lab() -> Result<()> {
    own_mounts()?;
    proc(Path::new("/proc"))
}

/// Gives a node its root directory, and makes it the root of this process.
pub(super) fn enter_node(lab: &LabPaths, node: &NodePaths, spec: &LabSpec) -> Result<()> {
    own_mounts()?;
    // The parent's /proc shows the parent's processes; mounts are read from one that shows this one.
    proc(Path::new("/proc"))?;
    let view = node.view();
    create_dir(&view)?;
    mount(Some("tmpfs"), &view, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .context(|| "making the node's memory file system")?;
    let root = view.join("root");
    create_dir(&root)?;

    let table = fs::read_to_string("/proc/self/mountinfo").context(|| "reading the mounts")?;
    for (index, path) in machine_mounts(&table, &view).iter().enumerate() {
        show(path, &view.join(format!("changes-{index}")), &under(&root, path))?;
    }

    kernel_file_systems(&root, &view.join("parameters"))?;
    for (directory, options) in [("/run", "mode=755"), ("/tmp", "mode=1777"), ("/dev/shm", "mode=1777")] {
        tmpfs(&under(&root, Path::new(directory)), options)?;
    }
    bind(lab.root(), &under(&root, lab.root()))?;
    // Not each component by itself: some are still being built.
    let components: std::collections::BTreeSet<&Path> =
        spec.components.values().filter_map(|directory| directory.parent()).collect();
    for directory in components {
        bind_read_only(directory, &under(&root, directory))?;
    }
    for (on_disk, seen_at) in node.on_disk() {
        create_dir(&on_disk)?;
        bind(&on_disk, &under(&root, Path::new(seen_at)))?;
    }
    let plugins = spec.component("cni-plugins")?.join("bin");
    overlay(&[&plugins], &view.join("changes-cni"), &under(&root, Path::new("/opt/cni/bin")))?;

    nix::unistd::chdir(&root).context(|| "entering the node's root")?;
    // With both arguments the same, the old root ends up on top of the new one, to be taken away there.
    nix::unistd::pivot_root(".", ".").context(|| "changing to the node's root")?;
    umount2(".", MntFlags::MNT_DETACH).context(|| "leaving the machine's root")?;
    nix::unistd::chdir("/").context(|| "entering the node's root")?;
    // Pods that mount something for others to see need it; nothing of it reaches the machine.
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE).context(|| "sharing the node's mounts")
}

fn own_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context(|| "making a mount namespace")?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .context(|| "keeping mounts to ourselves")
}

fn proc(at: &Path) -> Result<()> {
    mount(Some("proc"), at, Some("proc"), MsFlags::empty(), NONE)
        .context(|| format!("mounting {}", at.display()))
}

/// /proc, /sys and /dev of a node.
fn kernel_file_systems(root: &Path, own_parameters: &Path) -> Result<()> {
    let at = |path: &str| under(root, Path::new(path));
    proc(&at("/proc"))?;
    // The machine's parameters are not for a node to set; those of the network are the node's own.
    let (parameters, network) = (at("/proc/sys"), at("/proc/sys/net"));
    bind_read_only(&parameters, &parameters)?;
    bind(&network, &network)?;
    mount(NONE, &network, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND, NONE)
        .context(|| "making the network's parameters writable")?;
    for (name, value) in KUBELET_PARAMETERS {
        let (own, shown) = (own_parameters.join(name), parameters.join(name));
        if shown.exists() {
            write(&own, format!("{value}\n"))?;
            bind(&own, &shown)?;
        }
    }

    mount(Some("sysfs"), &at("/sys"), Some("sysfs"), MsFlags::empty(), NONE).context(|| "mounting /sys")?;
    bind_all(Path::new("/sys/fs/cgroup"), &at("/sys/fs/cgroup"))?;
    bind_all(Path::new("/dev"), &at("/dev"))
}

/// Shows a node what is mounted on a path of the machine.
fn show(path: &Path, changes: &Path, target: &Path) -> Result<()> {
    // Behind a later mount, or closed even to root as a user's own file system is: no program of a node is there.
    let Ok(metadata) = fs::metadata(path) else { return Ok(()) };
    if !metadata.is_dir() {
        return bind_read_only(path, target);
    }
    match overlay(&[path], changes, target) {
        // Some kinds cannot lie under a view (that of EFI partitions, for one), nor can a view of a view of a view.
        Err(LabError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidInput => {
            bind_read_only(path, target)
        }
        outcome => outcome,
    }
}

/// The mounts of the machine that a node sees: its files, without what belongs to the kernel or to a moment. In the
/// order of their paths, so that an outer one comes before those in it.
fn machine_mounts(table: &str, view: &Path) -> Vec<PathBuf> {
    const OWN: [&str; 5] = ["/proc", "/sys", "/dev", "/run", "/tmp"];
    let mut paths: Vec<PathBuf> = table
        .lines()
        // A place where something would be mounted if anybody looked: nobody does here.
        .filter(|line| !line.contains(" - autofs "))
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(unescape(path)))
        .filter(|path| !OWN.iter().any(|own| path.starts_with(own)) && !path.starts_with(view))
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The kernel writes blanks and backslashes of paths in octal.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// An absolute path, seen from another root.
fn under(root: &Path, path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .fold(root.to_owned(), |path, part| path.join(part))
}

fn overlay(lower: &[&Path], changes: &Path, target: &Path) -> Result<()> {
    let (upper, work) = (changes.join("upper"), changes.join("work"));
    create_dir(&upper)?;
    create_dir(&work)?;
    create_dir(target)?;
    let lower: Vec<String> = lower.iter().map(|path| escape_option(path)).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        escape_option(&upper),
        escape_option(&work)
    );
    mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .context(|| format!("laying a view over {}", target.display()))
}

/// Colons and commas separate the options of an overlay.
fn escape_option(path: &Path) -> String {
    let text = path.display().to_string();
    text.replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

fn tmpfs(at: &Path, options: &str) -> Result<()> {
    create_dir(at)?;
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .context(|| format!("mounting a memory file system on {}", at.display()))
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    bind_with(from, to, MsFlags::MS_BIND)
}

fn bind_all(from: &Path, to: &Path) -> Result<()> {
    bind_with(from, to, MsFlags::MS_BIND | MsFlags::MS_REC)
}

fn bind_read_only(from: &Path, to: &Path) -> Result<()> {
    bind(from, to)?;
    mount(NONE, to, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, NONE)
        .context(|| format!("protecting {}", to.display()))
}

fn bind_with(from: &Path, to: &Path, flags: MsFlags) -> Result<()> {
    if from.is_dir() {
        create_dir(to)?;
    } else if !to.exists() {
        if let Some(parent) = to.parent() {
            create_dir(parent)?;
        }
        fs::write(to, "").context(|| format!("making {}", to.display()))?;
    }
    mount(Some(from), to, NONE, flags, NONE)
        .context(|| format!("binding {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_sees_files_and_not_the_kernels_own() {
        let table = "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 0:5 / /proc rw - proc proc rw\n\
                     3 1 0:6 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw\n4 1 0:7 / /run/user/0 rw - tmpfs tmpfs rw\n\
                     5 1 254:1 / /home rw - ext4 /dev/vdb rw\n6 1 254:2 / /var/with\\040blank rw - ext4 /dev/vdc rw\n\
                     7 1 0:9 / /state/view rw - tmpfs tmpfs rw\n8 1 0:40 / /mnt/far rw - autofs systemd-1 rw\n";
        assert_eq!(
            machine_mounts(table, Path::new("/state/view")),
            ["/", "/home", "/var/with blank"].map(PathBuf::from)
        );
    }

    #[test]
    fn options_cannot_be_smuggled_in_by_a_path() {
        assert_eq!(escape_option(Path::new("/a:b,c\\d")), "/a\\:b\\,c\\\\d");
    }

    #[test]
    fn paths_stay_below_their_root() {
        assert_eq!(under(Path::new("/new"), Path::new("/a/../b")), Path::new("/new/a/b"));
        assert_eq!(under(Path::new("/new"), Path::new("/")), Path::new("/new"));
    }
}
