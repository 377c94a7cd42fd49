//! Sockets that tell an ICMP error from a reset.
//!
//! Both end in the same errno: a filter that rejects with "port unreachable" and a host where nobody listens are each
//! ECONNREFUSED. With `IP_RECVERR` the kernel keeps the ICMP message itself, with its sender, in the error queue.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, getsockname, recvmsg, setsockopt};
use tokio::net::{TcpSocket, UdpSocket};

use crate::protocol::{Refusal, Seen};

/// ICMPv4 "destination unreachable" and its codes that matter here.
const ICMP4_UNREACHABLE: u8 = 3;
const ICMP4_NET: u8 = 0;
const ICMP4_HOST: u8 = 1;
const ICMP4_PORT: u8 = 3;
/// The same of ICMPv6.
const ICMP6_UNREACHABLE: u8 = 1;
const ICMP6_NO_ROUTE: u8 = 0;
const ICMP6_ADDRESS: u8 = 3;
const ICMP6_PORT: u8 = 4;

/// An ICMP error from a socket's error queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct IcmpError {
    v6: bool,
    kind: u8,
    code: u8,
    by: Option<IpAddr>,
}

impl IcmpError {
    fn is_port_unreachable(self) -> bool {
        (self.kind, self.code)
            == if self.v6 { (ICMP6_UNREACHABLE, ICMP6_PORT) } else { (ICMP4_UNREACHABLE, ICMP4_PORT) }
    }

    /// "No such host" or "no such network", as opposed to "not allowed".
    fn is_no_neighbour(self) -> bool {
        let code = self.code;
        if self.v6 {
            self.kind == ICMP6_UNREACHABLE && (code == ICMP6_NO_ROUTE || code == ICMP6_ADDRESS)
        } else {
            self.kind == ICMP4_UNREACHABLE && (code == ICMP4_NET || code == ICMP4_HOST)
        }
    }
}

fn keep_errors(socket: &impl AsFd, to: SocketAddr) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// A TCP socket that keeps ICMP errors, and a second descriptor of it to read them by once a dial has failed.
pub(super) fn tcp(to: SocketAddr) -> io::Result<(TcpSocket, OwnedFd)> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    keep_errors(&socket, to)?;
    let second = socket.as_fd().try_clone_to_owned()?;
    Ok((socket, second))
}

/// A connected UDP socket that keeps ICMP errors.
pub(super) async fn udp(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    keep_errors(&socket, to)?;
    socket.connect(to).await?;
    Ok(socket)
}

/// The address that a socket sends from, once it has one.
pub(super) fn local(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    let name: SockaddrStorage = getsockname(socket.as_raw_fd()).ok()?;
    if let Some(v4) = name.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    name.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port()))
}

fn queued_error(socket: BorrowedFd<'_>) -> Option<IcmpError> {
    loop {
        let mut payload = [0; 1];
        let mut data = [IoSliceMut::new(&mut payload)];
        // Room for the error and its sender, of either family.
        let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut data,
            Some(&mut control),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        )
        .ok()?;
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::Ipv4RecvErr(error, by) if error.ee_origin == libc::SO_EE_ORIGIN_ICMP => {
                    let by = by.map(|it| IpAddr::from(u32::from_be(it.sin_addr.s_addr).to_be_bytes()));
                    return Some(IcmpError { v6: false, kind: error.ee_type, code: error.ee_code, by });
                }
                ControlMessageOwned::Ipv6RecvErr(error, by)
                    if error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 =>
                {
                    let by = by.map(|it| IpAddr::from(it.sin6_addr.s6_addr));
                    return Some(IcmpError { v6: true, kind: error.ee_type, code: error.ee_code, by });
                }
                _ => {}
            }
        }
    }
}

/// What a socket's error means. `None` is silence: the kernel gave up waiting.
pub(super) fn judge(socket: BorrowedFd<'_>, to: SocketAddr, udp: bool, error: &io::Error) -> Option<Seen> {
    if let Some(icmp) = queued_error(socket) {
        let ours = local(socket).map(|it| it.ip());
        // Our own stack says so when nobody answers on the link: there was nothing to refuse.
        if icmp.is_no_neighbour() && icmp.by.is_some() && icmp.by == ours {
            return Some(Seen::Trouble { why: format!("no neighbour answers for {}", to.ip()) });
        }
        if udp && icmp.is_port_unreachable() && icmp.by == Some(to.ip()) {
            return Some(Seen::Refused { how: Refusal::PortUnreachable });
        }
        return Some(Seen::Rejected { icmp_type: icmp.kind, icmp_code: icmp.code, by: icmp.by });
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused if udp => Some(Seen::Refused { how: Refusal::PortUnreachable }),
        io::ErrorKind::ConnectionRefused => Some(Seen::Refused { how: Refusal::Reset }),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Some(Seen::Refused { how: Refusal::ResetLater })
        }
        io::ErrorKind::UnexpectedEof => Some(Seen::Refused { how: Refusal::HungUp }),
        io::ErrorKind::TimedOut => None,
        _ => Some(Seen::Trouble { why: error.to_string() }),
    }
}
