//! Who reads the events of a run: the journal, the terminal, and the count of outcomes.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    engine::{Event, EventConsumer, Outcome, ScenarioId, Stamped},
    evidence::{Journal, Redactor},
    report::LiveReporter,
};

type ConsumeError = Box<dyn Error + Send + Sync>;

/// The journal. It forces itself to disk at the end of each scenario.
pub(super) struct JournalKeeper(pub Journal);

impl EventConsumer for JournalKeeper {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn consume(&mut self, event: &Stamped) -> Result<(), ConsumeError> {
        self.0.append(&event.event)?;
        Ok(())
    }
}

/// The terminal, secrets taken out.
pub(super) struct Screen {
    pub live: LiveReporter,
    pub redactor: Redactor,
}

impl EventConsumer for Screen {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn consume(&mut self, event: &Stamped) -> Result<(), ConsumeError> {
        // Evidence is large and never shown while the run goes.
        if matches!(event.event, Event::EvidenceTaken { .. }) {
            return Ok(());
        }
        let mut value = serde_json::to_value(&event.event)?;
        self.redactor.redact(&mut value);
        self.live.event(&serde_json::from_value(value)?);
        Ok(())
    }
}

/// The outcomes as they went into the journal: what the run's sum is checked against.
#[derive(Clone, Debug, Default)]
pub(super) struct OutcomeBook(Arc<Mutex<HashMap<ScenarioId, Vec<Outcome>>>>);

impl OutcomeBook {
    /// The outcomes of each scenario so far: one each, if all is well.
    pub fn outcomes(&self) -> HashMap<ScenarioId, Vec<Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventConsumer for OutcomeBook {
    fn name(&self) -> &'static str {
        "outcomes"
    }

    fn consume(&mut self, event: &Stamped) -> Result<(), ConsumeError> {
        if let Event::ScenarioFinished { id, outcome, .. } = &event.event {
            let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            book.entry(id.clone()).or_default().push(*outcome);
        }
        Ok(())
    }
}
