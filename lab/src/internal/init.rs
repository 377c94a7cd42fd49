//! The first process of a pid namespace: prepares the mounts, starts the one process that does the work, and collects
//! whatever others leave behind.

use std::fs;
use std::path::Path;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};

use super::{Role, mounts};
use crate::error::{Context as _, LabError, Result};
use crate::paths::LabPaths;
use crate::state::LabSpec;

/// First process of the lab.
pub(super) fn lab(root: &Path, parent: u32) -> Result<()> {
    die_with(parent)?;
    mounts::enter_lab()?;
    run(&Role::Control { root: root.to_owned() })
}

/// First process of a node.
pub(super) fn node(root: &Path, node: &str, parent: u32) -> Result<()> {
    die_with(parent)?;
    let paths = LabPaths::at(root);
    let spec = LabSpec::read(&paths)?.ok_or_else(|| LabError::component(node, "no specification"))?;
    nix::unistd::sethostname(node).context(|| "naming the node")?;
    mounts::enter_node(&paths, &paths.node(node), &spec)?;
    run(&Role::Node { root: root.to_owned(), node: node.to_owned() })
}

/// Asks to be killed when the parent dies, and makes sure that it had not died before it was asked.
fn die_with(parent: u32) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context(|| "tying this process to its parent")?;
    // In a pid namespace of its own it cannot ask who its parent is; /proc is still that of the parent.
    let command = fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    if command.split(|byte| *byte == 0).any(|word| word == super::HIDDEN_ARGUMENT.as_bytes()) {
        return Ok(());
    }
    Err(LabError::component("init", "the parent is gone"))
}

fn run(role: &Role) -> Result<()> {
    let mut child = role.command().spawn().context(|| format!("starting {role:?}"))?;
    let worker = i64::from(child.id());
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if i64::from(pid.as_raw()) == worker => {
                return if status == 0 { Ok(()) } else { Err(ended(role, &format!("ended with {status}"))) };
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if i64::from(pid.as_raw()) == worker => {
                return Err(ended(role, &format!("was killed by {signal}")));
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => {
                let _ = child.kill();
                return Err(error).context(|| "waiting for processes");
            }
        }
    }
}

fn ended(role: &Role, how: &str) -> LabError {
    LabError::component("init", format!("{role:?} {how}"))
}
