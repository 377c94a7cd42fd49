//! The held stream to one agent: an exec that stays open, opened again once when it breaks.
//!
//! It goes through the API server and the kubelet, so no policy needs a hole for it, and whatever is being tested does
//! not see it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use plimsoll_agent::protocol::{Identity, Request};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::image::AGENT_PATH;
use super::link::{AgentError, Conversation, Link};
use super::pod::AGENT_CONTAINER;

/// How long an agent may take to say hello: an exec on a busy node takes seconds.
const HELLO: Duration = Duration::from_secs(20);

/// What lies in the pipe between the stream and us.
const BUFFER: usize = 256 << 10;

/// Both directions of an open stream.
pub(super) struct Duplex {
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Why the stream ended, once it has.
    pub epilogue: BoxFuture<'static, Option<String>>,
    /// What the stream lives by.
    pub keep: Box<dyn Any + Send>,
}

/// Opens streams to one agent.
pub(super) trait Opener: Send + Sync {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, String>>;
}

/// Opens them by exec.
struct Exec {
    pods: Api<Pod>,
    pod: String,
}

impl Opener for Exec {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, String>> {
        async {
            let parameters = AttachParams::default()
                .container(AGENT_CONTAINER)
                .stdin(true)
                .stdout(true)
                .stderr(false)
                .max_stdin_buf_size(BUFFER)
                .max_stdout_buf_size(BUFFER);
            let mut process = self
                .pods
                .exec(&self.pod, [AGENT_PATH, "drive"], &parameters)
                .await
                .map_err(|error| error.to_string())?;
            let (Some(reader), Some(writer)) = (process.stdout(), process.stdin()) else {
                return Err("the cluster opened no streams".to_owned());
            };
            let epilogue = match process.take_status() {
                Some(status) => async move { status.await.and_then(|status| status.message) }.boxed(),
                None => async { None }.boxed(),
            };
            Ok(Duplex {
                reader: Box::new(reader),
                writer: Box::new(writer),
                epilogue,
                keep: Box::new(process),
            })
        }
        .boxed()
    }
}

/// Opens them to a stand-in within this process.
struct Within<F>(F);

impl<F: Fn(DuplexStream) + Send + Sync> Opener for Within<F> {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, String>> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        (self.0)(theirs);
        let (reader, writer) = tokio::io::split(ours);
        let duplex = Duplex {
            reader: Box::new(reader),
            writer: Box::new(writer),
            epilogue: async { None }.boxed(),
            keep: Box::new(()),
        };
        async { Ok(duplex) }.boxed()
    }
}

/// The held stream to one agent. It is opened at the first need, and again once if it has broken.
pub struct AgentStream {
    name: String,
    opener: Box<dyn Opener>,
    link: Mutex<Option<Arc<Link>>>,
}

impl fmt::Debug for AgentStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentStream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AgentStream {
    /// The agent of a pod.
    pub fn new(client: kube::Client, namespace: &str, pod: &str) -> Self {
        let exec = Exec { pods: Api::namespaced(client, namespace), pod: pod.to_owned() };
        Self::with(format!("{namespace}/{pod}"), Box::new(exec))
    }

    /// A stand-in for an agent: `talk` is given its end of each stream, and has to answer there in a task of its own. What
    /// it says proves nothing about a cluster: it is for measuring what the harness itself costs.
    pub fn stand_in(name: String, talk: impl Fn(DuplexStream) + Send + Sync + 'static) -> Self {
        Self::with(name, Box::new(Within(talk)))
    }

    pub(super) fn with(name: String, opener: Box<dyn Opener>) -> Self {
        Self { name, opener, link: Mutex::new(None) }
    }

    /// `namespace/pod`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the stream if it is not open, and says who is at its other end.
    ///
    /// # Errors
    /// The stream cannot be opened, or no agent answers.
    pub async fn identity(&self) -> Result<Identity, AgentError> {
        Ok(self.link().await?.who().clone())
    }

    /// Who is at the other end of the open stream; none where it is not open.
    pub(super) async fn connected(&self) -> Option<Identity> {
        let held = self.link.lock().await;
        held.as_ref().filter(|link| !link.is_over()).map(|link| link.who().clone())
    }

    /// Asks, on a fresh stream if the present one has broken.
    pub(super) async fn ask(
        &self,
        request: impl Fn(u32) -> Request + Send + Sync,
    ) -> Result<Conversation, AgentError> {
        match self.link().await?.ask(&request) {
            Err(error) if error.is_connection() => self.link().await?.ask(&request),
            other => other,
        }
    }

    /// Ends the stream: the agent's driver goes with it.
    pub async fn close(&self) {
        let link = self.link.lock().await.take();
        if let Some(link) = link.and_then(Arc::into_inner) {
            link.close().await;
        }
    }

    async fn link(&self) -> Result<Arc<Link>, AgentError> {
        let mut held = self.link.lock().await;
        if let Some(link) = held.as_ref().filter(|link| !link.is_over()) {
            return Ok(Arc::clone(link));
        }
        *held = None;
        let link = Arc::new(self.open().await?);
        *held = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn open(&self) -> Result<Link, AgentError> {
        let pod = || self.name.clone();
        let duplex = timeout(HELLO, self.opener.open())
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {HELLO:?}")))
            .map_err(|why| AgentError::Open { pod: pod(), why })?;
        let Duplex { reader, writer, epilogue, keep } = duplex;
        match Link::open(pod(), reader, writer, keep, HELLO).await {
            // The cluster knows best why nothing came.
            Err(AgentError::Hello { pod, why }) => {
                let told = timeout(Duration::from_secs(2), epilogue).await.ok().flatten();
                Err(AgentError::Hello { pod, why: told.unwrap_or(why) })
            }
            other => other,
        }
    }
}
