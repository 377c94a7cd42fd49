//! What the command says to a running lab, and the lab to its nodes: JSON, one message a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::unit::UnitStatus;
use crate::error::{Context as _, LabError, Result};
use crate::netpol::Defect;

/// What a lab can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    /// What runs, and how it is.
    Status,
    /// Put an image on every node.
    LoadImage {
        /// The archive, as `docker save` or an OCI tool writes it.
        archive: PathBuf,
    },
    /// Start the API server anew, with its configuration as it is now, and wait until it is ready.
    RestartApiServer,
    /// Wait until a name is answered by the cluster's DNS on every node.
    AwaitDns {
        /// How long.
        limit: Duration,
    },
    /// Break the policy dataplane of every node on purpose, or make it sound again.
    Plant {
        /// What is broken from now on.
        defect: Option<Defect>,
    },
}

/// What a lab answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Response {
    /// To [`Request::Status`].
    Status(LabStatus),
    /// It is done.
    Done,
    /// It could not be done, and why.
    Failed(String),
}

/// How far a lab is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its processes are being started; the text says which.
    Starting(String),
    /// The control plane answers and the nodes have joined.
    Running,
    /// It did not come up, and why.
    Failed(String),
}

/// The state of a lab's processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabStatus {
    /// How far the lab is.
    pub phase: Phase,
    /// The processes of the control plane.
    pub control_plane: Vec<UnitStatus>,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// What is broken on purpose in the policy dataplane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<Defect>,
}

/// The state of one node's processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether its process tree is alive.
    pub alive: bool,
    /// Its processes.
    pub units: Vec<UnitStatus>,
}

/// What a node can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum NodeRequest {
    /// Configure the link, start containerd and load the image that holds pods together.
    Prepare,
    /// Start what needs the API server.
    Join,
    /// Load an image.
    LoadImage { archive: PathBuf },
    /// Wait for an answer of the cluster's DNS.
    AwaitDns { limit: Duration },
    /// Break the policy dataplane, or make it sound again.
    Plant { defect: Option<Defect> },
}

/// A request to a node, with the number that its answer will carry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ToNode {
    pub(super) id: u64,
    pub(super) request: NodeRequest,
}

/// What a node says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum FromNode {
    /// Something about its processes has changed.
    Units(Vec<UnitStatus>),
    /// The answer to a request.
    Answer { id: u64, result: Result<(), String> },
}

/// Asks a lab. `limit` bounds every wait for it.
pub(crate) fn call(socket: &Path, request: &Request, limit: Duration) -> Result<Response> {
    exchange(socket, request, limit)
}

/// Sends one line and reads one. `limit` bounds every wait.
pub(crate) fn exchange<Q, A>(socket: &Path, request: &Q, limit: Duration) -> Result<A>
where
    Q: Serialize,
    A: for<'de> Deserialize<'de>,
{
    let what = || "asking the lab";
    let mut stream = connect(socket).context(what)?;
    stream.set_read_timeout(Some(limit)).context(what)?;
    let mut line = serde_json::to_string(request).map_err(garbled)?;
    line.push('\n');
    stream.write_all(line.as_bytes()).context(what)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).context(what)?;
    serde_json::from_str(&answer).map_err(garbled)
}

// By value: it is handed to `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn garbled(error: serde_json::Error) -> LabError {
    LabError::component("control", format!("the lab's answer cannot be read: {error}"))
}

fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    let (_directory, short) = short_socket_path(socket)?;
    UnixStream::connect(short)
}

/// The address of a socket has room for 107 bytes, and a path can be longer: through an open directory it is short.
/// The directory must stay open while the path is used.
pub(super) fn short_socket_path(socket: &Path) -> std::io::Result<(std::fs::File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(std::io::Error::from(std::io::ErrorKind::InvalidInput));
    };
    let directory = std::fs::File::open(parent)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, short))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_long_path_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let socket = deep.join("control.sock");
        let (_open, short) = short_socket_path(&socket).unwrap();
        let listener = UnixListener::bind(short).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(b"\"Done\"\n").unwrap();
            line
        });
        let answer = call(&socket, &Request::Status, Duration::from_secs(10)).unwrap();
        assert!(matches!(answer, Response::Done));
        assert_eq!(server.join().unwrap(), "\"Status\"\n");
    }
}
