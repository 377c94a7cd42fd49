//! The sequence of a run.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Zoned;
use tokio::time::Instant;

use super::{
    Ended, Keep, Leftover, Opened, Recording, RunOrder, SessionError, Signals, Stage, StageRun,
    decide::not_applicable, finish,
};
use crate::{
    bdd::{Results, RunContext, run_scenarios},
    cluster,
    engine::{Outcome, PlannedScenario, Reason, ReasonKind, RunEnd, Signal, Waivers},
    profile::Timespan,
    report,
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
    let books = begin(&mut order)?;
    let unpointed = books.point_latest();
    let (mut ended, versions) = play(books, stage, signals).await;
    finish::write_results(&order, &mut ended, &versions);
    // Told last: a link that is not there makes no verdict unreadable.
    ended.troubles.extend(unpointed);
    Ok(ended)
}

/// The same up to the journal's last record: without reports and without a bundle, and `latest` does not point to it.
pub async fn run_journal_only<S: Stage>(
    mut order: RunOrder,
    stage: &mut S,
    signals: &mut Signals,
) -> Result<Ended, SessionError> {
    let books = begin(&mut order)?;
    Ok(play(books, stage, signals).await.0)
}

fn begin(order: &mut RunOrder) -> Result<Recording<'_>, SessionError> {
    let live = order.live.take();
    Recording::begin(order, live)
}

async fn play<S: Stage>(
    books: Recording<'_>,
    stage: &mut S,
    signals: &mut Signals,
) -> (Ended, serde_json::Value) {
    let session = Session { books };
    let played = session.play(stage, signals).await;
    let (end, leftovers, troubles) = session.settle(stage, signals, &played).await;
    (session.books.end(&end, leftovers, troubles), played.versions)
}

/// A run whose scenarios are Gherkin, on a stage.
struct Session<'a> {
    books: Recording<'a>,
}

/// What playing the plan left behind.
struct Played {
    stop: Option<Stop>,
    results: Option<Results>,
    versions: serde_json::Value,
}

