//! The suite graded on the real thing: no false alarm on the sound platform, and no sabotage that goes unnoticed.
//!
//! `plimsoll lab up --name test && PLIMSOLL_TEST_LAB=test cargo test --features lab-tests --test lab_graded`

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_plimsoll");

fn lab() -> String {
    let name = std::env::var("PLIMSOLL_TEST_LAB").unwrap_or_else(|_| "test".to_owned());
    format!("lab:{name}")
}

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("the program can be started")
}

fn conformant(what: &str, arguments: &[&str]) {
    let output = plimsoll(arguments);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{what}:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The sabotages that this test tries: at least one a requirement of the first families, of every way to break. All of
/// them take longer than a test may: `plimsoll sabotage run --cluster lab:NAME`.
const TRIED: &[&str] = &[
    "addresses-that-cover-the-pods",
    "administrator-debugs-running-pods",
    "any-name-server",
    "datagrams-forgotten",
    "default-deny-for-egress-only",
    "default-deny-for-ingress-only",
    "defaults-of-another-size",
    "every-verb-there-will-ever-be",
    "guard-rail-missing",
    "guard-rails-only-audited",
    "guest-from-the-first-day",
    "names-by-datagram-only",
    "namespace-may-be-finalized",
    "no-way-to-names",
    "offboarding-leaves-a-role",
    "one-secret-by-name",
    "one-subject-too-many",
    "own-namespace-open",
    "pod-security-only-warns",
    "quota-off-by-one",
    "quota-without-node-ports",
    "viewer-touches",
];

/// One test, since what is broken on purpose is broken for everybody.
#[test]
fn the_sound_platform_passes_and_these_sabotages_are_noticed() {
    let directory = tempfile::tempdir().expect("there is room for results");
    let runs = directory.path().to_str().expect("the directory has a name");
    let suite = |name: &str| {
        conformant(
            &format!("the suite {name} on the sound platform"),
            &["run", "--cluster", &lab(), "--suite", name, "--reports-dir", runs],
        );
    };
    suite("ci");
    let cluster = lab();
    let order = ["sabotage", "run", "--cluster", &cluster, "--lanes", "2"];
    let order: Vec<&str> = order.iter().chain(TRIED).copied().collect();
    conformant("sabotages, not all noticed for the stated reason", &order);
    // What was broken has been put back.
    suite("smoke");
}
