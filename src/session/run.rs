//! The sequence of a run.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Zoned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Keep, Leftover, Opened, RunOrder, SessionError, Signals, Stage, StageRun,
    books::{JournalKeeper, Ledger, Screen},
    decide::not_applicable,
    finish,
};
use crate::{
    bdd::{Results, RunContext, run_scenarios},
    cluster,
    engine::{
        Dispatcher, Event, EventConsumer, EventSink, Outcome, PlannedScenario, Reason, ReasonKind, RunEnd,
        Signal, Tally, Waivers, exit,
    },
    evidence::{EvidenceError, JOURNAL_SCHEMA, Journal, Redactor},
    profile::Timespan,
};

/// Why a run stopped before its plan was done.
#[derive(Clone, Debug)]
enum Stop {
    Signal(Signal),
    Deadline(Timespan),
    Lost(String),
    NoStage(Reason),
    Books,
}

impl Stop {
    /// The reason of a scenario that was not started because of it.
    fn reason(&self) -> Reason {
        match self {
            Self::Signal(signal) => Reason::new(
                ReasonKind::Interrupted,
                format!("not started: the run was ended by {}", signal.name()),
            ),
            Self::Deadline(deadline) => Reason::new(
                ReasonKind::Trouble,
                format!("not started: the run's deadline of {deadline} passed"),
            ),
            Self::Lost(why) => Reason::new(ReasonKind::Trouble, format!("not started: {why}")),
            Self::NoStage(reason) => {
                Reason { message: format!("not started: {}", reason.message), ..reason.clone() }
            }
            Self::Books => {
                Reason::new(ReasonKind::Trouble, "not started: the journal could not be written any more")
            }
        }
    }
}

/// Runs a plan on a stage from its first event to its reports.
pub async fn run<S: Stage>(
    mut order: RunOrder,
    stage: &mut S,
    signals: &mut Signals,
) -> Result<Ended, SessionError> {
    let (mut ended, versions) = play(&mut order, stage, signals).await?;
    finish::write_results(&order, &mut ended, &versions);
    Ok(ended)
}

/// The same up to the journal's last record: without reports and without a bundle.
pub async fn run_journal_only<S: Stage>(
    mut order: RunOrder,
    stage: &mut S,
    signals: &mut Signals,
) -> Result<Ended, SessionError> {
    play(&mut order, stage, signals).await.map(|(ended, _)| ended)
}

async fn play<S: Stage>(
    order: &mut RunOrder,
    stage: &mut S,
    signals: &mut Signals,
) -> Result<(Ended, serde_json::Value), SessionError> {
    let directory = order.directory();
    let journal = Journal::create(&directory)?;
    let cancel = CancellationToken::new();
    let ledger = Ledger::default();
    let mut consumers: Vec<Box<dyn EventConsumer>> =
        vec![Box::new(JournalKeeper(journal)), Box::new(ledger.clone())];
    if let Some(live) = order.live.take() {
        consumers.push(Box::new(Screen { live, redactor: Redactor::new().map_err(EvidenceError::from)? }));
    }
    let (events, dispatcher) = Dispatcher::start(consumers, cancel.clone()).map_err(SessionError::Thread)?;
    let session = Session { order, events: events.clone(), cancel, ledger };

    session.announce();
    let played = session.play(stage, signals).await;
    let (end, leftovers, troubles) = session.settle(stage, signals, &played).await;
    let code = exit(&end);
    let took_ms = u64::try_from(events.elapsed().as_millis()).unwrap_or(u64::MAX);
    events.emit(Event::RunFinished { tally: end.tally, exit: code.code(), took_ms });
    drop(events);
    let mut ended = Ended { exit: code, directory, tally: end.tally, leftovers, troubles };
    ended.troubles.extend(dispatcher.close().into_iter().map(|failure| failure.to_string()));
    Ok((ended, played.versions))
}

struct Session<'a> {
    order: &'a RunOrder,
    events: EventSink,
    cancel: CancellationToken,
    ledger: Ledger,
}

/// What playing the plan left behind.
struct Played {
    stop: Option<Stop>,
    results: Option<Results>,
    versions: serde_json::Value,
}

