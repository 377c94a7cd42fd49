//! Who this agent is, and where its two processes meet.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use crate::protocol::{Identity, env};

/// Reads the identity that the pod's specification put into the environment.
pub fn from_environment() -> Identity {
    let read = |name| std::env::var(name).unwrap_or_default();
    Identity {
        tenant: read(env::TENANT),
        namespace: read(env::NAMESPACE),
        pod: read(env::POD),
        node: read(env::NODE),
        address: read(env::ADDRESS),
    }
}

/// The socket on which the server answers the driver of the same pod.
///
/// It lives in the abstract namespace, so it needs no writable file system. Pods of the host network share that
/// namespace, hence the pod's name in it.
pub fn control_socket(who: &Identity) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("plimsoll-agent/{}", who.name()))
}
