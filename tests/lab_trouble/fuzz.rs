//! Runs of `fuzz` that are ended before their time, and one that finds something: what they know is on record.

use std::process::Command;

use plimsoll::engine::{Event, Outcome};
use plimsoll::evidence::Integrity;

use crate::program::{Program, alone, lab, plimsoll};
use crate::record::{cleaned_up, events, journal, outcomes, planned, read, results, tenants, wait_for};

fn compared(event: &Event) -> bool {
    matches!(event, Event::ScenarioFinished { .. })
}

/// A run of more cases than are wanted, some of which have been compared.
fn amid_cases() -> (tempfile::TempDir, Program) {
    let (directory, runs) = results();
    let program =
        Program::start(&["fuzz", "network", "--cases", "2000", "--seed", "1", "--reports-dir", &runs]);
    wait_for(directory.path(), "case", compared);
    (directory, program)
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_every_case_has_its_outcome_and_nothing_is_left() {
    let _alone = alone().await;
    let (directory, program) = amid_cases();
    program.signal("INT");
    let (code, said) = program.ends();
    assert_eq!(code, 130, "{said}");
    let journal = read(directory.path());
    assert_eq!(journal.integrity(), Integrity::Intact);
    let outcomes = outcomes(&journal);
    assert_eq!((planned(&journal), outcomes.len()), (2000, 2000));
    let of = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert!(of(Outcome::Passed) > 0 && of(Outcome::NotRun) > 0 && of(Outcome::Failed) == 0, "{said}");
    assert_eq!(tenants().await, Vec::<String>::new(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_is_known_how_far_it_came_and_cleanup_removes_the_rest() {
    let _alone = alone().await;
    let (directory, program) = amid_cases();
    program.kill();
    let journal = read(directory.path());
    assert_eq!(journal.integrity(), Integrity::Unfinished);
    assert!(events(&journal).any(compared));
    assert!(!tenants().await.is_empty(), "there was nothing to remove, so that this shows nothing");
    cleaned_up(directory.path()).await;
}

/// Makes the dataplane sound again, whatever the test comes to.
struct Sound;

fn defect(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let said = command.args(["lab", "defect", "--name", &lab()]).args(arguments).output().expect("it starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

impl Drop for Sound {
    fn drop(&mut self) {
        defect(&["--remove"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_finds_is_a_scenario_that_failed_and_can_be_tried_again() {
    let _alone = alone().await;
    let (directory, runs) = results();
    let _sound = Sound;
    defect(&["except-ignored"]);
    let found = ["fuzz", "network", "--cases", "200", "--seed", "11", "--shrink-for", "15s"];
    let (code, _, said) = plimsoll(&[&found[..], &["--reports-dir", &runs]].concat());
    assert_eq!(code, 1, "{said}");
    let record = read(directory.path());
    assert_eq!(record.integrity(), Integrity::Intact);
    let outcomes = outcomes(&record);
    assert_eq!((planned(&record), outcomes.len()), (200, 200));
    assert!(outcomes.contains(&Outcome::Failed), "{said}");
    let stand_ins = events(&record).find_map(|event| match event {
        Event::ClusterSeen { stand_ins, .. } => Some(stand_ins.join(" ")),
        _ => None,
    });
    assert!(stand_ins.is_some_and(|named| named.contains("except-ignored")));
    let run = journal(directory.path()).expect("a journal");
    let run = run.parent().expect("a directory");
    let mut files =
        std::fs::read_dir(run).expect("a directory").filter_map(Result::ok).map(|file| file.path());
    let reproduction = files
        .find(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .expect("a case to try again");
    let (_again, runs) = results();
    let file = reproduction.to_str().expect("a name");
    let (code, _, said) =
        plimsoll(&["fuzz", "network", "--replay", file, "--shrink-tries", "0", "--reports-dir", &runs]);
    assert_eq!(code, 1, "it disagrees still: {said}");
    defect(&["--remove"]);
    let (_sound_again, runs) = results();
    let (code, _, said) =
        plimsoll(&["fuzz", "network", "--replay", file, "--shrink-tries", "0", "--reports-dir", &runs]);
    // One case may be open or closed throughout, which alone proves nothing.
    assert!(code == 0 || said.contains("that shows nothing"), "{said}");
}
