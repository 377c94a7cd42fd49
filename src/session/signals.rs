//! SIGINT and SIGTERM, one after the other.

use tokio::sync::mpsc;

use crate::engine::Signal;

/// Signals as they come. The first ends the run in order; the next ends it at once.
#[derive(Debug)]
pub struct Signals {
    incoming: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    /// Those of the process. From now on neither kills it.
    pub fn of_process() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (sender, incoming) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let came = tokio::select! {
                    Some(()) = interrupt.recv() => Signal::Interrupt,
                    Some(()) = terminate.recv() => Signal::Terminate,
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
