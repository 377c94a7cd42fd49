mod cyclonus;
mod facts;
mod reading;

use super::{NamedPort, Protocol};

/// The ports that every pod of the upstream tests and of cyclonus serves: each number over each protocol, under a name of
/// its own.
fn serving(numbers: &[u16]) -> Vec<NamedPort> {
    let ports = numbers.iter().flat_map(|number| {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].map(|protocol| NamedPort {
            name: format!("serve-{number}-{}", protocol.word().to_lowercase()),
            protocol,
            number: *number,
        })
    });
    ports.collect()
}
