//! The fuzzer on the real thing: all agree on the sound dataplane, and every defect that can be planted is found and made
//! small, to at most one policy with one rule.
//!
//! `plimsoll lab up --name test && PLIMSOLL_TEST_LAB=test cargo test --features lab-tests-long --test lab_fuzz`

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_plimsoll");

fn lab() -> String {
    std::env::var("PLIMSOLL_TEST_LAB").unwrap_or_else(|_| "test".to_owned())
}

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("the program can be started")
}

fn fuzz(more: &[&str]) -> (Option<i32>, Value, String) {
    let cluster = format!("lab:{}", lab());
    let directory = tempfile::tempdir().expect("there is room for results");
    let runs = directory.path().to_str().expect("the directory has a name");
    let base = ["fuzz", "network", "--cluster", &cluster, "--reports-dir", runs, "-o", "json"];
    let output = plimsoll(&[&base, more].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let record = directory.path().join("latest");
    let verified = plimsoll(&["verify", record.to_str().expect("the directory has a name")]);
    assert!(verified.status.success(), "{said}{}", String::from_utf8_lossy(&verified.stderr));
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
}

/// Makes the dataplane sound again, whatever the test comes to.
struct Sound;

impl Drop for Sound {
    fn drop(&mut self) {
        plimsoll(&["lab", "defect", "--name", &lab(), "--remove"]);
    }
}

/// One test, since what is broken is broken for everybody.
#[test]
fn the_sound_dataplane_agrees_and_every_planted_defect_is_found_and_made_small() {
    let (code, found, said) = fuzz(&["--cases", "40", "--seed", "1"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(found["disagreements"], Value::Array(Vec::new()));
    let listed = plimsoll(&["lab", "defect", "--name", &lab()]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let defects: Vec<&str> =
        listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(defects.len() >= 8, "{listed}");
    let _sound = Sound;
    let mut missed = Vec::new();
    for defect in defects {
        let planted = plimsoll(&["lab", "defect", "--name", &lab(), defect]);
        assert!(planted.status.success(), "{defect}: {}", String::from_utf8_lossy(&planted.stderr));
        let (code, found, said) = fuzz(&["--cases", "200", "--seed", "11"]);
        let one = &found["disagreements"][0];
        let small = |what: &str| one[what].as_u64().is_some_and(|number| number <= 1);
        let named = found["planted"][0].as_str().is_some_and(|planted| planted.contains(defect));
        if code != Some(1) || !small("policies") || !small("rules") || !named {
            missed.push(format!("{defect}: exit code {code:?}, {found}\n{said}"));
        }
    }
    assert!(missed.is_empty(), "not found, or not made small:\n{}", missed.join("\n"));
}
