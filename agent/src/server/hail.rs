//! Hails: packets that a pod sends from the first instant of its life, whether or not anybody has let it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock;
use crate::protocol::{Echo, Hail, Hailed, Nonce, greeting};

/// How long a pod hails.
const FOR: Duration = Duration::from_secs(2);
/// A datagram every so often.
const DATAGRAM: Duration = Duration::from_millis(5);
/// A connection every so often.
const CONNECTION: Duration = Duration::from_millis(25);
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_millis(900);

/// What has come of a hail so far.
#[derive(Clone, Debug)]
pub(super) struct Record(Arc<Mutex<Hailed>>);

impl Record {
    fn new(index: u32) -> Self {
        let hailed = Hailed {
            index,
            sent: 0,
            first_us: 0,
            last_us: 0,
            echoes: 0,
            first_echo_us: 0,
            trouble: None,
            over: false,
        };
        Self(Arc::new(Mutex::new(hailed)))
    }

    fn lock(&self) -> MutexGuard<'_, Hailed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> Hailed {
        self.lock().clone()
    }

    fn sent(&self) -> u64 {
        let now = clock::monotonic_us();
        let mut record = self.lock();
        record.sent = record.sent.saturating_add(1);
        record.last_us = now;
        if record.first_us == 0 {
            record.first_us = now;
        }
        now
    }

    fn echoed(&self, at_us: u64) {
        let mut record = self.lock();
        record.echoes = record.echoes.saturating_add(1);
        if record.first_echo_us == 0 || at_us < record.first_echo_us {
            record.first_echo_us = at_us;
        }
    }

    fn trouble(&self, error: &io::Error) {
        let mut record = self.lock();
        if record.trouble.is_none() {
            record.trouble = Some(error.to_string());
        }
    }
}

/// Begins to hail.
pub(super) fn begin(hail: Hail) -> Record {
    let record = Record::new(hail.nonce.index);
    let kept = record.clone();
    tokio::spawn(async move {
        if hail.datagrams {
            if let Err(error) = datagrams(hail, &record).await {
                record.trouble(&error);
            }
        } else {
            connections(hail, &record).await;
        }
        record.lock().over = true;
    });
    kept
}

async fn datagrams(hail: Hail, record: &Record) -> io::Result<()> {
    let any: SocketAddr = match hail.to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(hail.to).await?;
    let greeting = greeting(hail.nonce);
    let sending = async {
        let mut ticks = interval(DATAGRAM);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            // An error is that of an earlier datagram; this one is sent with the next.
            if socket.send(greeting.as_bytes()).await.is_ok() {
                record.sent();
            }
        }
    };
    let hearing = async {
        let mut buffer = vec![0; 4096];
        loop {
            match socket.recv(&mut buffer).await {
                Ok(length) if is_echo(buffer.get(..length).unwrap_or_default(), hail.nonce) => {
                    record.echoed(clock::monotonic_us());
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let both = async {
        tokio::select! {
            () = sending => {}
            () = hearing => {}
        }
    };
    let _ = timeout(FOR, both).await;
    Ok(())
}

async fn connections(hail: Hail, record: &Record) {
    let begun = async {
        let mut ticks = interval(CONNECTION);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let record = record.clone();
            tokio::spawn(async move {
                let at_us = record.sent();
                if let Ok(Ok(true)) = timeout(PATIENCE, greet(hail)).await {
                    record.echoed(at_us);
                }
            });
        }
    };
    let _: Result<(), _> = timeout(FOR, begun).await;
}

async fn greet(hail: Hail) -> io::Result<bool> {
    let mut stream = TcpStream::connect(hail.to).await?;
    stream.write_all(greeting(hail.nonce).as_bytes()).await?;
    let mut line = Vec::new();
    BufReader::new(stream).take(64 << 10).read_until(b'\n', &mut line).await?;
    Ok(is_echo(&line, hail.nonce))
}

fn is_echo(answer: &[u8], nonce: Nonce) -> bool {
    serde_json::from_slice::<Echo>(answer).is_ok_and(|echo| echo.nonce == nonce)
}
