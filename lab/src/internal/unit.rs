//! A long-running program: started, watched, started again when it ends.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Context as _, LabError, Result};
use crate::preflight::search_path;

/// The first pause before a program that ended is started again; it doubles with each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A program that ran this long is not held to its earlier failures.
const SETTLED: Duration = Duration::from_secs(30);

/// How a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitState {
    /// It runs.
    Running,
    /// It ended and will be started again.
    Restarting,
}

/// A program and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// Its name, also that of its log.
    pub name: String,
    /// How it is.
    pub state: UnitState,
    /// How often it has been started again.
    pub restarts: u32,
    /// How it ended the last time.
    pub last_end: Option<String>,
}

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct UnitSpec {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) log: PathBuf,
}

/// An order to start a program anew, with other arguments; answered once the earlier one is gone.
#[derive(Debug)]
struct Restart {
    arguments: Vec<String>,
    done: oneshot::Sender<()>,
}

/// Programs that are kept running, and one place to see how they are.
#[derive(Debug, Clone)]
pub(super) struct Units {
    statuses: Arc<Mutex<Vec<UnitStatus>>>,
    restarts: Arc<Mutex<HashMap<String, mpsc::Sender<Restart>>>>,
    changed: watch::Sender<()>,
}

impl Units {
    pub(super) fn new() -> Self {
        Self { statuses: Arc::default(), restarts: Arc::default(), changed: watch::Sender::new(()) }
    }

    /// Starts a program and keeps it running from then on.
    pub(super) fn start(&self, spec: UnitSpec) -> Result<()> {
        // The first start happens here, so that a program that cannot be started at all is an error at once.
        let child = spawn(&spec)?;
        self.update(&spec.name, UnitState::Running, None);
        let (orders, restarts) = mpsc::channel(1);
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).insert(spec.name.clone(), orders);
        tokio::spawn(self.clone().keep(spec, child, restarts));
        Ok(())
    }

    /// Ends a program and starts it at once with other arguments. Returns when the earlier one is gone.
    pub(super) async fn restart(&self, name: &str, arguments: Vec<String>) -> Result<()> {
        let orders = self.restarts.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let gone = || LabError::component(name, "does not run");
        let (done, wait) = oneshot::channel();
        orders.ok_or_else(gone)?.send(Restart { arguments, done }).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())
    }

    /// How the programs are, in the order in which they were started.
    pub(super) fn statuses(&self) -> Vec<UnitStatus> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes up whenever something changes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    async fn keep(self, mut spec: UnitSpec, mut child: Child, mut restarts: mpsc::Receiver<Restart>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let mut ordered = None;
            let end = tokio::select! {
                ended = child.wait() => ended.map_or_else(|error| error.to_string(), |status| status.to_string()),
                Some(order) = restarts.recv() => {
                    let ended = child.kill().await;
                    spec.arguments = order.arguments;
                    ordered = Some(order.done);
                    ended.map_or_else(|error| error.to_string(), |()| "started anew as asked".to_owned())
                }
            };
            if started.elapsed() > SETTLED {
                pause = FIRST_PAUSE;
            }
            tracing::warn!("{} ended: {end}", spec.name);
            self.update(&spec.name, UnitState::Restarting, Some(end));
            let asked_for = ordered.is_some();
            if let Some(done) = ordered {
                // Nobody may be waiting any more.
                let _ = done.send(());
            }
            let mut first = asked_for;
            child = loop {
                if !std::mem::take(&mut first) {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                match spawn(&spec) {
                    Ok(child) => break child,
                    Err(error) => self.update(&spec.name, UnitState::Restarting, Some(error.to_string())),
                }
            };
            self.update(&spec.name, UnitState::Running, None);
        }
    }

    fn update(&self, name: &str, state: UnitState, end: Option<String>) {
        {
            let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(status) = statuses.iter_mut().find(|status| status.name == name) {
                status.restarts += u32::from(state == UnitState::Running);
                status.state = state;
                status.last_end = end.or(status.last_end.take());
            } else {
                statuses.push(UnitStatus { name: name.to_owned(), state, restarts: 0, last_end: end });
            }
        }
        self.changed.send_replace(());
    }
}

fn spawn(spec: &UnitSpec) -> Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&spec.log)
        .context(|| format!("opening {}", spec.log.display()))?;
    let errors = log.try_clone().context(|| format!("opening {}", spec.log.display()))?;
    Command::new(&spec.program)
        .args(&spec.arguments)
        // Nothing of the caller's environment: a lab is the same whoever starts it.
        .env_clear()
        .env("PATH", search_path())
        .env("HOME", "/root")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .context(|| format!("starting {}", spec.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_ends_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let units = Units::new();
        let mut changes = units.changes();
        units
            .start(UnitSpec {
                name: "short".into(),
                program: "/bin/sh".into(),
                arguments: vec!["-c".into(), "echo alive; exit 3".into()],
                log: log.clone(),
            })
            .unwrap();
        while units.statuses()[0].restarts == 0 {
            changes.changed().await.unwrap();
        }
        let status = units.statuses().remove(0);
        assert_eq!(status.name, "short");
        assert_eq!(status.last_end.as_deref(), Some("exit status: 3"));
        assert!(std::fs::read_to_string(&log).unwrap().starts_with("alive\n"));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let spec = UnitSpec {
            name: "absent".into(),
            program: "/no/such/program".into(),
            arguments: vec![],
            log: dir.path().join("log"),
        };
        assert!(Units::new().start(spec).is_err());
    }
}
