//! What a scenario is waiting for, so that a deadline can say it.
//!
//! ```ignore
//! let waiting = waiting_for("pod alpha/web-0 to be Ready");
//! loop { waiting.saw("Pending: ErrImageNeverPull"); ... }
//! ```

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

tokio::task_local! {
    static NOTES: Notes;
}

/// The notes of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<Note>>>);

#[derive(Debug)]
struct Note {
    id: u64,
    what: String,
    seen: Option<String>,
}

impl Notes {
    /// Runs a future whose waits are noted here. Everything that it awaits is covered; what it spawns is
    /// not, unless it hands over [`Notes::current`].
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        NOTES.scope(self, future).await
    }

    /// The notes of the scenario that is running, to be given to a spawned task.
    pub fn current() -> Option<Self> {
        NOTES.try_with(Clone::clone).ok()
    }

    /// What is being waited for, innermost first: `pod alpha/web-0 to be Ready (last seen: Pending)`.
    pub fn describe(&self) -> Option<String> {
        let notes = self.lock();
        let texts: Vec<_> = notes.iter().rev().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join(", for "))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.seen {
            Some(seen) => write!(f, " (last seen: {seen})"),
            None => Ok(()),
        }
    }
}

/// A wait in progress; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "the note is gone as soon as this is dropped"]
pub struct Waiting {
    notes: Option<Notes>,
    id: u64,
}

/// Notes that the current scenario waits for `what` (`pod alpha/web-0 to be Ready`). Outside a scenario it
/// does nothing.
pub fn waiting_for(what: impl Into<String>) -> Waiting {
    let Some(notes) = Notes::current() else { return Waiting { notes: None, id: 0 } };
    let mut list = notes.lock();
    let id = list.iter().map(|note| note.id).max().unwrap_or(0) + 1;
    list.push(Note { id, what: what.into(), seen: None });
    drop(list);
    Waiting { notes: Some(notes), id }
}

impl Waiting {
    /// Notes the state that was observed last.
    pub fn saw(&self, state: impl Into<String>) {
        if let Some(notes) = &self.notes
            && let Some(note) = notes.lock().iter_mut().find(|note| note.id == self.id)
        {
            note.seen = Some(state.into());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(notes) = &self.notes {
            notes.lock().retain(|note| note.id != self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_note_says_what_and_what_was_seen_and_ends_with_its_guard() {
        let notes = Notes::default();
        notes
            .clone()
            .scope(async {
                let outer = waiting_for("tenant alpha to be usable");
                outer.saw("2 of 3 namespaces");
                let inner = waiting_for("pod alpha/web-0 to be Ready");
                assert_eq!(
                    notes.describe().as_deref(),
                    Some(
                        "pod alpha/web-0 to be Ready, for tenant alpha to be usable (last seen: 2 of 3 namespaces)"
                    )
                );
                drop(inner);
                drop(outer);
                assert_eq!(notes.describe(), None);
            })
            .await;
    }

    #[tokio::test]
    async fn outside_a_scenario_a_note_is_nothing() {
        waiting_for("anything").saw("nothing");
        assert!(Notes::current().is_none());
    }
}
