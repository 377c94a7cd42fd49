//! The held stream: requests in, replies out, all requests side by side.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{Semaphore, watch as signal};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Duration, Instant};

use super::names::Names;
use super::plan::{self, Pacing};
use super::{files, hold, lines, load, pulse, watch};
use crate::clock;
use crate::protocol::{Hold, Identity, Load, PROTOCOL, Pace, Probe, Pulse, Reply, Request, Round, Watch};
use crate::server;

/// Descriptors that are kept back for everything but probes.
const RESERVE: u64 = 64;

/// More sockets than this at once only fill the kernel's queues.
const MOST_DESCRIPTORS: u64 = 8_192;

/// Results that are kept until the others are there: a long plan is to be heard of in between.
const MOST_TOGETHER: usize = 1_024;

/// Requests that may run side by side.
const MOST_REQUESTS: usize = 256;

struct Driver {
    who: Identity,
    replies: mpsc::Sender<Vec<Reply>>,
    descriptors: Arc<Semaphore>,
    running: std::cell::RefCell<HashMap<u32, signal::Sender<bool>>>,
}

/// Serves requests until the input ends; what is running then is given up.
///
/// # Errors
/// The limit of descriptors cannot be read.
pub async fn drive(
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    who: Identity,
) -> io::Result<()> {
    let descriptors = Arc::new(Semaphore::new(spare_descriptors()?));
    let (replies, writer) = lines::write(output);
    let hello = Reply::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        who: who.clone(),
        clocks: clock::clocks(),
    };
    // A reader that is gone shows as the end of the input.
    let _ = replies.send(vec![hello]);
    let driver = Rc::new(Driver { who, replies, descriptors, running: std::cell::RefCell::default() });
    let mut input = lines::read(input);
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            while let Some(line) = input.recv().await {
                let request =
                    line.and_then(|line| serde_json::from_slice(&line).map_err(|error| error.to_string()));
                match request {
                    Ok(request) => Rc::clone(&driver).start(request),
                    Err(why) => driver.say(Reply::Error { id: None, why }),
                }
            }
        })
        .await;
    drop(tasks);
    drop(driver);
    // What was said is written before the process ends.
    let _ = writer.join();
    Ok(())
}

/// How many sockets probes may hold at once, with the soft limit raised to the hard one.
fn spare_descriptors() -> io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    let spare = limit.saturating_sub(RESERVE).clamp(16, MOST_DESCRIPTORS);
    // Each dial holds its socket twice.
    Ok(usize::try_from(spare / 2).unwrap_or(usize::MAX))
}

impl Driver {
    fn say(&self, reply: Reply) {
        let _ = self.replies.send(vec![reply]);
    }

    fn start(self: Rc<Self>, request: Request) {
        match request {
            Request::Ping { id } => self.say(Reply::Pong { id, clocks: clock::clocks() }),
            Request::Cancel { id } => {
                if let Some(running) = self.running.borrow().get(&id) {
                    let _ = running.send(true);
                }
            }
            Request::Arrivals { id, .. } | Request::Hails { id } => {
                tokio::task::spawn_local(async move {
                    let reply = match server::ask(&self.who, &request).await {
                        Ok(reply) => reply,
                        Err(error) => Reply::Error { id: Some(id), why: error.to_string() },
                    };
                    self.say(reply);
                });
            }
            Request::Hold { id, round, probe, hold } => {
                self.run(id, |driver, cancelled| driver.hold(id, round, probe, hold, cancelled));
            }
            Request::Write { id, path, text } => {
                let start = Instant::now();
                let written = files::write(path.as_ref(), &text);
                let took_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.told(id, written.map(|()| Reply::Done { id, took_us }));
            }
            Request::Search { id, path, text } => {
                let found = files::search(path.as_ref(), &text);
                self.told(id, found.map(|found| Reply::Found { id, found }));
            }
            Request::Plan { id, round, pace, probes } => {
                self.run(id, |driver, cancelled| driver.plan(id, round, pace, probes, cancelled));
            }
            Request::Pulse { id, round, probes, pulse } => {
                self.run(id, |driver, cancelled| driver.pulse(id, round, probes, pulse, cancelled));
            }
            Request::Load { id, load } => {
                self.run(id, |driver, cancelled| driver.load(id, load, cancelled));
            }
            Request::Watch { id, round, probes, watch } => {
                self.run(id, |driver, cancelled| driver.watch(id, round, probes, watch, cancelled));
            }
        }
    }

