//! TCP: a line in, a line out, as often as the client likes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::serve::{State, doing, wildcard};
use crate::protocol::read_greeting;

/// Who says nothing for so long is let go. Held connections are greeted more often than that.
const IDLE: Duration = Duration::from_secs(120);

/// A greeting is 36 bytes; anything much longer is none.
const LONGEST: u64 = 256;

pub(super) async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(&wildcard(port)[..])
        .await
        .map_err(|error| doing(format!("bind tcp port {port}"), &error))
}

/// Accepts for ever; trouble with one connection (or a shortage of descriptors) ends none of the others.
pub(super) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

pub(super) async fn listen(port: u16, state: Arc<State>) -> io::Result<()> {
    let listener = bind(port).await?;
    tokio::spawn(async move {
        loop {
            let (stream, peer) = accept(&listener).await;
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                // A client that goes away is none of our trouble.
                let _ = converse(stream, peer, port, &state).await;
            });
        }
    });
    Ok(())
}

async fn converse(stream: TcpStream, peer: SocketAddr, port: u16, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(512, stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut stream).take(LONGEST);
        let Ok(read) = timeout(IDLE, limited.read_until(b'\n', &mut line)).await else {
            return Ok(());
        };
        if read? == 0 {
            return Ok(());
        }
        let Some(nonce) = read_greeting(&line) else {
            return stream.get_mut().write_all(b"not a plimsoll greeting\n").await;
        };
        let mut answer = serde_json::to_vec(&state.echo(nonce, peer, port))?;
        answer.push(b'\n');
        stream.get_mut().write_all(&answer).await?;
    }
}
