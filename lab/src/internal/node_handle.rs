//! A node, as the control plane's process holds it.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Notify, oneshot, watch};

use super::Role;
use super::protocol::{FromNode, NodeRequest, NodeStatus, ToNode};
use super::unit::UnitStatus;
use crate::address;
use crate::error::{Context as _, LabError, Result};
use crate::paths::LabPaths;

/// A running node.
#[derive(Debug, Clone)]
pub(super) struct NodeHandle {
    index: u16,
    name: String,
    shared: Arc<Mutex<Shared>>,
    ended: watch::Sender<bool>,
    end: Arc<Notify>,
    input: Arc<tokio::sync::Mutex<ChildStdin>>,
}

#[derive(Debug)]
struct Shared {
    alive: bool,
    units: Vec<UnitStatus>,
    waiting: HashMap<u64, oneshot::Sender<Result<(), String>>>,
    last_id: u64,
}

impl NodeHandle {
    /// Starts a node's process tree; gives the number of a process in its network namespace as well.
    pub(super) async fn start(paths: &LabPaths, index: u16, name: &str) -> Result<(Self, u32)> {
        let what = || format!("starting {name}");
        let log = std::fs::File::options().create(true).append(true).open(paths.log(name)).context(what)?;
        let role = Role::NodeEnter { root: paths.root().to_owned(), node: name.to_owned() };
        let mut child = Command::from(role.command())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context(what)?;
        let process = child.id().ok_or_else(|| LabError::component(name, "ended at once"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(LabError::component(name, "has no pipes"));
        };
        let shared = Shared { alive: true, units: Vec::new(), waiting: HashMap::new(), last_id: 0 };
        let node = Self {
            index,
            name: name.to_owned(),
            shared: Arc::new(Mutex::new(shared)),
            ended: watch::Sender::new(false),
            end: Arc::new(Notify::new()),
            input: Arc::new(tokio::sync::Mutex::new(input)),
        };
        let mut output = BufReader::new(output).lines();
        // Its first words say that it is in its namespaces.
        let first = output.next_line().await.context(what)?;
        if first.is_none() {
            let _ = child.wait().await;
            return Err(LabError::component(
                name,
                format!("did not start; see {}", paths.log(name).display()),
            ));
        }
        tokio::spawn(node.clone().listen(child, output));
        Ok((node, process))
    }

    /// Asks the node and waits for its answer.
    pub(super) async fn ask(&self, request: NodeRequest) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut shared = self.shared();
            if !shared.alive {
                return Err(LabError::component(&self.name, "the node is down"));
            }
            shared.last_id += 1;
            let id = shared.last_id;
            shared.waiting.insert(id, answer);
            id
        };
        let mut line = serde_json::to_string(&ToNode { id, request })
            .map_err(|error| LabError::component(&self.name, error.to_string()))?;
        line.push('\n');
        self.input
            .lock()
            .await
            .write_all(line.as_bytes())
            .await
            .context(|| format!("asking {}", self.name))?;
        match answered.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(detail)) => Err(LabError::component(&self.name, detail)),
            Err(_) => Err(LabError::component(&self.name, "the node went down")),
        }
    }

    /// Ends its process tree, as a whole.
    pub(super) fn end(&self) {
        self.end.notify_one();
    }

    /// Waits until its process tree is gone.
    pub(super) async fn ended(&self) {
        // An error means that nobody is left to say more.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// How it is.
    pub(super) fn status(&self) -> NodeStatus {
        let shared = self.shared();
        NodeStatus {
            name: self.name.clone(),
            address: address::node(self.index),
            alive: shared.alive,
            units: shared.units.clone(),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its number, from 0.
    pub(super) fn index(&self) -> u16 {
        self.index
    }

    async fn listen(self, mut child: Child, mut output: tokio::io::Lines<BufReader<ChildStdout>>) {
        loop {
            let line = tokio::select! {
                line = output.next_line() => line,
                () = self.end.notified() => {
                    // The first process of the node dies with this one, and all others with that.
                    let _ = child.start_kill();
                    continue;
                }
            };
            let Ok(Some(line)) = line else { break };
            match serde_json::from_str(&line) {
                Ok(FromNode::Units(units)) => self.shared().units = units,
                Ok(FromNode::Answer { id, result }) => {
                    if let Some(waiting) = self.shared().waiting.remove(&id) {
                        // Whoever asked may have given up.
                        let _ = waiting.send(result);
                    }
                }
                Err(error) => tracing::warn!("{} said {line:?}: {error}", self.name),
            }
        }
        {
            let mut shared = self.shared();
            shared.alive = false;
            shared.waiting.clear();
        }
        match child.wait().await {
            Ok(status) => tracing::warn!("{} went down: {status}", self.name),
            Err(error) => tracing::warn!("{} went down: {error}", self.name),
        }
        self.ended.send_replace(true);
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
