//! Where the driver asks the server of the same pod what has arrived.

use std::io;
use std::os::unix::net as blocking;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::serve::{State, doing};
use crate::clock;
use crate::half_open::half_open;
use crate::identity::control_socket;
use crate::protocol::{Identity, MAX_LINE, Reply, Request};

/// The driver sits in the same pod: an answer later than this will not come.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn listen(state: &Arc<State>) -> io::Result<()> {
    let address = control_socket(state.who())?;
    let listener = blocking::UnixListener::bind_addr(&address)
        .map_err(|error| doing("bind the control socket (is another agent running as this pod?)", &error))?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let state = Arc::clone(state);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let _ = answer(stream, &state).await;
            });
        }
    });
    Ok(())
}

async fn answer(stream: UnixStream, state: &State) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    (&mut stream).take(4096).read_until(b'\n', &mut line).await?;
    let reply = match serde_json::from_slice(&line) {
        Ok(Request::Arrivals { id, round, within_ms }) => {
            let ledger = state.ledger();
            let since = clock::monotonic_us().saturating_sub(u64::from(within_ms) * 1_000);
            Reply::Arrivals {
                id,
                arrivals: ledger.of_round(round.0),
                half_open: half_open(),
                complete: ledger.is_complete_since(since),
            }
        }
        Ok(Request::Hails { id }) => Reply::Hails { id, hails: state.hails() },
        Ok(_) => Reply::Error { id: None, why: "the server only knows arrivals and hails".into() },
        Err(error) => Reply::Error { id: None, why: error.to_string() },
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    stream.get_mut().write_all(&text).await
}

async fn connect(who: &Identity) -> io::Result<UnixStream> {
    let stream = blocking::UnixStream::connect_addr(&control_socket(who)?)
        .map_err(|error| doing("connect to the server of this pod", &error))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Asks the server of this pod what has arrived of a round, or what came of its hails.
///
/// # Errors
/// There is no server in this pod, or it does not answer.
pub async fn ask(who: &Identity, request: &Request) -> io::Result<Reply> {
    let exchange = async {
        let mut stream = BufReader::new(connect(who).await?);
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.get_mut().write_all(&line).await?;
        line.clear();
        stream.take(MAX_LINE as u64).read_until(b'\n', &mut line).await?;
        Ok(serde_json::from_slice(&line)?)
    };
    timeout(PATIENCE, exchange).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "the server of this pod does not answer"))
    })
}

/// Whether the server of this pod has all its ports open.
///
/// # Errors
/// It has not (yet).
pub async fn ready(who: &Identity) -> io::Result<()> {
    connect(who).await.map(drop)
}
