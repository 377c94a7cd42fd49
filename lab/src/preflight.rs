//! What must hold on a machine before a lab can run, each with what to do where it does not.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{InitFlags, Inotify};

use crate::error::{Context as _, LabError, Result};

/// The Debian packages that bring every program that the lab takes from the machine.
pub const PACKAGES: &str = include_str!("../packages.txt");

/// Programs that are taken from the machine.
const PROGRAMS: [&str; 8] =
    ["containerd", "containerd-shim-runc-v2", "ctr", "runc", "ip", "nft", "mount", "umount"];

/// Directories that hold system programs, also where PATH forgets them.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Checks that this process may start a lab at all.
pub(crate) fn check_rights() -> Result<()> {
    check_platform()?;
    check_capabilities(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// Checks what a new lab needs, without changing anything.
pub(crate) fn check_machine(state: &Path, cache: &Path, to_build: usize, nodes: u16) -> Result<()> {
    check_watchers(nodes, || Inotify::init(InitFlags::IN_CLOEXEC))?;
    check_programs(|program| find_program(program).is_some())?;
    // A built lab of two nodes takes about half a gigabyte of state; a build passes through several of objects.
    check_disk(state, 1)?;
    check_disk(cache, if to_build > 0 { 4 } else { 0 })
}

fn check_platform() -> Result<()> {
    if cfg!(target_os = "linux") {
        return Ok(());
    }
    Err(LabError::precondition(
        format!("a lab is made of Linux namespaces, and this is {}", env::consts::OS),
        "run it in a Linux virtual machine, or point the command at a cluster that you have with `--context`",
    ))
}

/// Root alone does not say enough: a container's root can lack what the lab needs.
fn check_capabilities(status: &str) -> Result<()> {
    const NET_ADMIN: u32 = 12;
    const SYS_ADMIN: u32 = 21;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let has = |capability: u32| effective & (1 << capability) != 0;
    if !nix::unistd::geteuid().is_root() {
        return Err(LabError::precondition(
            "the lab makes namespaces, mounts and control groups, which needs root",
            "run the same command with `sudo`",
        ));
    }
    // Root of a user namespace has every capability there, and none over the machine.
    let whole_machine = fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_ascii_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]);
    if !has(NET_ADMIN) || !has(SYS_ADMIN) || !whole_machine {
        return Err(LabError::precondition(
            "this is root without the rights to make namespaces and control groups (an unprivileged container?)",
            "run it on the machine itself, or in a container with `--privileged`",
        ));
    }
    Ok(())
}

/// The kernel counts the file watchers of a user over all of the machine, and often allows 128 of them. A kubelet
/// that gets none dies without a clear word.
fn check_watchers<T>(nodes: u16, take: impl Fn() -> nix::Result<T>) -> Result<()> {
    let needed = 18 + 9 * usize::from(nodes);
    let mut held = Vec::with_capacity(needed);
    while held.len() < needed {
        match take() {
            Ok(watcher) => held.push(watcher),
            Err(Errno::EMFILE) => {
                return Err(LabError::precondition(
                    format!(
                        "a lab of {nodes} nodes needs {needed} file watchers (inotify instances), and only {} are left",
                        held.len()
                    ),
                    "end another lab, or allow more: sysctl -w fs.inotify.max_user_instances=1024",
                ));
            }
            Err(error) => return Err(error).context(|| "asking for file watchers"),
        }
    }
    Ok(())
}

fn check_programs(present: impl Fn(&str) -> bool) -> Result<()> {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !present(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(LabError::precondition(
        format!("these programs are not on PATH: {}", missing.join(", ")),
        format!(
            "on Debian or Ubuntu: apt-get install -y {}",
            PACKAGES.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
    ))
}

fn check_disk(directory: &Path, gigabytes: u64) -> Result<()> {
    let existing = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let statistics = nix::sys::statvfs::statvfs(existing)
        .context(|| format!("asking for the free space of {}", existing.display()))?;
    let free = statistics.blocks_available().saturating_mul(statistics.fragment_size());
    if free >= gigabytes << 30 {
        return Ok(());
    }
    Err(LabError::precondition(
        format!(
            "the disk of {} has {:.1} GB free and {gigabytes} are needed",
            directory.display(),
            free as f64 / f64::from(1 << 30)
        ),
        "free some space, or set XDG_STATE_HOME and XDG_CACHE_HOME to another disk",
    ))
}

/// Checks that a loopback port can be had; 0 means any.
pub(crate) fn check_port(port: u16) -> Result<()> {
    bind(port).map(drop)
}

/// Takes a loopback port; 0 means any.
pub(crate) fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        LabError::precondition(
            format!("port {port} of 127.0.0.1 cannot be taken for the API server: {error}"),
            "choose another with `--api-port`, or leave it out to take any free one",
        )
    })
}

/// Finds a program as the lab's processes will.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    env::split_paths(&search_path()).map(|directory| directory.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// PATH, with the directories of system programs behind it.
pub(crate) fn search_path() -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).collect();
    for system in SYSTEM_DIRECTORIES.map(PathBuf::from) {
        if !directories.contains(&system) {
            directories.push(system);
        }
    }
    env::join_paths(directories).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_the_packages() {
        let error = check_programs(|program| program != "runc").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        insta::assert_snapshot!(error);
    }

    #[test]
    fn a_taken_port_says_how_to_choose_another() {
        let held = bind(0).unwrap();
        let port = held.local_addr().unwrap().port();
        let error = check_port(port).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--api-port"), "{error}");
    }

    #[test]
    fn a_disk_that_is_too_small_is_named() {
        let error = check_disk(Path::new("/no/such/directory"), 1 << 20).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("/no/such/directory"), "{error}");
    }

    #[test]
    fn a_kernel_without_file_watchers_is_named() {
        assert!(check_watchers(1, || Ok(())).is_ok());
        let error = check_watchers::<()>(2, || Err(Errno::EMFILE)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        insta::assert_snapshot!(error);
    }

    #[test]
    fn system_directories_are_searched() {
        let path = search_path();
        assert!(env::split_paths(&path).any(|directory| directory == Path::new("/usr/sbin")));
    }
}