impl Session<'_> {
    fn announce(&self) {
        let order = self.order;
        self.events.emit(Event::RunStarted {
            schema: JOURNAL_SCHEMA.to_owned(),
            run_id: order.id.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: order.seed,
            command: order.command.clone(),
            profile: order.platform.platform.metadata.name.clone(),
            profile_sha256: order.platform.sha256.clone(),
        });
        self.events.emit(Event::Planned { plan: order.plan.clone() });
    }

    /// Opens the stage and runs what applies to it.
    async fn play<S: Stage>(&self, stage: &mut S, signals: &mut Signals) -> Played {
        let deadline = Instant::now() + self.order.run_deadline().get();
        let opened = match self.open(stage, signals, deadline).await {
            Ok(opened) => opened,
            Err(stop) => {
                return Played { stop: Some(stop), results: None, versions: serde_json::Value::Null };
            }
        };
        let mut to_run = Vec::new();
        for scenario in &self.order.plan.scenarios {
            match not_applicable(scenario, &self.order.platform.platform, &opened.capabilities) {
                Some(reason) => self.finish_unstarted(scenario, Outcome::NotApplicable, reason),
                None => to_run.push(scenario.clone()),
            }
        }
        let versions = opened.versions.clone();
        let (stop, results) = self.scenarios(stage, signals, deadline, opened, to_run).await;
        Played { stop, results, versions }
    }

    async fn open<S: Stage>(
        &self,
        stage: &mut S,
        signals: &mut Signals,
        deadline: Instant,
    ) -> Result<Opened, Stop> {
        let needs: BTreeSet<&String> =
            self.order.plan.scenarios.iter().flat_map(|scenario| &scenario.needs).collect();
        let start = StageRun {
            id: self.order.id.clone(),
            events: self.events.clone(),
            needs: needs.into_iter().cloned().collect(),
        };
        tokio::select! {
            biased;
            signal = signals.next() => {
                self.interrupted(signal);
                Err(Stop::Signal(signal))
            }
            () = self.cancel.cancelled() => Err(Stop::Books),
            opened = stage.open(&start) => opened.map_err(Stop::NoStage),
            () = tokio::time::sleep_until(deadline) => Err(Stop::Deadline(self.order.run_deadline())),
        }
    }

    /// Runs scenarios until they are done or something stops the run; then those that run end quickly.
    async fn scenarios<S: Stage>(
        &self,
        stage: &S,
        signals: &mut Signals,
        deadline: Instant,
        opened: Opened,
        to_run: Vec<PlannedScenario>,
    ) -> (Option<Stop>, Option<Results>) {
        let waivers = &self.order.platform.platform.spec.waivers;
        let waivers = Waivers::new(waivers, opened.context, Zoned::now().date());
        let context = Arc::new(RunContext {
            run_id: self.order.id.to_string(),
            seed: self.order.seed,
            events: self.events.clone(),
            cancel: self.cancel.clone(),
            services: opened.services,
        });
        let mut scenarios = std::pin::pin!(run_scenarios(
            context,
            to_run,
            self.order.features.clone(),
            self.order.steps.clone(),
            self.order.concurrency,
            waivers,
        ));
        let mut lost = std::pin::pin!(stage.lost());
        let mut stop = None;
        loop {
            let came = tokio::select! {
                biased;
                signal = signals.next() => {
                    if matches!(stop, Some(Stop::Signal(_))) {
                        // Asked twice: what still runs is dropped where it stands.
                        return (stop, None);
                    }
                    self.interrupted(signal);
                    Stop::Signal(signal)
                }
                results = &mut scenarios => return (stop, Some(results)),
                () = self.cancel.cancelled(), if stop.is_none() => Stop::Books,
                why = &mut lost, if stop.is_none() => {
                    self.events.warn(format!("{why}; the run ends early"));
                    Stop::Lost(why)
                }
                () = tokio::time::sleep_until(deadline), if stop.is_none() => {
                    let deadline = self.order.run_deadline();
                    self.events.warn(format!("the run's deadline of {deadline} passed; the run ends early"));
                    Stop::Deadline(deadline)
                }
            };
            stop = Some(came);
            self.cancel.cancel();
        }
    }

    /// Accounts for everything, removes what was made, and says how it ended.
    async fn settle<S: Stage>(
        &self,
        stage: &mut S,
        signals: &mut Signals,
        played: &Played,
    ) -> (RunEnd, Vec<Leftover>, Vec<String>) {
        let mut troubles = self.account(played).await;
        let outcomes = self.ledger.outcomes();
        let tally: Tally = outcomes.values().flatten().copied().collect();
        let mut signal = match &played.stop {
            Some(Stop::Signal(signal)) => Some(*signal),
            _ => None,
        };

        let all_passed = tally.passed == tally.total();
        let keep = match self.order.keep {
            Keep::Always => true,
            Keep::Failed => !all_passed,
            Keep::Never => false,
        };
        let mut leftovers = if keep {
            stage.abandon().await;
            self.events.warn(format!(
                "the tenants of the run are kept; `plimsoll cleanup --run {}` removes them",
                self.order.id
            ));
            Vec::new()
        } else {
            // Asked twice in the middle of the scenarios: nothing more is waited for.
            let hurry = signal.is_some() && played.results.is_none() && self.cancel.is_cancelled();
            self.close(stage, signals, &mut signal, hurry).await
        };
        // A stage may tell of what stays as soon as it knows; what it did not tell is told here. Each once, however
        // many ways lead to it.
        let mut seen = BTreeSet::new();
        leftovers.retain(|left| seen.insert(left.reference.clone()));
        self.events.flush().await;
        let told = self.ledger.leftovers();
        for Leftover { reference, why } in leftovers.iter().filter(|left| !told.contains(&left.reference)) {
            self.events.emit(Event::Leftover { reference: reference.clone(), why: why.clone() });
        }

        let waiver_problems = self.waiver_problems(played);
        if let Some(Results { troubles: more, .. }) = &played.results {
            troubles.extend(more.iter().cloned());
        }
        for trouble in &troubles {
            self.events.warn(trouble.clone());
        }
        let end = RunEnd {
            tally,
            planned: self.order.plan.scenarios.len(),
            signal,
            waiver_problems,
            leftovers: leftovers.len(),
            broken: !troubles.is_empty() || matches!(played.stop, Some(Stop::Books)),
        };
        (end, leftovers, troubles)
    }

    /// Gives every planned scenario without an outcome one, and checks that the sum equals the plan.
    async fn account(&self, played: &Played) -> Vec<String> {
        self.events.flush().await;
        let outcomes = self.ledger.outcomes();
        let reason = played.stop.as_ref().map_or_else(
            || {
                Reason::new(
                    ReasonKind::Trouble,
                    "not started, and nobody can say why: a defect of the harness",
                )
            },
            Stop::reason,
        );
        for scenario in &self.order.plan.scenarios {
            if !outcomes.contains_key(&scenario.id) {
                self.finish_unstarted(scenario, Outcome::NotRun, reason.clone());
            }
        }
        self.events.flush().await;
        let outcomes = self.ledger.outcomes();
        let mut troubles = Vec::new();
        for scenario in &self.order.plan.scenarios {
            let count = outcomes.get(&scenario.id).map_or(0, Vec::len);
            if count != 1 {
                troubles.push(format!("internal error: scenario `{}` has {count} outcomes", scenario.id));
            }
        }
        let planned: BTreeSet<_> = self.order.plan.scenarios.iter().map(|scenario| &scenario.id).collect();
        for id in outcomes.keys().filter(|id| !planned.contains(id)) {
            troubles.push(format!("internal error: scenario `{id}` ran but was not planned"));
        }
        if played.stop.is_none() && outcomes.values().flatten().any(|outcome| *outcome == Outcome::NotRun) {
            troubles.push("internal error: a scenario of the plan was never started".into());
        }
        troubles
    }

    /// Removes everything of the run. A first signal meanwhile is noted and the removal goes on; the next one
    /// ends it, and what is still there is listed.
    async fn close<S: Stage>(
        &self,
        stage: &mut S,
        signals: &mut Signals,
        signal: &mut Option<Signal>,
        hurry: bool,
    ) -> Vec<Leftover> {
        if hurry {
            return self.cut_off(stage).await;
        }
        let limit = self.order.teardown_deadline();
        // The stage keeps the deadline itself and names what is left; this one is for a stage that hangs.
        let last = Instant::now() + limit + limit / 4 + Duration::from_secs(1);
        let closed = {
            let mut closing = std::pin::pin!(stage.close(limit));
            loop {
                tokio::select! {
                    biased;
                    came = signals.next() => {
                        if signal.is_some() {
                            break None;
                        }
                        self.interrupted(came);
                        *signal = Some(came);
                    }
                    leftovers = &mut closing => break Some(leftovers),
                    () = tokio::time::sleep_until(last) => break None,
                }
            }
        };
        match closed {
            Some(leftovers) => leftovers,
            None => self.cut_off(stage).await,
        }
    }

    /// What is left when removal was cut off.
    async fn cut_off<S: Stage>(&self, stage: &mut S) -> Vec<Leftover> {
        stage.abandon().await;
        self.events.flush().await;
        let mut left = self.ledger.standing();
        // A tenant may be half made, and so may what looks at the cluster's capabilities: nobody has looked.
        left.push(Leftover {
            reference: format!("whatever else carries the label {}={}", cluster::RUN_LABEL, self.order.id),
            why: "removal was cut off before anybody looked".to_owned(),
        });
        self.events.warn(format!("`plimsoll cleanup --run {}` removes what is left", self.order.id));
        left
    }

    fn waiver_problems(&self, played: &Played) -> usize {
        let Some(results) = &played.results else { return 0 };
        let judged = |scenario: &&PlannedScenario| {
            let outcomes = self.ledger.outcomes();
            let outcome = outcomes.get(&scenario.id).and_then(|outcomes| outcomes.first());
            matches!(outcome, Some(Outcome::Passed | Outcome::Failed | Outcome::Waived))
        };
        let problems = results.waivers.problems(self.order.plan.scenarios.iter().filter(judged));
        for problem in &problems {
            self.events.warn(problem.clone());
        }
        problems.len()
    }

    fn finish_unstarted(&self, scenario: &PlannedScenario, outcome: Outcome, reason: Reason) {
        self.events.emit(Event::ScenarioFinished {
            id: scenario.id.clone(),
            outcome,
            reason: Some(reason),
            took_ms: 0,
        });
    }

    fn interrupted(&self, signal: Signal) {
        self.events.emit(Event::Interrupted { signal: signal.name().to_owned() });
    }
}
