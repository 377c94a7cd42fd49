//! One connection, kept: does it outlive a change of policy?

use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch as signal;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::names::Names;
use super::socket;
use crate::clock;
use crate::protocol::{Echo, Held, Hold, HoldEnd, Nonce, Probe, Refusal, Seen, greeting};

/// The longest echo that is read.
const LONGEST_ANSWER: u64 = 64 << 10;

/// Greets over one connection until it no longer answers. `holding` is called at the first echo.
pub(super) async fn run(
    probe: &Probe,
    round: u64,
    hold: &Hold,
    names: &Names,
    mut cancelled: signal::Receiver<bool>,
    holding: impl FnOnce(),
) -> Held {
    let mut held = Held { end: HoldEnd::Open, sent: 0, echoes: 0, last_echo_us: 0, first_silent_us: 0 };
    let patience = Duration::from_millis(hold.patience_ms.max(1).into());
    let end = Instant::now() + Duration::from_millis(hold.deadline_ms.into());
    let not_opened = |seen| HoldEnd::NotOpened { seen: Box::new(seen) };
    let address = match names.find(&probe.host).await {
        Ok(addresses) => addresses.first().copied(),
        Err(seen) => {
            held.end = not_opened(seen);
            return held;
        }
    };
    let opened = match address {
        Some(address) => open(address, probe.port, patience).await,
        None => Err(Seen::Unresolved { rcode: "NODATA".into() }),
    };
    let mut stream = match opened {
        Ok(stream) => BufReader::new(stream),
        Err(seen) => {
            held.end = not_opened(seen);
            return held;
        }
    };
    let nonce = Nonce { round, index: probe.index };
    let every = Duration::from_millis(hold.every_ms.max(1).into());
    let start = Instant::now();
    let mut holding = Some(holding);
    for tick in 0_u32.. {
        let at = start + every.saturating_mul(tick);
        tokio::select! {
            biased;
            _ = cancelled.wait_for(|it| *it) => return held,
            () = sleep_until(at.min(end)) => {}
        }
        if at >= end {
            return held;
        }
        let sent_us = clock::monotonic_us();
        held.sent += 1;
        match timeout(patience, exchange(&mut stream, nonce)).await {
            Ok(Ok(true)) => {
                held.echoes += 1;
                held.last_echo_us = sent_us;
                if let Some(holding) = holding.take() {
                    holding();
                }
            }
            Ok(Ok(false)) => {
                held.first_silent_us = sent_us;
                held.end = not_opened(Seen::Stranger { said: "no echo".into() });
                return held;
            }
            Ok(Err(_)) => {
                held.first_silent_us = sent_us;
                held.end = HoldEnd::Refused;
                return held;
            }
            Err(_) => {
                held.first_silent_us = sent_us;
                held.end = HoldEnd::Silent;
                return held;
            }
        }
    }
    held
}

async fn open(address: IpAddr, port: u16, patience: Duration) -> Result<TcpStream, Seen> {
    use std::os::fd::AsFd;
    let to = SocketAddr::new(address, port);
    let (socket, second) = socket::tcp(to).map_err(|error| Seen::Trouble { why: error.to_string() })?;
    match timeout(patience, socket.connect(to)).await {
        Err(_) => Err(Seen::Silence),
        Ok(Err(error)) => Err(socket::judge(second.as_fd(), to, false, &error).unwrap_or(Seen::Silence)),
        Ok(Ok(stream)) => match stream.set_nodelay(true) {
            Ok(()) => Ok(stream),
            Err(_) => Err(Seen::Refused { how: Refusal::ResetLater }),
        },
    }
}

/// One greeting and its echo; false if something else came back.
async fn exchange(stream: &mut BufReader<TcpStream>, nonce: Nonce) -> std::io::Result<bool> {
    stream.get_mut().write_all(greeting(nonce).as_bytes()).await?;
    let mut line = Vec::new();
    if stream.take(LONGEST_ANSWER).read_until(b'\n', &mut line).await? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice::<Echo>(&line).is_ok_and(|echo| echo.nonce == nonce))
}
