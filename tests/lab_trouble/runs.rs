//! Runs to which something happens. Whatever it is, the run ends in order: every scenario has its outcome, the exit code
//! says what is known, and what is left is named and can be removed.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use plimsoll::engine::{Event, Outcome};
use plimsoll::evidence::Integrity;
use plimsoll::profile;

use crate::program::{Program, alone, command, lab, plimsoll};
use crate::record::{cleaned_up, events, outcomes, planned, read, results, tenants, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn asked_twice_to_end_it_ends_at_once_and_names_what_it_leaves() {
    let _alone = alone().await;
    let (directory, runs) = results();
    let program = Program::start(&["run", "--suite", "ci", "--reports-dir", &runs]);
    wait_for(directory.path(), "tenant", |event| matches!(event, Event::TenantReady { .. }));
    program.signal("INT");
    wait_for(directory.path(), "interrupt", |event| matches!(event, Event::Interrupted { .. }));
    program.signal("INT");
    let asked = Instant::now();
    let (code, said) = program.ends();
    assert_eq!(code, 130, "{said}");
    assert!(asked.elapsed() < Duration::from_secs(30), "it took {:?}", asked.elapsed());
    let journal = read(directory.path());
    assert_eq!(journal.integrity(), Integrity::Intact);
    assert_eq!(outcomes(&journal).len(), planned(&journal));
    let named: Vec<_> = events(&journal)
        .filter_map(|event| match event {
            Event::Leftover { reference, .. } => Some(reference.clone()),
            _ => None,
        })
        .collect();
    let left = tenants().await;
    // What was whole is named; what was only half made, by the label that all of it carries.
    for event in events(&journal) {
        if let Event::TenantReady { namespaces, .. } = event {
            for namespace in namespaces.iter().filter(|namespace| left.contains(namespace)) {
                let reference = format!("v1/Namespace {namespace}");
                assert!(named.contains(&reference), "{reference} is not among {named:?}");
            }
        }
    }
    let all = format!("whatever else carries the label {}=", plimsoll::cluster::RUN_LABEL);
    assert!(named.iter().any(|named| named.starts_with(&all)), "{named:?}");
    assert!(!left.is_empty(), "it was slow enough to remove everything, so that this shows nothing");
    // Where it was, and not on the lab that would be meant where nobody names one.
    let mend = format!("plimsoll cleanup --cluster lab:{} --run ", lab());
    assert!(said.contains(&mend), "{said}");
    cleaned_up(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_once_to_end_it_removes_everything() {
    let _alone = alone().await;
    let (directory, runs) = results();
    let program = Program::start(&["run", "--suite", "ci", "--reports-dir", &runs]);
    wait_for(directory.path(), "tenant", |event| matches!(event, Event::TenantReady { .. }));
    program.signal("TERM");
    let (code, said) = program.ends();
    assert_eq!(code, 143, "{said}");
    let journal = read(directory.path());
    assert_eq!(journal.integrity(), Integrity::Intact);
    assert_eq!(outcomes(&journal).len(), planned(&journal));
    assert_eq!(tenants().await, Vec::<String>::new(), "{said}");
}

/// The API server of the lab under test, by the paths on its command line.
fn api_server() -> u32 {
    let of_lab = format!("/lab/{}/", lab());
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let found = processes.filter_map(Result::ok).find_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let arguments = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let program = arguments.split('\0').next()?;
        (program.ends_with("/kube-apiserver") && arguments.contains(&of_lab)).then_some(id)
    });
    found.expect("the lab's API server")
}

/// Stops a process, and lets it go on whatever becomes of the test.
struct Stopped(u32);

impl Stopped {
    fn stop(id: u32) -> Self {
        assert!(signal("STOP", id));
        Self(id)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", self.0);
    }
}

fn signal(name: &str, id: u32) -> bool {
    Command::new("kill").args(["-s", name, &id.to_string()]).status().is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_lost_leaves_everything_inconclusive() {
    let _alone = alone().await;
    let (directory, runs) = results();
    let program = Program::start(&["run", "--suite", "ci", "--reports-dir", &runs]);
    wait_for(directory.path(), "tenant", |event| matches!(event, Event::TenantReady { .. }));
    let done = outcomes(&read(directory.path())).len();
    let stopped = Stopped::stop(api_server());
    let (code, said) = program.ends();
    drop(stopped);
    assert_eq!(code, 3, "{said}");
    let journal = read(directory.path());
    assert_eq!(journal.integrity(), Integrity::Intact);
    let outcomes = outcomes(&journal);
    assert_eq!(outcomes.len(), planned(&journal));
    assert!(!outcomes.contains(&Outcome::Failed), "{said}");
    let proven = outcomes.iter().filter(|outcome| **outcome == Outcome::Passed).count();
    assert!(proven <= done + 6, "{proven} passed, {done} of them before: {said}");
    assert!(said.contains("does not answer") || said.contains("did not answer"), "{said}");
    cleaned_up(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_comes_back_is_no_failure_of_the_platform() {
    let _alone = alone().await;
    let (directory, runs) = results();
    let program = Program::start(&["run", "--suite", "ci", "--reports-dir", &runs]);
    wait_for(directory.path(), "end of a scenario", |event| matches!(event, Event::ScenarioFinished { .. }));
    assert!(signal("KILL", api_server()));
    let (code, said) = program.ends();
    assert!(code == 0 || code == 3, "{code}: {said}");
    let journal = read(directory.path());
    assert_eq!(journal.integrity(), Integrity::Intact);
    let outcomes = outcomes(&journal);
    assert_eq!(outcomes.len(), planned(&journal));
    assert!(!outcomes.contains(&Outcome::Failed), "{said}");
    cleaned_up(directory.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waivers_hold_in_force_and_fail_when_expired_or_unused() {
    let _alone = alone().await;
    // A promise that the lab does not keep.
    let broken = profile::LAB_PROFILE.replace("      pods: \"20\"\n", "      pods: \"21\"\n");
    assert_ne!(broken, profile::LAB_PROFILE);
    let waiver = |platform: &str, requirement: &str, expires: &str| {
        format!(
            "{platform}\n  waivers:\n    - requirement: {requirement}\n      reason: one pod less was agreed\n      \
             owner: the platform team\n      expires: {expires}\n"
        )
    };
    let scenarios = scenarios_of("TEN-02");
    let scenario = scenarios.iter().find(|id| id.contains("limit") || id.contains("promised"));
    let scenario = scenario.expect("one that compares the limits").as_str();
    for (what, text, code, outcome) in [
        ("none", broken.clone(), 1, Outcome::Failed),
        ("in force", waiver(&broken, "TEN-02", "2099-01-01"), 0, Outcome::Waived),
        ("expired", waiver(&broken, "TEN-02", "2020-01-01"), 1, Outcome::Failed),
        ("of another", waiver(&broken, "NET-01", "2099-01-01"), 1, Outcome::Failed),
        ("unused", waiver(profile::LAB_PROFILE, "TEN-02", "2099-01-01"), 1, Outcome::Passed),
    ] {
        let (directory, runs) = results();
        let file = directory.path().join("platform.yaml");
        std::fs::write(&file, text).expect("a profile");
        let file = file.to_str().expect("a name");
        let runs = format!("{runs}/runs");
        let (seen, _, stderr) =
            plimsoll(&["run", "--profile", file, "--scenario", scenario, "--reports-dir", &runs]);
        assert_eq!(seen, code, "a waiver {what}: {stderr}");
        assert_eq!(outcomes(&read(Path::new(&runs))), [outcome], "a waiver {what}: {stderr}");
    }
}

/// The scenarios that prove a requirement.
fn scenarios_of(requirement: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["list", "scenarios", "--requirement", requirement, "-o", "name"])
        .output()
        .expect("it can be started");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// A file system of its own, so small that a run fills it.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()), "a lab needs root, and so does this");
        Self(directory)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_run_in_order_and_leaves_nothing_on_the_cluster() {
    let _alone = alone().await;
    let small = Small::mount("96k");
    let runs = small.0.path().to_str().expect("a name");
    let program = Program::spawn(command(&["run", "--suite", "ci", "--reports-dir", runs]));
    let (code, said) = program.ends();
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(tenants().await, Vec::<String>::new(), "{said}");
}
