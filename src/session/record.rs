//! The books of a run, from its first event to its last: what every run writes, whoever plays its scenarios.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Ended, Leftover, RunOrder, SessionError,
    books::{JournalKeeper, Ledger, Screen},
    finish, latest,
};
use crate::{
    engine::{
        Dispatcher, Event, EventConsumer, EventSink, Outcome, PlannedScenario, Reason, RunEnd, Signal, Tally,
        exit,
    },
    evidence::{EvidenceError, JOURNAL_SCHEMA, Journal, Redactor},
    report::LiveReporter,
};

/// A run that is on record. Whoever plays its scenarios tells of them by [`Recording::events`]; what they did not tell of
/// is accounted for in the end, so that the sums always match the plan.
#[derive(Debug)]
pub struct Recording<'a> {
    pub(super) order: &'a RunOrder,
    pub(super) events: EventSink,
    pub(super) cancel: CancellationToken,
    pub(super) ledger: Ledger,
    dispatcher: Dispatcher,
}

/// How a run came to its end, for [`Recording::close`].
#[derive(Debug)]
pub struct Closing {
    /// Why what was not started was not.
    pub unstarted: Reason,
    /// The signal that ended it.
    pub signal: Option<Signal>,
    /// What is still on the cluster.
    pub leftovers: Vec<Leftover>,
    /// What makes its outcomes worth nothing: they go into the journal, and the run is inconclusive.
    pub doubts: Vec<String>,
    /// Versions of what was found, for the bundle.
    pub versions: Value,
}

impl<'a> Recording<'a> {
    /// Makes the journal and writes the first events: who runs what.
    ///
    /// # Errors
    /// The journal cannot be made; nothing was touched.
    pub fn begin(order: &'a RunOrder, live: Option<LiveReporter>) -> Result<Self, SessionError> {
        let journal = Journal::create(&order.directory())?;
        let cancel = CancellationToken::new();
        let ledger = Ledger::default();
        let mut consumers: Vec<Box<dyn EventConsumer>> =
            vec![Box::new(JournalKeeper(journal)), Box::new(ledger.clone())];
        if let Some(live) = live {
            consumers
                .push(Box::new(Screen { live, redactor: Redactor::new().map_err(EvidenceError::from)? }));
        }
        let (events, dispatcher) =
            Dispatcher::start(consumers, cancel.clone()).map_err(SessionError::Thread)?;
        events.emit(Event::RunStarted {
            schema: JOURNAL_SCHEMA.to_owned(),
            run_id: order.id.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: order.seed,
            command: order.command.clone(),
            profile: order.platform.platform.metadata.name.clone(),
            profile_sha256: order.platform.sha256.clone(),
        });
        events.emit(Event::Planned { plan: order.plan.clone() });
        Ok(Self { order, events, cancel, ledger, dispatcher })
    }

    /// Points `latest` to the run: from its first record on, so that where it is killed, nobody takes the run before it
    /// for the last one. What hinders that is no reason not to run.
    pub fn point_latest(&self) -> Option<String> {
        let runs = &self.order.runs;
        let pointed = latest::point_latest(runs, self.order.id.as_str());
        pointed
            .err()
            .map(|error| format!("cannot point {} to this run: {error}", runs.join(latest::LATEST).display()))
    }

    /// Where events go.
    pub const fn events(&self) -> &EventSink {
        &self.events
    }

    /// Completes only when the journal cannot be written any more: nothing that is done now would be on record.
    pub async fn lost(&self) {
        self.cancel.cancelled().await;
    }

    /// Notes a signal.
    pub fn interrupted(&self, signal: Signal) {
        self.events.emit(Event::Interrupted { signal: signal.name().to_owned() });
    }

    /// Accounts for everything, writes the last event, and makes of the journal what stays of a run.
    pub async fn close(self, closing: Closing) -> Ended {
        let Closing { unstarted, signal, mut leftovers, doubts, versions } = closing;
        let mut troubles = self.account(&unstarted).await;
        self.tell_leftovers(&mut leftovers).await;
        troubles.extend(doubts);
        for trouble in &troubles {
            self.events.warn(trouble.clone());
        }
        let end = RunEnd {
            tally: self.tally(),
            planned: self.order.plan.scenarios.len(),
            signal,
            waiver_problems: 0,
            leftovers: leftovers.len(),
            broken: !troubles.is_empty() || self.cancel.is_cancelled(),
        };
        let order = self.order;
        let mut ended = self.end(&end, leftovers, troubles);
        finish::write_results(order, &mut ended, &versions);
        ended
    }

    pub(super) fn finish_unstarted(&self, scenario: &PlannedScenario, outcome: Outcome, reason: Reason) {
        self.events.emit(Event::ScenarioFinished {
            id: scenario.id.clone(),
            outcome,
            reason: Some(reason),
            took_ms: 0,
        });
    }

    /// The outcomes so far.
    pub(super) fn tally(&self) -> Tally {
        self.ledger.outcomes().values().flatten().copied().collect()
    }

    /// Gives every planned scenario without an outcome one, and checks that the sum equals the plan.
    pub(super) async fn account(&self, reason: &Reason) -> Vec<String> {
        self.events.flush().await;
        let outcomes = self.ledger.outcomes();
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
        troubles
    }

    /// A stage may tell of what stays as soon as it knows; what it did not tell is told here. Each once, however many
    /// ways lead to it.
    pub(super) async fn tell_leftovers(&self, leftovers: &mut Vec<Leftover>) {
        let mut seen = BTreeSet::new();
        leftovers.retain(|left| seen.insert(left.reference.clone()));
        self.events.flush().await;
        let told = self.ledger.leftovers();
        for Leftover { reference, why } in leftovers.iter().filter(|left| !told.contains(&left.reference)) {
            self.events.emit(Event::Leftover { reference: reference.clone(), why: why.clone() });
        }
    }

    /// The last event; the journal is whole afterwards.
    pub(super) fn end(self, end: &RunEnd, leftovers: Vec<Leftover>, troubles: Vec<String>) -> Ended {
        let Self { order, events, dispatcher, .. } = self;
        let code = exit(end);
        let took_ms = u64::try_from(events.elapsed().as_millis()).unwrap_or(u64::MAX);
        events.emit(Event::RunFinished { tally: end.tally, exit: code.code(), took_ms });
        drop(events);
        let mut ended =
            Ended { exit: code, directory: order.directory(), tally: end.tally, leftovers, troubles };
        ended.troubles.extend(dispatcher.close().into_iter().map(|failure| failure.to_string()));
        ended
    }
}