    fn told(&self, id: u32, reply: io::Result<Reply>) {
        self.say(reply.unwrap_or_else(|error| Reply::Error { id: Some(id), why: error.to_string() }));
    }

    /// Runs a request that can be cancelled, and says when it is done.
    fn run<F>(self: Rc<Self>, id: u32, work: impl FnOnce(Rc<Self>, signal::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let (cancel, cancelled) = signal::channel(false);
        {
            let mut running = self.running.borrow_mut();
            if running.len() >= MOST_REQUESTS || running.contains_key(&id) {
                let why = "a request of this number is running, or too many are".to_owned();
                return self.say(Reply::Error { id: Some(id), why });
            }
            running.insert(id, cancel);
        }
        let work = work(Rc::clone(&self), cancelled);
        tokio::task::spawn_local(async move {
            let start = Instant::now();
            work.await;
            self.running.borrow_mut().remove(&id);
            self.say(Reply::Done {
                id,
                took_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
            });
        });
    }

    async fn plan(
        self: Rc<Self>,
        id: u32,
        round: Round,
        pace: Pace,
        probes: Vec<Probe>,
        mut cancelled: signal::Receiver<bool>,
    ) {
        let pacing = Rc::new(Pacing::from(&pace));
        let names = self.names(pace.deadline_ms);
        let mut tasks = JoinSet::new();
        for probe in probes {
            let (driver, pacing, names) = (Rc::clone(&self), Rc::clone(&pacing), Rc::clone(&names));
            tasks.spawn_local(async move {
                plan::run(Rc::new(probe), round.0, &pacing, &names, &driver.descriptors).await
            });
        }
        // Few can do anything with a part of them: they are told together.
        let mut results = Vec::new();
        tokio::select! {
            () = async {
                while let Some(outcome) = tasks.join_next().await {
                    results.extend(outcome.map(|outcome| Reply::Result { id, outcome }));
                    if results.len() >= MOST_TOGETHER {
                        let _ = self.replies.send(std::mem::take(&mut results));
                    }
                }
            } => {}
            _ = cancelled.wait_for(|it| *it) => {}
        }
        let _ = self.replies.send(results);
    }

    async fn watch(
        self: Rc<Self>,
        id: u32,
        round: Round,
        probes: Vec<Probe>,
        watch: Watch,
        cancelled: signal::Receiver<bool>,
    ) {
        let names = self.names(watch.give_up_ms);
        let watch = Rc::new(watch);
        let mut tasks = JoinSet::new();
        for probe in probes {
            let (driver, watch, names) = (Rc::clone(&self), Rc::clone(&watch), Rc::clone(&names));
            let cancelled = cancelled.clone();
            tasks.spawn_local(async move {
                let watched =
                    watch::run(Rc::new(probe), round.0, &watch, &names, &driver.descriptors, cancelled).await;
                driver.say(Reply::Watched { id, watched });
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn hold(
        self: Rc<Self>,
        id: u32,
        round: Round,
        probe: Probe,
        hold: Hold,
        cancelled: signal::Receiver<bool>,
    ) {
        let names = self.names(hold.patience_ms);
        let begun = || self.say(Reply::Holding { id });
        let held = hold::run(&probe, round.0, &hold, &names, cancelled, begun).await;
        self.say(Reply::Held { id, held });
    }

    async fn pulse(
        self: Rc<Self>,
        id: u32,
        round: Round,
        probes: Vec<Probe>,
        pulse: Pulse,
        cancelled: signal::Receiver<bool>,
    ) {
        let names = self.names(pulse.give_up_ms);
        let mut tasks = JoinSet::new();
        for probe in probes {
            let (driver, names, cancelled) = (Rc::clone(&self), Rc::clone(&names), cancelled.clone());
            tasks.spawn_local(async move {
                let pulsed =
                    pulse::run(Rc::new(probe), round.0, &pulse, &names, &driver.descriptors, cancelled).await;
                driver.say(Reply::Pulsed { id, pulsed });
            });
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn load(self: Rc<Self>, id: u32, load: Load, cancelled: signal::Receiver<bool>) {
        let loaded = load::run(load, || self.say(Reply::Loading { id }), cancelled).await;
        self.say(Reply::Loaded { id, loaded });
    }

    fn names(&self, patience_ms: u32) -> Rc<Names> {
        Rc::new(Names::new(&self.who.address, Duration::from_millis(patience_ms.max(1).into())))
    }
}
