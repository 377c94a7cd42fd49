//! One connection to one agent: requests out, replies in, any number at a time.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_agent::protocol::{Identity, MAX_LINE, PROTOCOL, Reply, Request};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Why an agent could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The stream could not be opened.
    #[error("cannot open a stream to the agent of {pod}: {why}")]
    Open {
        /// `namespace/pod`.
        pod: String,
        /// What the cluster said.
        why: String,
    },
    /// The agent did not say hello, or not as expected.
    #[error("the agent of {pod} did not say hello: {why}")]
    Hello {
        /// `namespace/pod`.
        pod: String,
        /// What happened instead.
        why: String,
    },
    /// The stream ended while something was asked.
    #[error("the stream to the agent of {pod} ended")]
    Ended {
        /// `namespace/pod`.
        pod: String,
    },
    /// The agent did not answer in time.
    #[error("the agent of {pod} did not answer within {patience:?}")]
    Late {
        /// `namespace/pod`.
        pod: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The agent could not do what it was asked.
    #[error("the agent of {pod} refused: {why}")]
    Refused {
        /// `namespace/pod`.
        pod: String,
        /// What it said.
        why: String,
    },
    /// There is no agent of that name.
    #[error("there is no agent in {pod}")]
    Unknown {
        /// `namespace/pod`.
        pod: String,
    },
}

impl AgentError {
    /// A fresh connection may help.
    pub(super) const fn is_connection(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Late { .. })
    }
}

type Waiting = HashMap<u32, mpsc::UnboundedSender<Reply>>;

/// Who waits for replies; `None` once the stream has ended.
#[derive(Clone, Debug)]
struct Desk(Arc<Mutex<Option<Waiting>>>);

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection to one agent.
#[derive(Debug)]
pub(super) struct Link {
    pod: String,
    who: Identity,
    next: AtomicU32,
    desk: Desk,
    lines: mpsc::UnboundedSender<Vec<u8>>,
    reader: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        // The writer ends by itself when its channel closes, which tells the agent that the input is over.
        self.reader.abort();
    }
}

/// How long an agent may take to end once its input has.
const FAREWELL: Duration = Duration::from_secs(2);

impl Link {
    /// Takes over a stream whose other end is an agent's driver, and hears its hello.
    pub(super) async fn open(
        pod: String,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        keep: Box<dyn Any + Send>,
        patience: Duration,
    ) -> Result<Self, AgentError> {
        let hello = |why: String| AgentError::Hello { pod: pod.clone(), why };
        let mut reader = BufReader::with_capacity(64 << 10, reader);
        let mut line = Vec::new();
        let read = async { (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line).await };
        match timeout(patience, read).await {
            Err(_) => return Err(hello(format!("nothing came within {patience:?}"))),
            Ok(Err(error)) => return Err(hello(error.to_string())),
            Ok(Ok(0)) => return Err(hello("the stream ended at once".to_owned())),
            Ok(Ok(_)) => {}
        }
        let who = match Reply::read(&line) {
            Ok(Reply::Hello { protocol, version, .. }) if protocol != PROTOCOL => {
                return Err(hello(format!(
                    "it is version {version} and speaks protocol {protocol}, not {PROTOCOL}"
                )));
            }
            Ok(Reply::Hello { who, .. }) => who,
            _ => return Err(hello(format!("it said `{}`", String::from_utf8_lossy(&line).trim_end()))),
        };
        if who.name() != pod {
            return Err(hello(format!("it is the agent of {}", who.name())));
        }
        let desk = Desk(Arc::new(Mutex::new(Some(HashMap::new()))));
        let (lines, queue) = mpsc::unbounded_channel();
        tokio::spawn(send(queue, writer));
        let desk_of_reader = desk.clone();
        let reader = tokio::spawn(async move {
            // What the stream lives by goes when there is nothing more to read.
            let _keep = keep;
            receive(reader, desk_of_reader).await;
        });
        Ok(Self { pod, who, next: AtomicU32::new(1), desk, lines, reader })
    }

    /// Ends the input and waits for the agent to end, too.
    pub(super) async fn close(mut self) {
        let (nobody, _) = mpsc::unbounded_channel();
        drop(std::mem::replace(&mut self.lines, nobody));
        // Late or not, it is over: dropping cuts what is left.
        let _ = timeout(FAREWELL, &mut self.reader).await;
    }

    /// Who the agent says it is.
    pub(super) const fn who(&self) -> &Identity {
        &self.who
    }

