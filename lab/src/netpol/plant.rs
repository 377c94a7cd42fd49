//! Tells the dataplane of a node to break itself, or to be sound again.

use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::Defect;
use super::admission::{Answer, Plant};

/// Plants a defect in the dataplane that listens on the socket, or takes away what is planted, and waits until its
/// rules are in force.
pub(crate) async fn plant(socket: &Path, defect: Option<Defect>) -> Result<(), String> {
    let told = |error: std::io::Error| format!("policy dataplane at {}: {error}", socket.display());
    let (read, mut write) = UnixStream::connect(socket).await.map_err(told)?.into_split();
    let mut line = serde_json::to_vec(&Plant { plant: defect }).map_err(|error| error.to_string())?;
    line.push(b'\n');
    write.write_all(&line).await.map_err(told)?;
    let mut reply = String::new();
    BufReader::new(read).read_line(&mut reply).await.map_err(told)?;
    let answer: Answer =
        serde_json::from_str(&reply).map_err(|_| "the policy dataplane gave no answer".to_owned())?;
    answer.error.map_or(Ok(()), Err)
}
