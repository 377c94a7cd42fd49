//! `report` and `verify` on a recorded run, without any cluster.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::engine::Event;
use plimsoll::evidence::{Bundle, BundleParts, Journal};
use serde_json::{Value, json};

use crate::{Sandbox, run};

/// Records a run in which everything occurs: its directory.
fn record(sandbox: &Sandbox) -> PathBuf {
    let runs = sandbox.path().join("reports/runs");
    let dir = runs.join("x7k2");
    let mut journal = Journal::create(&dir).expect("make the journal");
    for event in events() {
        journal.append(&event).expect("write the event");
    }
    let finished = journal.finish().expect("end the journal");
    let parts =
        BundleParts { journal: &finished.path, profile: b"profile", versions: &json!({}), artefacts: &[] };
    Bundle::write(&dir.join(Bundle::FILE), &parts).expect("write the bundle");
    std::os::unix::fs::symlink("x7k2", runs.join("latest")).expect("make the link");
    dir
}

/// The events of the fixture that the renderers are tested with, in order.
fn events() -> Vec<Event> {
    let text = include_str!("../fixtures/every-status.yaml");
    let mut events: Vec<Value> = serde_yaml::from_str(text).expect("it is YAML");
    events.sort_by_key(|event| event["at_us"].as_u64());
    events
        .into_iter()
        .map(|mut event| {
            event.as_object_mut().expect("an event is an object").remove("at_us");
            serde_json::from_value(event).expect("it is an event")
        })
        .collect()
}

fn verified(sandbox: &Sandbox, path: &Path, more: &[&str]) -> (i32, String) {
    let path = path.display().to_string();
    let (code, stdout, _) = run(&mut sandbox.plimsoll(&[&["verify", &path], more].concat()));
    (code, stdout)
}

#[test]
fn the_last_run_is_reported() {
    let sandbox = Sandbox::new();
    record(&sandbox);
    let (code, stdout, stderr) = run(&mut sandbox.plimsoll(&["report"]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("x7k2"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'));
    let (_, colored, _) = run(&mut sandbox.plimsoll(&["--color", "always", "report"]));
    assert!(colored.contains('\u{1b}'));
}

#[test]
fn every_format_is_written() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    let run_dir = dir.display().to_string();
    for (format, start) in
        [("json", "{"), ("ndjson", "{"), ("junit", "<?xml"), ("markdown", "#"), ("html", "<!doctype html>")]
    {
        let (code, stdout, stderr) =
            run(&mut sandbox.plimsoll(&["report", &run_dir, "--report", &format!("{format}=-")]));
        assert_eq!(code, 0, "{format}: {stderr}");
        assert!(
            stdout.to_lowercase().starts_with(start),
            "{format}: {}",
            stdout.chars().take(80).collect::<String>()
        );
        let file = format!("new/{format}.out");
        let (code, _, stderr) =
            run(&mut sandbox.plimsoll(&["report", &run_dir, "--report", &format!("{format}={file}")]));
        assert_eq!(code, 0, "{format}: {stderr}");
        assert_eq!(fs::read_to_string(sandbox.path().join(file)).expect("it is written"), stdout, "{format}");
    }
}

#[test]
fn the_report_is_the_same_from_journal_and_bundle() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    let from = |name: &str| {
        let path = dir.join(name).display().to_string();
        run(&mut sandbox.plimsoll(&["report", &path, "--report", "markdown=-"])).1
    };
    assert_eq!(from(Journal::FILE), from(Bundle::FILE));
}

#[test]
fn the_json_report_fits_its_schema() {
    let sandbox = Sandbox::new();
    record(&sandbox);
    let (_, schema, _) = run(&mut sandbox.plimsoll(&["schema", "report"]));
    let (_, report, _) = run(&mut sandbox.plimsoll(&["report", "--report", "json=-"]));
    let schema: Value = serde_json::from_str(&schema).expect("it is JSON");
    let report: Value = serde_json::from_str(&report).expect("it is JSON");
    let validator = jsonschema::validator_for(&schema).expect("it is a schema");
    let problems: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn an_intact_journal() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    let (code, stdout) = verified(&sandbox, &dir, &[]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("intact"), "{stdout}");
    let (_, json) = verified(&sandbox, &dir, &["-o", "json"]);
    let found: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(found["integrity"], "intact");
    let head = found["head"].as_str().expect("it has a head").to_owned();
    assert_eq!(verified(&sandbox, &dir, &["--head", &head]).0, 0);
    assert_eq!(verified(&sandbox, &dir, &["--head", &"0".repeat(64)]).0, 1);
}

#[test]
fn a_changed_journal_is_broken() {
    let sandbox = Sandbox::new();
    let journal = record(&sandbox).join(Journal::FILE);
    let text = fs::read_to_string(&journal).expect("read it");
    fs::write(&journal, text.replacen("every-namespace", "some-namespace", 1)).expect("change it");
    let (code, stdout) = verified(&sandbox, &journal, &[]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("broken") && stdout.contains("line "), "{stdout}");
    // It is reported for what it is, and never with success.
    let (code, _, stderr) = run(&mut sandbox.plimsoll(&["report"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("changed"), "{stderr}");
}

#[test]
fn a_journal_without_its_end_is_unfinished() {
    let sandbox = Sandbox::new();
    let journal = record(&sandbox).join(Journal::FILE);
    let text = fs::read_to_string(&journal).expect("read it");
    let cut = text.trim_end().rfind('\n').expect("it has lines");
    fs::write(&journal, &text[..=cut]).expect("cut it");
    let (code, stdout) = verified(&sandbox, &journal, &[]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.contains("unfinished"), "{stdout}");
    assert_eq!(run(&mut sandbox.plimsoll(&["report"])).0, 0);
}
