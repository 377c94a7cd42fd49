//! Ends a lab, and removes what is left of one that was killed.

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::{self, Hierarchies};
use crate::error::{Context as _, LabError, Result};
use crate::lab::Lab;
use crate::lock::Lock;
use crate::patience::Patience;
use crate::progress::Quiet;
use crate::state::{LabState, ProcessIdentity};

/// How long the processes of a lab may take to be gone once the kernel was told to end them.
const END: Duration = Duration::from_secs(30);

/// How long a supervisor may take to end once it is killed.
const KILLED: Duration = Duration::from_secs(10);

/// Ends a lab; gives whether there was anything to end or to remove.
pub(crate) fn down(lab: &Lab) -> Result<bool> {
    let _lock = lab.lock(&Quiet)?;
    let present = lab.paths.root().exists() || Lock::is_held(&lab.life_lock())?;
    remove(lab)?;
    Ok(present)
}

/// Ends whatever runs and removes every trace. The caller holds the lock.
pub(crate) fn remove(lab: &Lab) -> Result<()> {
    let state = LabState::read(&lab.paths)?;
    let patience = lab.patience();
    let limit = END * patience;
    if let Some(state) = &state {
        end(&state.supervisor, patience)?;
        if let Some(init) = &state.init {
            // It dies with its supervisor; this is for the moment in between.
            await_end(init, limit)?;
        }
    }
    // A supervisor that was started and had no time to write down who it is.
    let deadline = Instant::now() + limit;
    while Lock::is_held(&lab.life_lock())? {
        if let Some(state) = LabState::read(&lab.paths)?.filter(|now| Some(now) != state.as_ref()) {
            end(&state.supervisor, patience)?;
        } else if Instant::now() > deadline {
            return Err(still_there("a supervisor that does not say who it is", limit));
        }
        std::thread::sleep(Duration::from_millis(20));
    }

    let mut groups = state.map(|state| state.cgroups).unwrap_or_default();
    if let Ok(hierarchies) = Hierarchies::detect() {
        groups.extend(hierarchies.tops(&cgroup::group_name(lab.name())));
    }
    groups.sort();
    groups.dedup();
    cgroup::remove(&groups, limit)?;
    match fs::remove_dir_all(lab.paths.root()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        removed => removed.context(|| format!("removing {}", lab.paths.root().display()))?,
    }
    lab.home.prune();
    Ok(())
}

/// Asks a supervisor to end its lab, and insists if it does not.
fn end(supervisor: &ProcessIdentity, patience: Patience) -> Result<()> {
    for (signal, limit) in [(Signal::SIGTERM, END * patience), (Signal::SIGKILL, KILLED * patience)] {
        if !supervisor.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(supervisor.pid), signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(nix::errno::Errno::EPERM) => {
                return Err(LabError::precondition(
                    "this lab was started by root",
                    "run the same command with `sudo`",
                ));
            }
            Err(error) => return Err(error).context(|| "ending the lab"),
        }
        if await_end(supervisor, limit).is_ok() {
            return Ok(());
        }
    }
    Err(still_there(&format!("process {}", supervisor.pid), KILLED * patience))
}

fn await_end(process: &ProcessIdentity, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while process.is_alive() {
        if Instant::now() > deadline {
            return Err(still_there(&format!("process {}", process.pid), limit));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn still_there(what: &str, limit: Duration) -> LabError {
    LabError::Timeout {
        what: "the end of the lab".into(),
        limit,
        last_seen: format!("{what} is still there"),
    }
}
