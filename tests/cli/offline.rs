//! `report` and `verify` on a recorded run, without any cluster.

use std::fs;
use std::path::{Path, PathBuf};

use plimsoll::engine::Event;
use plimsoll::evidence::{Bundle, BundleParts, Journal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Sandbox, run};

const PROFILE: &[u8] = b"profile";

/// Records a run in which everything occurs: its directory.
fn record(sandbox: &Sandbox) -> PathBuf {
    let runs = sandbox.path().join("reports/runs");
    let dir = runs.join("x7k2");
    write_run(&dir, &events(), &dir.join(Bundle::FILE));
    std::os::unix::fs::symlink("x7k2", runs.join("latest")).expect("make the link");
    dir
}

/// Writes a journal of these events into a new directory, and a bundle of it.
fn write_run(dir: &Path, events: &[Event], bundle: &Path) {
    let mut journal = Journal::create(dir).expect("make the journal");
    for event in events {
        journal.append(event).expect("write the event");
    }
    let finished = journal.finish().expect("end the journal");
    let parts =
        BundleParts { journal: &finished.path, profile: PROFILE, versions: &json!({}), artefacts: &[] };
    Bundle::write(bundle, &parts).expect("write the bundle");
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
            if event["kind"] == "run-started" {
                event["profile_sha256"] = hex::encode(Sha256::digest(PROFILE)).into();
            }
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
fn a_journal_that_does_not_add_up_is_reported_without_success() {
    let sandbox = Sandbox::new();
    let mut told = events();
    for event in &mut told {
        if let Event::RunFinished { exit, .. } = event {
            *exit = 77;
        }
    }
    let dir = sandbox.path().join("reports/runs/x7k2");
    write_run(&dir, &told, &dir.join(Bundle::FILE));
    assert_eq!(verified(&sandbox, &dir, &[]).0, 0);
    let (code, stdout, stderr) = run(&mut sandbox.plimsoll(&["report", &dir.display().to_string()]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains("no verdict: the journal does not add up"), "{stdout}");
    assert!(stderr.contains("the journal does not add up"), "{stderr}");
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

/// Appends to the bundle of a run: its journal stays what it was.
fn spoil(bundle: &Path) {
    let mut bytes = fs::read(bundle).expect("read the bundle");
    bytes.push(0);
    fs::write(bundle, bytes).expect("change the bundle");
}

#[test]
fn the_bundle_beside_the_journal_is_verified_too() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    let (code, stdout) = verified(&sandbox, &dir, &[]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("intact: journal and bundle of run x7k2"), "{stdout}");
    spoil(&dir.join(Bundle::FILE));
    for (code, stdout) in [
        verified(&sandbox, &dir, &[]),
        verified(&sandbox, &dir, &["-o", "json"]),
        verified(&sandbox, &sandbox.path().join("reports/runs/latest"), &["-o", "yaml"]),
    ] {
        assert_eq!(code, 1, "{stdout}");
        assert!(stdout.contains("bundle.tar.gz: something follows the end of the archive"), "{stdout}");
    }
    // Of somebody who names a file, that file is meant.
    assert_eq!(verified(&sandbox, &dir.join(Journal::FILE), &[]).0, 0);
    // While a run is going there is none.
    fs::remove_file(dir.join(Bundle::FILE)).expect("remove the bundle");
    let (code, stdout) = verified(&sandbox, &dir, &[]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("intact: journal of run x7k2"), "{stdout}");
}

#[test]
fn a_changed_bundle_is_reported_for_what_it_is_and_not_handed_on() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    let bundle = dir.join(Bundle::FILE);
    let (path, run_dir) = (bundle.display().to_string(), dir.display().to_string());
    let hand_on = |source: &str| run(&mut sandbox.plimsoll(&["report", source, "--report", "bundle=out"]));
    assert_eq!(hand_on(&run_dir).0, 0);
    spoil(&bundle);
    for format in ["json", "ndjson", "junit", "markdown", "html", "terminal"] {
        let (code, stdout, _) =
            run(&mut sandbox.plimsoll(&["report", &path, "--report", &format!("{format}=-")]));
        assert_eq!(code, 1, "{format}");
        let why = if format == "ndjson" { "the journal was changed" } else { "something follows the end" };
        assert!(stdout.contains(why), "{format}: {stdout}");
    }
    for source in [&path, &run_dir] {
        let (code, _, stderr) = hand_on(source);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("something follows the end of the archive"), "{stderr}");
    }
    // Nor is a sound one of another run.
    let other = Sandbox::new();
    let mut less = events();
    less.retain(|event| !matches!(event, Event::Warning { .. }));
    write_run(&other.path().join("x"), &less, &bundle);
    let (code, _, stderr) = hand_on(&run_dir);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("it is not of the journal.ndjson beside it"), "{stderr}");
}

#[test]
fn a_pipe_is_read_once() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    for name in [Journal::FILE, Bundle::FILE] {
        for command in ["verify", "report"] {
            let bytes = fs::read(dir.join(name)).expect("read it");
            let mut command = sandbox.plimsoll(&[command, "/dev/stdin"]);
            let (code, stdout, stderr) = run(command.write_stdin(bytes));
            assert_eq!((code, stderr.as_str()), (0, ""), "{name}: {stdout}");
        }
    }
}

#[test]
fn a_path_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    let odd = sandbox.path().join(std::ffi::OsStr::from_bytes(b"\xff.ndjson"));
    fs::copy(dir.join(Journal::FILE), &odd).expect("copy the journal");
    for form in ["table", "json", "yaml"] {
        let (code, stdout, stderr) = run(sandbox.plimsoll(&["verify", "-o", form]).arg(&odd));
        assert_eq!((code, stderr.as_str()), (0, ""), "{form}");
        assert!(stdout.contains("\u{fffd}.ndjson"), "{stdout}");
    }
}

#[test]
fn a_head_that_is_no_hash_is_a_mistake_of_the_caller() {
    let sandbox = Sandbox::new();
    let dir = record(&sandbox);
    for head in ["", "abc", &"g".repeat(64), &"0".repeat(65)] {
        assert_eq!(verified(&sandbox, &dir, &["--head", head]).0, 2, "{head}");
    }
}
