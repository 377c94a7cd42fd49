//! The wire protocol between the harness and its agents, and between two agents.
//!
//! Harness and agent exchange newline-delimited JSON over one held exec stream: [`Request`]s go in, [`Reply`]s come
//! out. The agent speaks first, with [`Reply::Hello`]. Requests run side by side; each reply names the request that it
//! belongs to. A line that cannot be read is answered with [`Reply::Error`] and never ends the stream; the end of the
//! input does.
//!
//! Between agents a probe is one line, [`greeting`], over TCP or UDP or as a header over HTTP, and the answer is one
//! [`Echo`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use crate::holding::{Hail, Hailed, Held, Hold, HoldEnd};
pub use crate::observed::{Arrival, Clocks, Found, HalfOpen};
pub use crate::pressure::{Load, Loaded, Pulse, Pulsed};
pub use crate::watching::{Change, Pace, Watch, Watched};

/// The version that both ends must share.
pub const PROTOCOL: u32 = 2;

/// The longest line that either end reads.
pub const MAX_LINE: usize = 8 << 20;

/// The header that carries the nonce over HTTP.
pub const NONCE_HEADER: &str = "x-plimsoll-nonce";

/// The word that a probe begins with.
pub const GREETING: &str = "PLIMSOLL/1";

/// What a probe sends over TCP and UDP.
pub fn greeting(nonce: Nonce) -> String {
    format!("{GREETING} {nonce}\n")
}

/// The nonce of a greeting, if it is one.
pub fn read_greeting(line: &[u8]) -> Option<Nonce> {
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix(GREETING)?.strip_prefix(' ')?.trim_end_matches(['\r', '\n']).parse().ok()
}

/// What makes one probe recognisable at its other end: the round (random, one a plan) and the probe's place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce {
    /// Drawn at random for each plan.
    pub round: u64,
    /// The probe's index in its plan.
    pub index: u32,
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:08x}", self.round, self.index)
    }
}

/// A text that is no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANonce;

impl fmt::Display for NotANonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a nonce is 24 lower-case hexadecimal digits")
    }
}

impl std::error::Error for NotANonce {}

impl FromStr for Nonce {
    type Err = NotANonce;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 24 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NotANonce);
        }
        let (round, index) = text.split_at(16);
        Ok(Self {
            round: u64::from_str_radix(round, 16).map_err(|_| NotANonce)?,
            index: u32::from_str_radix(index, 16).map_err(|_| NotANonce)?,
        })
    }
}

