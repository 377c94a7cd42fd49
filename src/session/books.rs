//! Who reads the events of a run: the journal, the terminal, and the ledger.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Leftover;
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

/// What went into the journal, as far as the run's end depends on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    outcomes: HashMap<ScenarioId, Vec<Outcome>>,
    /// Namespaces of tenants that came and have not gone.
    standing: Vec<String>,
    leftovers: BTreeSet<String>,
}

impl Ledger {
    /// The outcomes of each scenario so far: one each, if all is well.
    pub fn outcomes(&self) -> HashMap<ScenarioId, Vec<Outcome>> {
        self.entries().outcomes.clone()
    }

    /// What there still is when removal was cut off: known without asking anybody.
    pub fn standing(&self) -> Vec<Leftover> {
        let why = "its removal was not waited for";
        let standing = self.entries();
        standing
            .standing
            .iter()
            .map(|namespace| Leftover { reference: format!("v1/Namespace {namespace}"), why: why.to_owned() })
            .collect()
    }

    /// What the stage has told of already.
    pub fn leftovers(&self) -> BTreeSet<String> {
        self.entries().leftovers.clone()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventConsumer for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn consume(&mut self, event: &Stamped) -> Result<(), ConsumeError> {
        let mut entries = self.entries();
        match &event.event {
            Event::ScenarioFinished { id, outcome, .. } => {
                entries.outcomes.entry(id.clone()).or_default().push(*outcome);
            }
            // Existing tenants were there before and stay.
            Event::TenantReady { namespaces, adapter, .. } if adapter != "existing" => {
                entries.standing.extend(namespaces.iter().cloned());
            }
            Event::TenantRemoved { namespaces, .. } => {
                entries.standing.retain(|standing| !namespaces.contains(standing));
            }
            Event::Leftover { reference, .. } => {
                entries.leftovers.insert(reference.clone());
            }
            _ => {}
        }
        Ok(())
    }
}
