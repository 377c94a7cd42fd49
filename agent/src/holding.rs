//! What goes over the wire about connections that are held and about hails: packets that a pod sends from the first
//! instant of its life.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::protocol::{Nonce, Seen};

/// How to hold a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// A greeting is due every so many milliseconds.
    pub every_ms: u32,
    /// A greeting that is not answered within so many milliseconds means that the connection is cut.
    pub patience_ms: u32,
    /// It ends after so many milliseconds in any case.
    pub deadline_ms: u32,
}

/// How a held connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "kebab-case")]
pub enum HoldEnd {
    /// It answered to the last.
    Open,
    /// It fell silent.
    Silent,
    /// It was reset, or closed by the other end.
    Refused,
    /// It never came about.
    NotOpened {
        /// What was seen in its place.
        seen: Box<Seen>,
    },
}

/// What came of a held connection. Times are of the clock of [`Clocks::monotonic_us`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How it ended.
    #[serde(flatten)]
    pub end: HoldEnd,
    /// Greetings that were sent.
    pub sent: u32,
    /// Greetings that were answered.
    pub echoes: u32,
    /// When the last greeting that was answered had been sent.
    pub last_echo_us: u64,
    /// When the first greeting was sent that was not answered; 0 if there was none.
    pub first_silent_us: u64,
}

/// Where a pod sends to from the first instant of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hail {
    /// The nonce of all its packets.
    pub nonce: Nonce,
    /// Datagrams, or else connections.
    pub datagrams: bool,
    /// Where to.
    pub to: SocketAddr,
}

impl fmt::Display for Hail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.nonce, if self.datagrams { "udp" } else { "tcp" }, self.to)
    }
}

impl FromStr for Hail {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{text}` is no hail: it reads NONCE@udp/ADDRESS:PORT or NONCE@tcp/ADDRESS:PORT");
        let (nonce, to) = text.split_once('@').ok_or_else(wrong)?;
        let (transport, to) = to.split_once('/').ok_or_else(wrong)?;
        let datagrams = match transport {
            "udp" => true,
            "tcp" => false,
            _ => return Err(wrong()),
        };
        let nonce = nonce.parse().map_err(|_| wrong())?;
        Ok(Self { nonce, datagrams, to: to.parse().map_err(|_| wrong())? })
    }
}

/// What a pod knows of one of its hails. Times are of the clock of [`Clocks::monotonic_us`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hailed {
    /// The second half of its nonce.
    pub index: u32,
    /// Packets that were sent, or connections that were begun.
    pub sent: u32,
    /// When the first was.
    pub first_us: u64,
    /// When the last was.
    pub last_us: u64,
    /// How many were answered.
    pub echoes: u32,
    /// When the first that was answered had been sent (over UDP: when the first answer came); 0 if there was none.
    pub first_echo_us: u64,
    /// What could not even be sent, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether it is over.
    pub over: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hail_reads_as_it_is_written() {
        for text in
            ["0000000000000007000000ff@udp/198.19.0.5:8080", "0000000000000007000000ff@tcp/[fd00::5]:9090"]
        {
            assert_eq!(text.parse::<Hail>().unwrap().to_string(), text);
        }
        for wrong in ["", "7@udp/198.19.0.5:8080", "0000000000000007000000ff@sctp/198.19.0.5:1"] {
            assert!(wrong.parse::<Hail>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_end_of_a_held_connection_survives_the_wire() {
        for end in [
            HoldEnd::Open,
            HoldEnd::Silent,
            HoldEnd::Refused,
            HoldEnd::NotOpened { seen: Box::new(Seen::Silence) },
        ] {
            let held = Held { end, sent: 3, echoes: 2, last_echo_us: 7, first_silent_us: 9 };
            let text = serde_json::to_string(&held).unwrap();
            assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held);
        }
    }
}