impl Session<'_> {
    /// Opens the stage and runs what applies to it.
    async fn play<S: Stage>(&self, stage: &mut S, signals: &mut Signals) -> Played {
        let deadline = Instant::now() + self.books.order.run_deadline().get();
        let opened = match self.open(stage, signals, deadline).await {
            Ok(opened) => opened,
            Err(stop) => {
                return Played { stop: Some(stop), results: None, versions: serde_json::Value::Null };
            }
        };
        let mut to_run = Vec::new();
        for scenario in &self.books.order.plan.scenarios {
            match not_applicable(scenario, &self.books.order.platform.platform, &opened.capabilities) {
                Some(reason) => self.books.finish_unstarted(scenario, Outcome::NotApplicable, reason),
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
            self.books.order.plan.scenarios.iter().flat_map(|scenario| &scenario.needs).collect();
        let start = StageRun {
            id: self.books.order.id.clone(),
            events: self.books.events.clone(),
            needs: needs.into_iter().cloned().collect(),
        };
        tokio::select! {
            biased;
            signal = signals.next() => {
                self.books.interrupted(signal);
                Err(Stop::Signal(signal))
            }
            () = self.books.cancel.cancelled() => Err(Stop::Books),
            opened = stage.open(&start) => opened.map_err(Stop::NoStage),
            () = tokio::time::sleep_until(deadline) => Err(Stop::Deadline(self.books.order.run_deadline())),
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
        let waivers = &self.books.order.platform.platform.spec.waivers;
        let waivers = Waivers::new(waivers, opened.context, Zoned::now().date());
        let context = Arc::new(RunContext {
            run_id: self.books.order.id.to_string(),
            seed: self.books.order.seed,
            events: self.books.events.clone(),
            cancel: self.books.cancel.clone(),
            services: opened.services,
        });
        let mut scenarios = std::pin::pin!(run_scenarios(
            context,
            to_run,
            self.books.order.features.clone(),
            self.books.order.steps.clone(),
            self.books.order.concurrency,
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
                    self.books.interrupted(signal);
                    Stop::Signal(signal)
                }
                results = &mut scenarios => return (stop, Some(results)),
                () = self.books.cancel.cancelled(), if stop.is_none() => Stop::Books,
                why = &mut lost, if stop.is_none() => {
                    self.books.events.warn(format!("{why}; the run ends early"));
                    Stop::Lost(why)
                }
                () = tokio::time::sleep_until(deadline), if stop.is_none() => {
                    let deadline = self.books.order.run_deadline();
                    self.books.events.warn(format!("the run's deadline of {deadline} passed; the run ends early"));
                    Stop::Deadline(deadline)
                }
            };
            stop = Some(came);
            self.books.cancel.cancel();
        }
    }

    /// Accounts for everything, removes what was made, and says how it ended.
    async fn settle<S: Stage>(
        &self,
        stage: &mut S,
        signals: &mut Signals,
        played: &Played,
    ) -> (RunEnd, Vec<Leftover>, Vec<String>) {
        let mut troubles = self.account_for(played).await;
        let tally = self.books.tally();
        let mut signal = match &played.stop {
            Some(Stop::Signal(signal)) => Some(*signal),
            _ => None,
        };

        let all_passed = tally.passed == tally.total();
        let keep = match self.books.order.keep {
            Keep::Always => true,
            Keep::Failed => !all_passed,
            Keep::Never => false,
        };
        let mut leftovers = if keep {
            if played.results.is_none() {
                stage.abandon().await;
            }
            self.books
                .events
                .warn(format!("the tenants of the run are kept; `{}` removes them", self.cleanup()));
            Vec::new()
        } else {
            // Asked twice in the middle of the scenarios: nothing more is waited for.
            let hurry = signal.is_some() && played.results.is_none() && self.books.cancel.is_cancelled();
            self.close(stage, signals, &mut signal, hurry).await
        };
        self.books.tell_leftovers(&mut leftovers).await;

        let waiver_problems = self.waiver_problems(played);
        if let Some(Results { troubles: more, .. }) = &played.results {
            troubles.extend(more.iter().cloned());
        }
        for trouble in &troubles {
            self.books.events.warn(trouble.clone());
        }
        let end = RunEnd {
            tally,
            planned: self.books.order.plan.scenarios.len(),
            signal,
            waiver_problems,
            leftovers: leftovers.len(),
            broken: !troubles.is_empty() || matches!(played.stop, Some(Stop::Books)),
        };
        (end, leftovers, troubles)
    }

    /// Gives every planned scenario without an outcome one, and checks that the sum equals the plan.
    async fn account_for(&self, played: &Played) -> Vec<String> {
        let reason = played.stop.as_ref().map_or_else(
            || {
                Reason::new(
                    ReasonKind::Trouble,
                    "not started, and nobody can say why: a defect of the harness",
                )
            },
            Stop::reason,
        );
        let mut troubles = self.books.account(&reason).await;
        let outcomes = self.books.ledger.outcomes();
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
        let limit = self.books.order.teardown_deadline();
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
                        self.books.interrupted(came);
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
        self.books.events.flush().await;
        let mut left = self.books.ledger.standing();
        // A tenant may be half made, and so may what looks at the cluster's capabilities: nobody has looked.
        left.push(Leftover {
            reference: format!(
                "whatever else carries the label {}={}",
                cluster::RUN_LABEL,
                self.books.order.id
            ),
            why: "removal was cut off before anybody looked".to_owned(),
        });
        self.books.events.warn(format!("`{}` removes what is left", self.cleanup()));
        left
    }

    /// The command that removes what the run made.
    fn cleanup(&self) -> String {
        report::cleanup(&self.books.order.command, None, Some(self.books.order.id.as_str()))
    }

    fn waiver_problems(&self, played: &Played) -> usize {
        let Some(results) = &played.results else { return 0 };
        let judged = |scenario: &&PlannedScenario| {
            let outcomes = self.books.ledger.outcomes();
            let outcome = outcomes.get(&scenario.id).and_then(|outcomes| outcomes.first());
            matches!(outcome, Some(Outcome::Passed | Outcome::Failed | Outcome::Waived))
        };
        let problems = results.waivers.problems(self.books.order.plan.scenarios.iter().filter(judged));
        for problem in &problems {
            self.books.events.warn(problem.clone());
        }
        problems.len()
    }
}
