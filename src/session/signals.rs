//! SIGINT, SIGTERM and SIGHUP, one after the other.

use tokio::sync::mpsc;

use crate::engine::Signal;

/// The number of SIGHUP, the same on every Unix.
const HANGUP: u32 = 1;

/// Signals as they come. The first ends the run in order; the next ends it at once.
#[derive(Debug)]
pub struct Signals {
    incoming: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    /// Those of the process. From now on none of them kills it. A terminal that is lost (SIGHUP) ends the run as SIGTERM
    /// does, so that no tenants stay behind; who started it with that ignored, as `nohup` does, wants it to go on.
    pub fn of_process() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // To listen would be to ignore it no longer.
        let mut hangup = if ignored(HANGUP) { None } else { Some(signal(SignalKind::hangup())?) };
        let (sender, incoming) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let came = tokio::select! {
                    Some(()) = interrupt.recv() => Signal::Interrupt,
                    Some(()) = terminate.recv() => Signal::Terminate,
                    Some(()) = next(hangup.as_mut()) => Signal::Terminate,
                    else => break,
                };
                if sender.send(came).is_err() {
                    break;
                }
            }
        });
        Ok(Self { incoming })
    }

    /// Those of whoever holds the other end.
    pub fn channel() -> (mpsc::UnboundedSender<Signal>, Self) {
        let (sender, incoming) = mpsc::unbounded_channel();
        (sender, Self { incoming })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        match self.incoming.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// The next of a signal that is listened to, perhaps.
async fn next(signal: Option<&mut tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether the process ignores a signal; who started it said so.
fn ignored(signal: u32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// The same by the kernel's words: a bit a signal, from the first.
fn ignores(status: &str, signal: u32) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    signal.checked_sub(1).and_then(|bit| bits.checked_shr(bit)).is_some_and(|bits| bits & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_known() {
        // SIGPIPE alone, as every Rust program; then with SIGHUP.
        for (set, hangup) in [("0000000000001000", false), ("0000000000001001", true), ("", false)] {
            assert_eq!(ignores(&format!("Name:\tplimsoll\nSigIgn:\t{set}\n"), HANGUP), hangup, "{set}");
        }
    }

    #[tokio::test]
    async fn a_lost_terminal_ends_a_run_as_sigterm_does() {
        if ignored(HANGUP) {
            return;
        }
        let mut signals = Signals::of_process().unwrap();
        let own = std::process::id().to_string();
        std::process::Command::new("kill").args(["-HUP", &own]).status().unwrap();
        assert_eq!(signals.next().await, Signal::Terminate);
    }
}
