//! Carries connections from the machine's loopback to the API server inside of the lab.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;

use tokio::net::{TcpListener, TcpStream};

use crate::address::API_PORT;
use crate::error::{Context as _, Result};

/// Takes the listening socket that this process was given as its standard input.
pub(super) fn inherited_listener() -> Result<TcpListener> {
    let what = || "taking over the API port";
    let socket = std::io::stdin().as_fd().try_clone_to_owned().context(what)?;
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true).context(what)?;
    TcpListener::from_std(listener).context(what)
}

/// Forwards until the lab ends.
pub(super) async fn serve(listener: TcpListener) {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, API_PORT));
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(carry(client, server));
            }
            Err(error) => {
                // Out of descriptors, most likely: those in use will come back.
                tracing::warn!("accepting on the API port: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr) {
    // A server that is not there closes the connection, which is what a client sees of it without us.
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    let _ = client.set_nodelay(true);
    let _ = upstream.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}