    /// Asks; the replies come through the conversation.
    pub(super) fn ask(&self, request: impl FnOnce(u32) -> Request) -> Result<Conversation, AgentError> {
        let ended = || AgentError::Ended { pod: self.pod.clone() };
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, replies) = mpsc::unbounded_channel();
        self.desk.lock().as_mut().ok_or_else(ended)?.insert(id, sender);
        let conversation = Conversation {
            pod: self.pod.clone(),
            id,
            replies,
            desk: self.desk.clone(),
            lines: self.lines.clone(),
            done: false,
        };
        conversation.send(&request(id))?;
        Ok(conversation)
    }

    /// Whether the stream has ended.
    pub(super) fn is_over(&self) -> bool {
        self.desk.lock().is_none()
    }
}

/// The replies to one request. Dropped before its end, it tells the agent to give up.
#[derive(Debug)]
pub(super) struct Conversation {
    pod: String,
    id: u32,
    replies: mpsc::UnboundedReceiver<Reply>,
    desk: Desk,
    lines: mpsc::UnboundedSender<Vec<u8>>,
    done: bool,
}

impl Conversation {
    /// The next reply; an error that the agent reports ends the conversation.
    ///
    /// One that does not come in time ends the whole stream: where the way to the agent was lost in silence nothing would
    /// ever come over it. Whoever else waits at it hears that it is over, and the next question goes over a fresh one.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<Reply, AgentError> {
        if let Some(reply) = self.within(patience).await? {
            return Ok(reply);
        }
        self.desk.lock().take();
        Err(AgentError::Late { pod: self.pod.clone(), patience })
    }

    /// The next reply, if there is one within that time.
    pub(super) async fn within(&mut self, wait: Duration) -> Result<Option<Reply>, AgentError> {
        let pod = || self.pod.clone();
        match timeout(wait, self.replies.recv()).await {
            Err(_) => Ok(None),
            Ok(None) => {
                self.done = true;
                Err(AgentError::Ended { pod: pod() })
            }
            Ok(Some(Reply::Error { why, .. })) => {
                self.done = true;
                Err(AgentError::Refused { pod: pod(), why })
            }
            Ok(Some(reply)) => {
                self.done |= !matches!(
                    reply,
                    Reply::Result { .. }
                        | Reply::Watched { .. }
                        | Reply::Holding { .. }
                        | Reply::Held { .. }
                        | Reply::Pulsed { .. }
                        | Reply::Loading { .. }
                );
                Ok(Some(reply))
            }
        }
    }

    /// Tells the agent to give up; what has finished still comes, then the end.
    pub(super) fn cancel(&self) -> Result<(), AgentError> {
        self.send(&Request::Cancel { id: self.id })
    }

    fn send(&self, request: &Request) -> Result<(), AgentError> {
        let mut line = serde_json::to_vec(request)
            .map_err(|error| AgentError::Refused { pod: self.pod.clone(), why: error.to_string() })?;
        line.push(b'\n');
        self.lines.send(line).map_err(|_| AgentError::Ended { pod: self.pod.clone() })
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if !self.done {
            let _ = self.cancel();
        }
        if let Some(waiting) = self.desk.lock().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

async fn send(mut queue: mpsc::UnboundedReceiver<Vec<u8>>, mut writer: impl AsyncWrite + Unpin) {
    while let Some(line) = queue.recv().await {
        if writer.write_all(&line).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

async fn receive(mut reader: impl AsyncBufReadExt + Unpin, desk: Desk) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut reader).take(MAX_LINE as u64);
        match limited.read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            _ => break,
        }
        let Ok(reply) = Reply::read(&line) else {
            tracing::warn!(line = %String::from_utf8_lossy(&line), "an agent said what nobody understands");
            continue;
        };
        let Some(id) = subject(&reply) else {
            tracing::warn!(?reply, "an agent complains");
            continue;
        };
        if let Some(waiting) = desk.lock().as_ref()
            && let Some(sender) = waiting.get(&id)
        {
            let _ = sender.send(reply);
        }
    }
    // Whoever waits hears the end: the senders go with the desk.
    desk.lock().take();
}

const fn subject(reply: &Reply) -> Option<u32> {
    match reply {
        Reply::Hello { .. } => None,
        Reply::Result { id, .. }
        | Reply::Watched { id, .. }
        | Reply::Holding { id }
        | Reply::Held { id, .. }
        | Reply::Hails { id, .. }
        | Reply::Done { id, .. }
        | Reply::Arrivals { id, .. }
        | Reply::Found { id, .. }
        | Reply::Pulsed { id, .. }
        | Reply::Loading { id }
        | Reply::Loaded { id, .. }
        | Reply::Pong { id, .. } => Some(*id),
        Reply::Error { id, .. } => *id,
    }
}
