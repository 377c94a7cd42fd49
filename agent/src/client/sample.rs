//! One dial, or one datagram re-sent: the smallest attempt.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hickory_resolver::proto::op::{Message, MessageType, OpCode, Query};
use hickory_resolver::proto::rr::{Name, RecordType};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, SERVER};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Duration, Instant, sleep_until};

use super::socket;
use crate::protocol::{Echo, NONCE_HEADER, Nonce, Probe, Seen, Transport, greeting};

/// The longest echo (HTTP headers included) that is read.
const LONGEST_ANSWER: usize = 64 << 10;

/// What a probe sends and expects, and the ports that it has used so far.
#[derive(Debug)]
pub(super) struct Sample {
    pub probe: Rc<Probe>,
    pub nonce: Nonce,
    pub ports: RefCell<Vec<u16>>,
    /// When a dial has last come through to the other end's kernel.
    pub connected: Cell<Option<Instant>>,
}

impl Sample {
    pub(super) fn new(probe: Rc<Probe>, round: u64) -> Rc<Self> {
        let nonce = Nonce { round, index: probe.index };
        Rc::new(Self { probe, nonce, ports: RefCell::default(), connected: Cell::default() })
    }

    /// One dial over TCP or HTTP. `None` is silence.
    pub(super) async fn dial(&self, address: IpAddr) -> Option<Seen> {
        let to = SocketAddr::new(address, self.probe.port);
        let (socket, second) = match socket::tcp(to) {
            Ok(sockets) => sockets,
            Err(error) => return Some(Seen::Trouble { why: error.to_string() }),
        };
        let connected = {
            let mut connecting = pin!(socket.connect(to));
            // The first poll sends the SYN and so gives the socket its port.
            let first = poll_fn(|context| Poll::Ready(connecting.as_mut().poll(context))).await;
            self.note_port(second.as_fd());
            match first {
                Poll::Ready(connected) => connected,
                Poll::Pending => connecting.await,
            }
        };
        if connected.is_ok() {
            self.connected.set(Some(Instant::now()));
        }
        let talked = match connected {
            Ok(stream) => match self.probe.transport {
                Transport::Http => self.fetch(stream).await,
                Transport::DnsTcp => self.query(stream).await,
                Transport::Connect => Ok(Seen::Accepted),
                _ => self.greet(stream).await,
            },
            Err(error) => Err(error),
        };
        match talked {
            Ok(seen) => Some(seen),
            Err(error) => socket::judge(second.as_fd(), to, false, &error),
        }
    }

