//! Lets a pod in at the moment of its birth: the CNI plugin tells the dataplane a new pod's address and waits
//! until its rules are in. Without it a pod would be closed until the kubelet has reported the address, up to
//! some seconds after its first container has started.

use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use super::Defect;

/// A pod that is about to start, as the CNI plugin knows it. One line of JSON on the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Newcomer {
    /// The pod's uid.
    pub(super) uid: String,
    /// `namespace/name`, for messages.
    pub(super) pod: String,
    /// The addresses that it has been given.
    pub(super) addresses: Vec<IpAddr>,
}

/// The answer, one line of JSON: without an error the pod's rules are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) error: Option<String>,
}

/// A defect to be planted on purpose, or none to be sound again. One line of JSON on the same socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plant {
    /// What is broken from now on.
    pub(super) plant: Option<Defect>,
}

/// What is said on the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Said {
    /// By the CNI plugin.
    Newcomer(Newcomer),
    /// By whoever tests the tests.
    Plant(Plant),
}

/// What was said, and whom to tell when it is in force.
pub(super) type Request = (Said, oneshot::Sender<Answer>);

/// Listens on the socket, in place of whoever listened there before.
pub(super) fn listen(socket: &Path) -> std::io::Result<mpsc::Receiver<Request>> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    let (requests, queue) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let requests = requests.clone();
            tokio::spawn(async move {
                if let Err(error) = serve(stream, requests).await {
                    debug!(%error, "newcomer not announced in full");
                }
            });
        }
    });
    Ok(queue)
}

async fn serve(stream: UnixStream, requests: mpsc::Sender<Request>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await?;
    let said: Said = serde_json::from_str(&line)?;
    let (reply, answer) = oneshot::channel();
    let gone = || Answer { error: Some("the policy dataplane has ended".to_owned()) };
    let answer = match requests.send((said, reply)).await {
        Ok(()) => answer.await.unwrap_or_else(|_| gone()),
        Err(_) => gone(),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}
