//! Where events go: one queue, one thread that feeds every consumer in order.
//!
//! The thread is a plain one, so that an fsync of the journal never stalls a probe.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Event;

/// An event with the times at which it happened.
#[derive(Clone, Debug)]
pub struct Stamped {
    /// Wall clock, for people and for matching with other logs; never for arithmetic.
    pub at: Timestamp,
    /// Monotonic time since the run started.
    pub since_start: Duration,
    /// The event.
    pub event: Event,
}

/// Somebody who reads every event in order: the journal, the terminal.
pub trait EventConsumer: Send {
    /// Its name in an error: `journal`.
    fn name(&self) -> &'static str;

    /// Takes one event. An error takes the consumer out of service and cancels the run, since a run whose
    /// journal has a hole proves nothing.
    fn consume(&mut self, event: &Stamped) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A consumer that could not go on.
#[derive(Debug, thiserror::Error)]
#[error("could not write the {consumer}: {message}")]
pub struct ConsumerFailure {
    /// [`EventConsumer::name`].
    pub consumer: &'static str,
    /// The chain of errors in one line.
    pub message: String,
}

enum Message {
    Event(Box<Stamped>),
    Flush(oneshot::Sender<()>),
    Close,
}

/// The one end that everybody emits into. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventSink {
    queue: Option<mpsc::UnboundedSender<Message>>,
    started: Instant,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Event(_) => "Event",
            Self::Flush(_) => "Flush",
            Self::Close => "Close",
        })
    }
}

impl EventSink {
    /// A sink that forgets everything: for code that is used outside a run.
    pub fn discard() -> Self {
        Self { queue: None, started: Instant::now() }
    }

    /// Emits an event, stamped with the time of the call.
    pub fn emit(&self, event: Event) {
        if let Some(queue) = &self.queue {
            let stamped = Stamped { at: Timestamp::now(), since_start: self.started.elapsed(), event };
            // The queue is closed only after the last event of the run: what comes later has no reader.
            let _ = queue.send(Message::Event(Box::new(stamped)));
        }
    }

    /// Emits a warning that belongs into the report.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into() });
    }

    /// Returns once every event emitted before has been consumed.
    pub async fn flush(&self) {
        if let Some(queue) = &self.queue {
            let (done, wait) = oneshot::channel();
            if queue.send(Message::Flush(done)).is_ok() {
                let _ = wait.await;
            }
        }
    }

    /// Time since the run started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The other end: owns the consumers.
#[derive(Debug)]
pub struct Dispatcher {
    queue: mpsc::UnboundedSender<Message>,
    thread: thread::JoinHandle<Vec<ConsumerFailure>>,
}

impl Dispatcher {
    /// Starts the thread. `cancel` is cancelled when a consumer fails.
    pub fn start(
        mut consumers: Vec<Box<dyn EventConsumer>>,
        cancel: CancellationToken,
    ) -> std::io::Result<(EventSink, Self)> {
        let (queue, mut incoming) = mpsc::unbounded_channel();
        let work = move || {
            let mut failures = Vec::new();
            while let Some(message) = incoming.blocking_recv() {
                match message {
                    Message::Event(event) => {
                        consumers.retain_mut(|consumer| match consumer.consume(&event) {
                            Ok(()) => true,
                            Err(error) => {
                                failures.push(ConsumerFailure {
                                    consumer: consumer.name(),
                                    message: chain(error.as_ref()),
                                });
                                cancel.cancel();
                                false
                            }
                        });
                    }
                    Message::Flush(done) => {
                        let _ = done.send(());
                    }
                    Message::Close => break,
                }
            }
            failures
        };
        let thread = thread::Builder::new().name("events".into()).spawn(work)?;
        let sink = EventSink { queue: Some(queue.clone()), started: Instant::now() };
        Ok((sink, Self { queue, thread }))
    }

    /// Consumes what is queued and ends the thread. Says which consumers failed.
    pub fn close(self) -> Vec<ConsumerFailure> {
        let _ = self.queue.send(Message::Close);
        self.thread.join().unwrap_or_else(|_| {
            vec![ConsumerFailure { consumer: "events", message: "a consumer panicked".into() }]
        })
    }
}

/// An error with its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A consumer that keeps every event in memory: for tests, and for the summary at the end of a run.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Recorder {
    /// What has been recorded so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventConsumer for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn consume(&mut self, event: &Stamped) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.event.clone());
        Ok(())
    }
}
