//! UDP: a datagram in, a datagram out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::serve::{State, doing, wildcard};
use crate::protocol::read_greeting;

pub(super) async fn listen(port: u16, state: Arc<State>) -> io::Result<()> {
    let socket = UdpSocket::bind(&wildcard(port)[..])
        .await
        .map_err(|error| doing(format!("bind udp port {port}"), &error))?;
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let Ok((length, peer)) = socket.recv_from(&mut buffer).await else {
                // An ICMP error for an earlier answer; a broken socket must not spin.
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            };
            let Some(nonce) = buffer.get(..length).and_then(read_greeting) else { continue };
            if let Ok(answer) = serde_json::to_vec(&state.echo(nonce, peer, port)) {
                // A lost answer is for the client to find out.
                let _ = socket.send_to(&answer, peer).await;
            }
        }
    });
    Ok(())
}
