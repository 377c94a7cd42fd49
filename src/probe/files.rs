//! Files of the volumes of a pod, by its agent: what lies on a volume is for the pod alone to see.

use std::time::Duration;

use plimsoll_agent::protocol::{Found, Reply, Request};

use super::fleet::Fleet;
use super::link::AgentError;

/// How long reading or writing a volume may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Fleet {
    /// Writes a file in the pod `namespace/pod`.
    ///
    /// # Errors
    /// There is no such agent, or it could not write it.
    pub async fn write(&self, pod: &str, path: &str, text: &str) -> Result<(), AgentError> {
        match self.file(pod, |id| Request::Write { id, path: path.to_owned(), text: text.to_owned() }).await?
        {
            Reply::Done { .. } => Ok(()),
            other => Err(unexpected(pod, &other)),
        }
    }

    /// Looks for a text in every file below a directory of the pod `namespace/pod`.
    ///
    /// # Errors
    /// There is no such agent, or it could not look.
    pub async fn search(&self, pod: &str, path: &str, text: &str) -> Result<Found, AgentError> {
        match self
            .file(pod, |id| Request::Search { id, path: path.to_owned(), text: text.to_owned() })
            .await?
        {
            Reply::Found { found, .. } => Ok(found),
            other => Err(unexpected(pod, &other)),
        }
    }

    async fn file(
        &self,
        pod: &str,
        request: impl Fn(u32) -> Request + Send + Sync,
    ) -> Result<Reply, AgentError> {
        let agent = self.agent(pod).ok_or_else(|| AgentError::Unknown { pod: pod.to_owned() })?;
        agent.ask(request).await?.next(PATIENCE).await
    }
}

fn unexpected(pod: &str, reply: &Reply) -> AgentError {
    AgentError::Refused { pod: pod.to_owned(), why: format!("asked about a file, it said {reply:?}") }
}