    async fn greet(&self, mut stream: TcpStream) -> io::Result<Seen> {
        stream.set_nodelay(true)?;
        stream.write_all(greeting(self.nonce).as_bytes()).await?;
        let mut line = Vec::new();
        BufReader::new(stream).take(LONGEST_ANSWER as u64).read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.recognise(&line))
    }

    /// A question over TCP has its length before it.
    async fn query(&self, mut stream: TcpStream) -> io::Result<Seen> {
        let question = self.payload().map_err(io::Error::other)?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), question.as_slice()].concat()).await?;
        let mut answer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut answer).await?;
        Ok(name_answer(&answer))
    }

    async fn fetch(&self, stream: TcpStream) -> io::Result<Seen> {
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http_error)?;
        let request = hyper::Request::get("/")
            .header(HOST, format!("{}:{}", self.probe.host, self.probe.port))
            .header(NONCE_HEADER, self.nonce.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
        let exchange = async {
            let response = match sender.send_request(request).await {
                Ok(response) => response,
                // Something talks, but not HTTP.
                Err(error) if error.is_parse() => return Ok(Seen::Stranger { said: error.to_string() }),
                Err(error) => return Err(http_error(error)),
            };
            let status = response.status();
            let server = response.headers().get(SERVER).and_then(|it| it.to_str().ok()).map(str::to_owned);
            let body = Limited::new(response.into_body(), LONGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| {
                    error.downcast::<hyper::Error>().map_or_else(io::Error::other, |it| http_error(*it))
                })?
                .to_bytes();
            if status.is_success() && serde_json::from_slice::<Echo>(&body).is_ok() {
                return Ok(self.recognise(&body));
            }
            Ok(Seen::Http { status: status.as_u16(), server, said: beginning(&body) })
        };
        // The connection has to be driven beside the exchange; its own error is the exchange's, told twice.
        let mut exchange = pin!(exchange);
        tokio::select! {
            seen = &mut exchange => seen,
            _ = connection => exchange.await,
        }
    }

    /// A datagram, re-sent at each offset; whoever calls says how long to listen. `None` is silence, as in a dial.
    pub(super) async fn send(
        &self,
        address: IpAddr,
        start: Instant,
        offsets: &[Duration],
        sent: &RefCell<u32>,
    ) -> Option<Seen> {
        let to = SocketAddr::new(address, self.probe.port);
        let socket = match socket::udp(to).await {
            Ok(socket) => socket,
            Err(error) => return Some(Seen::Trouble { why: error.to_string() }),
        };
        self.note_port(socket.as_fd());
        let payload = match self.payload() {
            Ok(payload) => payload,
            Err(why) => return Some(Seen::Trouble { why }),
        };
        let sending = async {
            for &offset in offsets {
                sleep_until(start + offset).await;
                *sent.borrow_mut() += 1;
                // An error here is that of an earlier datagram; whoever receives gets to see it.
                let _ = socket.send(&payload).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            seen = self.hear(&socket, to) => seen,
            () = sending => None,
        }
    }

    async fn hear(&self, socket: &UdpSocket, to: SocketAddr) -> Option<Seen> {
        let mut buffer = vec![0; 4096];
        match socket.recv(&mut buffer).await {
            Ok(length) => {
                buffer.truncate(length);
                Some(if self.probe.transport == Transport::Dns {
                    name_answer(&buffer)
                } else {
                    self.recognise(&buffer)
                })
            }
            Err(error) => socket::judge(socket.as_fd(), to, true, &error),
        }
    }

    fn payload(&self) -> Result<Vec<u8>, String> {
        if !self.probe.transport.is_lookup() {
            return Ok(greeting(self.nonce).into_bytes());
        }
        let question = self.probe.question.as_deref().unwrap_or(".");
        let name = Name::from_ascii(question).map_err(|error| format!("{question}: {error}"))?;
        let mut message = Message::new(self.nonce.index as u16, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, RecordType::A));
        message.to_vec().map_err(|error| error.to_string())
    }

    fn recognise(&self, answer: &[u8]) -> Seen {
        match serde_json::from_slice::<Echo>(answer) {
            Ok(echo) if echo.nonce == self.nonce => {
                let expect = &self.probe.expect;
                let expected = expect.is_empty() || expect.contains(&echo.who.name());
                let echo = Box::new(echo);
                if expected { Seen::Echo { echo } } else { Seen::Misrouted { echo } }
            }
            _ => Seen::Stranger { said: beginning(answer) },
        }
    }

    fn note_port(&self, socket: BorrowedFd<'_>) {
        // A dial that failed at once never had a port.
        if let Some(local) = socket::local(socket).filter(|it| it.port() != 0) {
            self.ports.borrow_mut().push(local.port());
        }
    }
}

/// Comes back when there has been silence until then. A process that did not get its turn has not listened: what it was
/// late by, it listens longer.
pub(super) async fn silence(until: impl Fn() -> Instant) {
    /// Timers of a process that gets its turn are not as late as this.
    const LATE: Duration = Duration::from_millis(20);
    /// Longer than this nobody waits for a turn.
    const LONGEST: Duration = Duration::from_secs(3);
    let mut longer = Duration::ZERO;
    loop {
        let due = until() + longer;
        sleep_until(due).await;
        if until() + longer > due {
            continue;
        }
        let late = due.elapsed();
        if late < LATE || longer >= LONGEST {
            return;
        }
        longer += late * 2;
    }
}

fn name_answer(datagram: &[u8]) -> Seen {
    match Message::from_vec(datagram) {
        Ok(message) => Seen::Resolved {
            addresses: message.answers.iter().filter_map(|record| record.data.ip_addr()).collect(),
            rcode: super::names::word(message.metadata.response_code),
        },
        Err(_) => Seen::Stranger { said: beginning(datagram) },
    }
}

/// Finds the socket's error below hyper's, so that a reset stays one.
fn http_error(error: hyper::Error) -> io::Error {
    if error.is_incomplete_message() {
        return io::ErrorKind::UnexpectedEof.into();
    }
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return io::Error::new(io.kind(), error.to_string());
        }
        source = cause.source();
    }
    io::Error::other(error)
}

/// Enough of a foreign answer to recognise who gave it.
fn beginning(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).chars().take(200).collect()
}
