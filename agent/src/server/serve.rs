//! Binds what was declared and serves until told to stop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

use super::{control, hail, http, tcp, udp};
use crate::clock;
use crate::ledger::Ledger;
use crate::protocol::{Echo, Hail, Hailed, Identity, Nonce};

/// The ports to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// TCP echo.
    pub tcp: Vec<u16>,
    /// UDP echo.
    pub udp: Vec<u16>,
    /// HTTP echo.
    pub http: Vec<u16>,
    /// Where to send to from the first instant, before anything else.
    pub hails: Vec<Hail>,
}

/// What every listener shares.
#[derive(Debug)]
pub(super) struct State {
    who: Identity,
    ledger: Mutex<Ledger>,
    hails: Vec<hail::Record>,
}

impl State {
    /// Who answers.
    pub(super) fn who(&self) -> &Identity {
        &self.who
    }

    /// What has come of the hails so far.
    pub(super) fn hails(&self) -> Vec<Hailed> {
        self.hails.iter().map(hail::Record::read).collect()
    }

    /// The ledger; a listener that panicked cannot have left it half-written.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an arrival and makes its echo.
    pub(super) fn echo(&self, nonce: Nonce, peer: SocketAddr, port: u16) -> Echo {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        self.ledger().note(nonce, port, peer, clock::monotonic_us());
        Echo { nonce, who: self.who.clone(), peer, port, headers: std::collections::BTreeMap::new() }
    }
}

/// An error with what was being done.
pub(super) fn doing(what: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Both families where the machine has both.
pub(super) fn wildcard(port: u16) -> [SocketAddr; 2] {
    [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
}

/// Serves until SIGTERM or SIGINT. As the first process of a container it must ask for them: the kernel delivers none
/// by default.
///
/// # Errors
/// A port cannot be bound.
pub async fn serve(ports: Ports, who: Identity) -> io::Result<()> {
    let hails = ports.hails.iter().copied().map(hail::begin).collect();
    // The runtime has one thread: the first packets leave while this task waits.
    tokio::task::yield_now().await;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let state = Arc::new(State { who, ledger: Mutex::new(Ledger::new(Ledger::CAPACITY)), hails });
    for port in ports.tcp {
        tcp::listen(port, Arc::clone(&state)).await?;
    }
    for port in ports.udp {
        udp::listen(port, Arc::clone(&state)).await?;
    }
    for port in ports.http {
        http::listen(port, Arc::clone(&state)).await?;
    }
    // Last, so that an agent that answers here has all its ports open.
    control::listen(&state)?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}
