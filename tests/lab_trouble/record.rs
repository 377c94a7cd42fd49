//! What a run has left: its journal, and what carries its label.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use plimsoll::engine::{Event, Outcome};
use plimsoll::evidence::{self, ReadJournal};

use crate::program::{SOON, connect, plimsoll};

/// The journal of the only run in a directory of results; none before it begins.
pub fn journal(runs: &Path) -> Option<PathBuf> {
    let mut found = std::fs::read_dir(runs).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    found.find_map(|run| Some(run.join("journal.ndjson")).filter(|file| file.is_file() && !run.is_symlink()))
}

pub fn read(runs: &Path) -> ReadJournal {
    evidence::read(&journal(runs).expect("a journal")).expect("it can be read")
}

pub fn events(journal: &ReadJournal) -> impl Iterator<Item = &Event> {
    journal.records.iter().map(|record| &record.event)
}

/// Waits until the journal holds an event.
pub fn wait_for(runs: &Path, what: &str, wanted: impl Fn(&Event) -> bool) {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(file) = journal(runs)
            && let Ok(journal) = evidence::read(&file)
            && events(&journal).any(&wanted)
        {
            return;
        }
        assert!(Instant::now() < deadline, "no {what} in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn outcomes(journal: &ReadJournal) -> Vec<Outcome> {
    let all = events(journal).filter_map(|event| match event {
        Event::ScenarioFinished { outcome, .. } => Some(*outcome),
        _ => None,
    });
    all.collect()
}

pub fn planned(journal: &ReadJournal) -> usize {
    let plan = events(journal).find_map(|event| match event {
        Event::Planned { plan } => Some(plan.scenarios.len()),
        _ => None,
    });
    plan.expect("a plan")
}

pub async fn tenants() -> Vec<String> {
    let namespaces: Api<Namespace> = Api::all(connect().await.client());
    let ours = ListParams::default().labels(plimsoll::cluster::RUN_LABEL);
    namespaces.list(&ours).await.expect("a list").items.iter().map(ResourceExt::name_any).collect()
}

pub async fn cleaned_up(runs: &Path) {
    let run = journal(runs).expect("a journal");
    let id = run.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("an id");
    let (code, _, stderr) = plimsoll(&["cleanup", "--run", id]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(tenants().await, Vec::<String>::new());
}

pub fn results() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let runs = directory.path().to_str().expect("a name").to_owned();
    (directory, runs)
}
