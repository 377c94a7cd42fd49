//! Pulses and load: how long probes take, and what may hold them up.

use std::time::Duration;

use futures::future::join_all;
use plimsoll_agent::protocol::{Load, Loaded, Pulse, Pulsed, Reply, Request, Round};

use super::fleet::Fleet;
use super::link::{AgentError, Conversation};
use super::matrix::{MatrixPlan, Source, Target};

/// What agents and the ways to them may take on top of what they are asked to do, the machine being loaded.
const SLACK: Duration = Duration::from_secs(20);

/// What one source measured towards one target.
#[derive(Clone, Debug)]
pub struct PulsedPath {
    /// Who tried.
    pub source: Source,
    /// What was tried.
    pub target: Target,
    /// How long each sample took.
    pub pulsed: Pulsed,
}

/// A load that is under way. Dropped, it ends.
#[derive(Debug)]
pub struct Loading {
    conversation: Conversation,
    pod: String,
    patience: Duration,
}

impl Fleet {
    /// Repeats each pair of a plan at a fixed rate, all at once.
    ///
    /// # Errors
    /// An agent could not be asked.
    pub async fn pulse(&self, plan: &MatrixPlan, pulse: Pulse) -> Result<Vec<PulsedPath>, AgentError> {
        let rows = (0..plan.sources.len()).map(|row| self.pulse_row(plan, row, pulse));
        let mut all = Vec::new();
        for row in join_all(rows).await {
            all.extend(row?);
        }
        Ok(all)
    }

    async fn pulse_row(
        &self,
        plan: &MatrixPlan,
        row: usize,
        pulse: Pulse,
    ) -> Result<Vec<PulsedPath>, AgentError> {
        let Some(source) = plan.sources.get(row) else { return Ok(Vec::new()) };
        let pairs: Vec<(u32, &Target)> = plan
            .pairs_of(row)
            .filter_map(|(column, index)| Some((index, plan.targets.get(column)?)))
            .collect();
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        let agent =
            self.agent(&source.agent).ok_or_else(|| AgentError::Unknown { pod: source.agent.clone() })?;
        let round = Round(rand::random());
        let probes: Vec<_> = pairs.iter().map(|(index, target)| target.to_probe(*index)).collect();
        let mut conversation =
            agent.ask(|id| Request::Pulse { id, round, probes: probes.clone(), pulse }).await?;
        let patience = Duration::from_millis(u64::from(pulse.for_ms) + u64::from(pulse.give_up_ms)) + SLACK;
        let mut paths = Vec::new();
        while let Reply::Pulsed { pulsed, .. } = conversation.next(patience).await? {
            if let Some((_, target)) = pairs.iter().find(|(index, _)| *index == pulsed.index) {
                paths.push(PulsedPath { source: source.clone(), target: (*target).clone(), pulsed });
            }
        }
        Ok(paths)
    }

    /// Begins to load the pod `namespace/pod`, and returns once everything in it runs.
    ///
    /// # Errors
    /// There is no such agent, or it could not begin.
    pub async fn load(&self, pod: &str, load: Load) -> Result<Loading, AgentError> {
        let agent = self.agent(pod).ok_or_else(|| AgentError::Unknown { pod: pod.to_owned() })?;
        let patience = Duration::from_millis(load.for_ms.into()) + SLACK;
        let mut conversation = agent.ask(|id| Request::Load { id, load }).await?;
        match conversation.next(SLACK).await? {
            Reply::Loading { .. } => Ok(Loading { conversation, pod: pod.to_owned(), patience }),
            other => Err(unexpected(pod, &other)),
        }
    }
}

impl Loading {
    /// Ends it, and says what it came to.
    ///
    /// # Errors
    /// The agent did not say.
    pub async fn stop(mut self) -> Result<Loaded, AgentError> {
        self.conversation.cancel()?;
        match self.conversation.next(self.patience).await? {
            Reply::Loaded { loaded, .. } => Ok(loaded),
            other => Err(unexpected(&self.pod, &other)),
        }
    }
}

fn unexpected(pod: &str, reply: &Reply) -> AgentError {
    AgentError::Refused { pod: pod.to_owned(), why: format!("asked to load its pod, it said {reply:?}") }
}