impl Serialize for Nonce {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Who an agent is. It learns this from its environment (see [`env`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The tenant that the pod belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// The pod's namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The pod's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The node that the pod runs on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The pod's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

impl Identity {
    /// `namespace/pod`: what a probe expects to be answered by.
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }
}

/// The environment variables that tell an agent who it is.
pub mod env {
    /// The tenant that the pod belongs to.
    pub const TENANT: &str = "PLIMSOLL_TENANT";
    /// The pod's namespace (`metadata.namespace`).
    pub const NAMESPACE: &str = "PLIMSOLL_NAMESPACE";
    /// The pod's name (`metadata.name`).
    pub const POD: &str = "PLIMSOLL_POD";
    /// The node (`spec.nodeName`).
    pub const NODE: &str = "PLIMSOLL_NODE";
    /// The pod's address (`status.podIP`).
    pub const ADDRESS: &str = "PLIMSOLL_POD_IP";
}

/// What a server answers a probe with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The nonce that arrived.
    pub nonce: Nonce,
    /// Who answers.
    pub who: Identity,
    /// The address that the probe seemed to come from.
    pub peer: SocketAddr,
    /// The port that the probe arrived at.
    pub port: u16,
    /// The request's headers, over HTTP.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// How a probe travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A connection, the greeting, the echo.
    Tcp,
    /// A datagram, re-sent within the deadline, the echo.
    Udp,
    /// A GET with the nonce in a header, the echo as its body.
    Http,
    /// A look-up over UDP: of the host by the pod's own resolver configuration or, where a port is given, of
    /// [`Probe::question`] at that server.
    Dns,
    /// The same over TCP.
    DnsTcp,
    /// A connection, and not a word: whoever listens there is no agent.
    Connect,
}

impl Transport {
    /// Whether it looks a name up rather than reaching for an agent.
    pub const fn is_lookup(self) -> bool {
        matches!(self, Self::Dns | Self::DnsTcp)
    }
}

/// One attempt to reach something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its place in the plan; the second half of its nonce.
    pub index: u32,
    /// How it travels.
    pub transport: Transport,
    /// An address or a name.
    pub host: String,
    /// The port; 0 for a look-up by the pod's own resolver configuration.
    #[serde(default)]
    pub port: u16,
    /// Who may answer, as `namespace/pod`; empty if anybody may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// What to ask a name server for, if that is what the probe does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

/// What the harness asks of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase")]
pub enum Request {
    /// Run all of these at once; a [`Reply::Result`] each, as they finish, then [`Reply::Done`].
    Plan {
        /// Names this request in its replies.
        id: u32,
        /// The first half of every nonce.
        round: Round,
        /// How long and how often.
        #[serde(default)]
        pace: Pace,
        /// What to try.
        probes: Vec<Probe>,
    },
    /// Repeat each probe at a fixed rate until it has settled on one of the awaited verdicts, or until the deadline.
    /// [`Reply::Watched`] for each probe, then [`Reply::Done`].
    Watch {
        /// Names this request in its replies.
        id: u32,
        /// The first half of every nonce.
        round: Round,
        /// What to repeat.
        probes: Vec<Probe>,
        /// When and how.
        watch: Watch,
    },
    /// Open one connection and keep it, greeting over it at a fixed rate, until it no longer answers, until the
    /// deadline or until cancelled. [`Reply::Holding`] at the first echo, [`Reply::Held`] at the end, then
    /// [`Reply::Done`].
    Hold {
        /// Names this request in its replies.
        id: u32,
        /// The first half of the nonce, which is the same for every greeting.
        round: Round,
        /// Where to. Over TCP, whatever it says.
        probe: Probe,
        /// How often and how long.
        hold: Hold,
    },
    /// What came of the hails that this pod began its life with.
    Hails {
        /// Names this request in its reply.
        id: u32,
    },
    /// Which nonces of a round the server in this pod has seen.
    Arrivals {
        /// Names this request in its reply.
        id: u32,
        /// The round.
        round: Round,
        /// It began no longer ago than this.
        within_ms: u32,
    },
    /// Read the clocks.
    Ping {
        /// Names this request in its reply.
        id: u32,
    },
    /// Repeat each probe at a fixed rate and say how long each sample took. [`Reply::Pulsed`] for each probe, then
    /// [`Reply::Done`].
    Pulse {
        /// Names this request in its replies.
        id: u32,
        /// The first half of every nonce.
        round: Round,
        /// What to repeat.
        probes: Vec<Probe>,
        /// How often, and for how long.
        pulse: Pulse,
    },
    /// Use as much of the processor as there is to be had: [`Reply::Loading`] once all of it runs,
    /// [`Reply::Loaded`] when its time is up or it is cancelled, then [`Reply::Done`].
    Load {
        /// Names this request in its replies.
        id: u32,
        /// How much, and for how long.
        load: Load,
    },
    /// Write a file into a volume of this pod. [`Reply::Done`] once it is on disk.
    Write {
        /// Names this request in its reply.
        id: u32,
        /// Where.
        path: String,
        /// What it holds.
        text: String,
    },
    /// Look for a text in every file below a directory, byte by byte.
    Search {
        /// Names this request in its reply.
        id: u32,
        /// Where to look.
        path: String,
        /// What to look for.
        text: String,
    },
    /// Give up a plan or a watch; what has finished is reported, then [`Reply::Done`].
    Cancel {
        /// The request to give up.
        id: u32,
    },
}

/// The random half of a nonce, as text: JSON numbers do not hold 64 bits everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u64);

impl Serialize for Round {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Round {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.len() != 16 {
            return Err(serde::de::Error::custom("a round is 16 hexadecimal digits"));
        }
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What the client of a probe saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "saw", rename_all = "kebab-case")]
pub enum Seen {
    /// The right nonce came back from somebody who was expected.
    Echo {
        /// Who answered, and what they saw.
        echo: Box<Echo>,
    },
    /// The right nonce came back from somebody else.
    Misrouted {
        /// Who answered, and what they saw.
        echo: Box<Echo>,
    },
    /// The connection was accepted, which is all that was asked.
    Accepted,
    /// Something answered, but not as an agent does.
    Stranger {
        /// The beginning of what it said.
        said: String,
    },
    /// The name has these addresses, or the name server answered.
    Resolved {
        /// The addresses (none if a name server merely answered).
        addresses: Vec<IpAddr>,
        /// The response code.
        rcode: String,
    },
    /// An HTTP answer that is no echo.
    Http {
        /// The status code.
        status: u16,
        /// The `server` header: proxies name themselves in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
        /// The beginning of the body.
        said: String,
    },
    /// Nothing came back in time.
    Silence,
    /// A reset, or the peer hung up before it answered.
    Refused {
        /// Which of them.
        how: Refusal,
    },
    /// An ICMP error came back.
    Rejected {
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        icmp_code: u8,
        /// Who sent it.
        by: Option<IpAddr>,
    },
    /// The name could not be resolved.
    Unresolved {
        /// Response code, or `TIMEOUT`.
        rcode: String,
    },
    /// The attempt could not be made.
    Trouble {
        /// Why.
        why: String,
    },
}

/// The ways to refuse a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// A reset in answer to the SYN.
    Reset,
    /// A reset after the connection was made.
    ResetLater,
    /// The connection was closed before an answer.
    HungUp,
    /// The destination itself says that nobody listens (UDP).
    PortUnreachable,
}

