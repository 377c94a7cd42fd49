//! A writer that is killed with SIGKILL, for real: what it had written is read, and nothing is mistaken for whole.

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll::engine::{Event, Outcome};
use plimsoll::evidence::{Integrity, Journal, ProblemKind, read, verify};
use plimsoll::exit::Exit;
use plimsoll::report::{Model, RunState};

const DIR: &str = "PLIMSOLL_TEST_JOURNAL_DIR";

/// Not a test of its own: the process that the test below kills.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut journal = Journal::create(Path::new(&dir)).unwrap();
    let fixture: Vec<serde_json::Value> =
        serde_yaml::from_str(include_str!("fixtures/every-status.yaml")).unwrap();
    let events = fixture.into_iter().map(|event| serde_json::from_value::<Event>(event).unwrap());
    for event in events.filter(|event| !matches!(event, Event::RunFinished { .. })) {
        journal.append(&event).unwrap();
    }
    println!("begun");
    let filler = Event::Warning { message: "x".repeat(4_000) };
    loop {
        journal.append(&filler).unwrap();
    }
}

#[test]
fn a_killed_run_leaves_a_journal_that_says_so_and_can_be_reported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Journal::FILE);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(DIR, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It writes on while we look: killed in the midst of it.
    let mut said = String::new();
    let mut out = child.stdout.take().unwrap();
    let mut byte = [0];
    while !said.ends_with("begun") {
        assert_eq!(out.read(&mut byte).unwrap(), 1, "the writer ended by itself: {said}");
        said.push(char::from(byte[0]));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::metadata(&path).unwrap().len() < 1 << 20 {
        assert!(Instant::now() < deadline, "the writer writes no more");
        std::thread::yield_now();
    }
    assert!(read(&path).unwrap().live, "its lock is seen while it lives");
    child.kill().unwrap();
    child.wait().unwrap();

    let journal = read(&path).unwrap();
    assert!(!journal.live);
    assert_eq!(journal.integrity(), Integrity::Unfinished);
    assert!(journal.problems.iter().all(|p| matches!(p.kind, ProblemKind::Torn | ProblemKind::NoEnd)));
    assert_eq!(verify(&path, None).unwrap().exit(), Exit::Inconclusive);

    let model = Model::from_journal(&journal, &[]);
    assert_eq!(model.run.state, RunState::Killed);
    assert_eq!(model.run.verdict, "no verdict: the run was killed before its end");
    assert_eq!(model.tally.total(), model.accounting.planned);
    assert_eq!(model.with_outcome(Outcome::Failed).count(), 1, "what had ended keeps its outcome");
}
