//! Connections whose SYN arrived and whose handshake never finished.
//!
//! The kernel keeps them for about a minute while it repeats its answer, so they tell a lost answer from a lost SYN,
//! without a privilege.

use std::io;
use std::net::SocketAddr;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as KernelAddress};

use crate::protocol::HalfOpen;

/// `TCP_SYN_RECV` of the kernel's `tcp_states.h`, and `TCP_NEW_SYN_RECV`, in which such a connection is before it has a
/// socket of its own. Both are shown as the first.
const SYN_RECV: u32 = 1 << 3 | 1 << 12;

/// Those of this network namespace.
///
/// The kernel is asked for this state alone. Where it cannot be (a sandbox, a kernel without `inet_diag`), its whole table
/// is read as text: on a node with a large one that takes ten times as long, and each agent asks for itself.
pub fn half_open() -> Vec<HalfOpen> {
    let mut found = ask_kernel(SYN_RECV).unwrap_or_else(|_| read_tables("03"));
    found.sort_unstable();
    found.dedup();
    found
}

/// Connections in these states (a bit for each number of `tcp_states.h`), by `sock_diag(7)`.
fn ask_kernel(states: u32) -> io::Result<Vec<HalfOpen>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&KernelAddress::new(0, 0))?;
    // The kernel answers in the call that asks: there is nothing to wait for.
    socket.set_non_blocking(true)?;
    let mut found = Vec::new();
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let request = InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::from_bits_retain(states),
            socket_id,
        };
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        socket.send(&bytes, 0)?;
        while let More::Comes = hear(&socket, &mut found)? {}
    }
    Ok(found)
}

/// Whether an answer is over.
enum More {
    Comes,
    Nothing,
}

/// Takes in one datagram of an answer.
fn hear(socket: &Socket, found: &mut Vec<HalfOpen>) -> io::Result<More> {
    let (datagram, _) = socket.recv_from_full()?;
    let mut rest = datagram.as_slice();
    while !rest.is_empty() {
        let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(More::Nothing),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                let id = response.header.socket_id;
                let peer = SocketAddr::new(id.destination_address.to_canonical(), id.destination_port);
                found.push(HalfOpen { port: id.source_port, peer });
            }
            _ => {}
        }
        // Messages begin at multiples of four.
        let length = usize::try_from(message.header.length).map_err(io::Error::other)?.next_multiple_of(4);
        if length == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(More::Comes)
}

/// Connections in a state (two hexadecimal digits), by the kernel's tables.
fn read_tables(state: &str) -> Vec<HalfOpen> {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"]
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| parse_table(&table, state))
        .collect()
}

fn parse_table(table: &str, wanted: &str) -> Vec<HalfOpen> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            if state != wanted {
                return None;
            }
            Some(HalfOpen { port: kernel_address(local)?.port(), peer: kernel_address(remote)? })
        })
        .collect()
}

/// Reads an address as /proc prints it: 32-bit words in the machine's order, a colon, the port in plain hexadecimal.
fn kernel_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let hex = address.get(at..at + 8)?;
        Some(u32::from_str_radix(hex, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => std::net::IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at * 8)?);
            }
            std::net::IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream};

    /// Half-open ones take another host's help; the way of asking is the same for any state.
    #[test]
    fn both_ways_of_asking_find_the_same_connections() {
        for host in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else { continue };
            let port = listener.local_addr().unwrap().port();
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect((host, port)).unwrap()).collect();
            let mut expected: Vec<_> = clients
                .iter()
                .map(|it| it.local_addr().unwrap())
                .map(|it| HalfOpen { port, peer: SocketAddr::new(it.ip().to_canonical(), it.port()) })
                .collect();
            expected.sort_unstable();
            for mut found in [ask_kernel(1 << 1).unwrap(), read_tables("01")] {
                found.retain(|it| it.port == port);
                found.sort_unstable();
                assert_eq!(found, expected, "{host}");
            }
        }
    }

    #[test]
    fn the_kernel_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
             1: 0100007F:1F90 0200007F:9C40 03 00000000:00000000 01:00000064 00000001     0        0 0 1 0\n";
        assert_eq!(
            parse_table(table, "03"),
            [HalfOpen { port: 8080, peer: "127.0.0.2:40000".parse().unwrap() }]
        );
        let mapped = kernel_address("0000000000000000FFFF00000100007F:1F90").unwrap();
        assert_eq!(mapped, "127.0.0.1:8080".parse().unwrap());
    }

    proptest! {
        #[test]
        fn no_table_breaks_the_reader(table in "\\PC*") {
            parse_table(&table, "03");
        }
    }
}