/// [`Seen`] without its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the words are those of `Seen`
pub enum SeenKind {
    Echo,
    Misrouted,
    Accepted,
    Stranger,
    Resolved,
    Http,
    Silence,
    Refused,
    Rejected,
    Unresolved,
    Trouble,
}

impl Seen {
    /// Without its particulars.
    pub const fn kind(&self) -> SeenKind {
        match self {
            Self::Echo { .. } => SeenKind::Echo,
            Self::Misrouted { .. } => SeenKind::Misrouted,
            Self::Accepted => SeenKind::Accepted,
            Self::Stranger { .. } => SeenKind::Stranger,
            Self::Resolved { .. } => SeenKind::Resolved,
            Self::Http { .. } => SeenKind::Http,
            Self::Silence => SeenKind::Silence,
            Self::Refused { .. } => SeenKind::Refused,
            Self::Rejected { .. } => SeenKind::Rejected,
            Self::Unresolved { .. } => SeenKind::Unresolved,
            Self::Trouble { .. } => SeenKind::Trouble,
        }
    }
}

/// What came of one probe of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The probe's index.
    pub index: u32,
    /// What the client saw.
    #[serde(flatten)]
    pub seen: Seen,
    /// Microseconds from the probe's start to this.
    pub took_us: u64,
    /// How many dials or datagrams were made.
    pub attempts: u32,
    /// The local ports that they were made from: the server's half-open connections are recognised by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// The address that was tried last, where the host was a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "lowercase")]
pub enum Reply {
    /// The first line.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The agent's version.
        version: String,
        /// Who it is.
        who: Identity,
        /// Its clocks.
        clocks: Clocks,
    },
    /// One probe of a plan is over.
    Result {
        /// The plan.
        id: u32,
        /// What came of the probe.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The watch of one probe is over.
    Watched {
        /// The request.
        id: u32,
        /// What came of it.
        #[serde(flatten)]
        watched: Watched,
    },
    /// A connection is held.
    Holding {
        /// The request.
        id: u32,
    },
    /// A connection is no longer held.
    Held {
        /// The request.
        id: u32,
        /// What came of it.
        #[serde(flatten)]
        held: Held,
    },
    /// What came of the pod's hails.
    Hails {
        /// The request.
        id: u32,
        /// Each, in the order in which they were given.
        hails: Vec<Hailed>,
    },
    /// A request is over.
    Done {
        /// The request.
        id: u32,
        /// Microseconds from its arrival.
        took_us: u64,
    },
    /// Which nonces have arrived.
    Arrivals {
        /// The request.
        id: u32,
        /// Those of the round that was asked for.
        arrivals: Vec<Arrival>,
        /// Connections in this pod whose handshake is not complete.
        half_open: Vec<HalfOpen>,
        /// Whether the bounded ledger still holds all that arrived in that time: if not, absence proves nothing.
        complete: bool,
    },
    /// The clocks.
    Pong {
        /// The request.
        id: u32,
        /// Read when the request arrived.
        clocks: Clocks,
    },
    /// The pulse of one probe is over.
    Pulsed {
        /// The request.
        id: u32,
        /// What came of it.
        #[serde(flatten)]
        pulsed: Pulsed,
    },
    /// The load is on.
    Loading {
        /// The request.
        id: u32,
    },
    /// The load is off again.
    Loaded {
        /// The request.
        id: u32,
        /// What it came to.
        #[serde(flatten)]
        loaded: Loaded,
    },
    /// What a search came to.
    Found {
        /// The request.
        id: u32,
        /// What was found.
        #[serde(flatten)]
        found: Found,
    },
    /// A request could not be read or carried out.
    Error {
        /// The request, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// Why.
        why: String,
    },
}

impl Reply {
    /// Reads one line of an agent's. Called rather than repeated by whoever hears agents: ten thousand results of a
    /// matrix take a second where a build leaves its own code unoptimised, as a newcomer's does.
    ///
    /// # Errors
    /// It is no reply.
    pub fn read(line: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(line)
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
