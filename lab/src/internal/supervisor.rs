//! The two processes that stand between namespaces: outside of the lab's, and outside of a node's.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};

use super::Role;
use crate::cgroup::{self, Hierarchies};
use crate::error::{Context as _, LabError, Result};
use crate::lock::Lock;
use crate::paths::LabPaths;
use crate::preflight;
use crate::state::{LabSpec, LabState, ProcessIdentity};

/// Everything but the mount namespace, which the first process inside makes: until then it must see the machine's
/// processes, to know whether its parent lives.
const INNER: CloneFlags = CloneFlags::CLONE_NEWPID
    .union(CloneFlags::CLONE_NEWNET)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWIPC);

/// How long the last processes of a lab may take to leave its control groups.
const GROUPS_EMPTY: Duration = Duration::from_secs(20);

/// Runs a lab until it ends or is told to end, then removes its control groups.
pub(super) fn run(root: &Path, lock: &Path) -> Result<()> {
    // Away from the terminal: an interrupt there is meant for the command, not for the lab.
    let _ = nix::unistd::setsid();
    let paths = LabPaths::at(root);
    let Some(_lock) = Lock::try_take(lock)? else {
        return Err(LabError::component("supervisor", "another one runs this lab"));
    };
    let spec = LabSpec::read(&paths)?.ok_or_else(|| LabError::component("supervisor", "no specification"))?;

    // A socket belongs to the network namespace that it was made in: this one stays in the machine's.
    let listener = preflight::bind(spec.api_port)?;
    let api_port = listener.local_addr().context(|| "asking for the port of the API server")?.port();
    let own = own_identity()?;
    let hierarchies = Hierarchies::detect()?;
    let group = cgroup::group_name(&spec.name);
    let mut state = LabState { supervisor: own, init: None, api_port, cgroups: hierarchies.tops(&group) };
    state.write(&paths)?;
    hierarchies.create(&group, &spec.node_names())?;

    let signals = block_signals()?;
    unshare(INNER).context(|| "making the lab's namespaces")?;
    let mut child = Role::InitLab { root: root.to_owned(), parent: std::process::id() }
        .command()
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .spawn()
        .context(|| "starting the lab's first process")?;
    state.init = ProcessIdentity::of_id(child.id());
    state.write(&paths)?;

    let outcome = outlive(&mut child, &signals);
    cgroup::remove(&state.cgroups, GROUPS_EMPTY * spec.patience)?;
    outcome
}

/// Stands between the lab and a node: the node ends when this process is killed.
pub(super) fn enter_node(root: &Path, node: &str) -> Result<()> {
    let signals = block_signals()?;
    unshare(INNER).context(|| format!("making the namespaces of {node}"))?;
    let mut child =
        Role::InitNode { root: root.to_owned(), node: node.to_owned(), parent: std::process::id() }
            .command()
            .spawn()
            .context(|| format!("starting the first process of {node}"))?;
    outlive(&mut child, &signals)
}

/// Signals that are waited for instead of taken; children start with none blocked.
fn block_signals() -> Result<SigSet> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context(|| "blocking signals")?;
    Ok(signals)
}

/// Waits for the child, and ends it when asked to end. The first process of a pid namespace heeds only SIGKILL, and
/// with it the kernel takes every other one.
fn outlive(child: &mut Child, signals: &SigSet) -> Result<()> {
    loop {
        if let Some(status) = child.try_wait().context(|| "waiting for the first process")? {
            tracing::info!("the first process ended: {status}");
            return Ok(());
        }
        let signal = signals.wait().context(|| "waiting for a signal")?;
        if signal != Signal::SIGCHLD {
            tracing::info!("ending on {signal}");
            child.kill().context(|| "ending the first process")?;
        }
    }
}

fn own_identity() -> Result<ProcessIdentity> {
    ProcessIdentity::of_id(std::process::id())
        .ok_or_else(|| LabError::component("supervisor", "/proc does not show this process"))
}
