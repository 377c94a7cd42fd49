use std::path::Path;

use proptest::prelude::*;

use super::super::read::{Integrity, ProblemKind, read, read_bytes};
use super::super::verify::verify;
use super::*;
use crate::engine::{Outcome, ScenarioId, Tally};
use crate::exit::Exit;

pub(in crate::evidence) fn started() -> Event {
    Event::RunStarted {
        schema: super::super::JOURNAL_SCHEMA.to_owned(),
        run_id: "x7k2".to_owned(),
        version: "0.1.0".to_owned(),
        seed: 7,
        command: vec!["plimsoll".to_owned(), "run".to_owned()],
        profile: "acme".to_owned(),
        profile_sha256: super::super::chain::hash_of(b"apiVersion: plimsoll.dev/v1\n"),
    }
}

pub(in crate::evidence) fn finished() -> Event {
    Event::RunFinished { tally: Tally::default(), exit: 0, took_ms: 3 }
}

fn scenario(n: usize) -> Event {
    Event::ScenarioFinished {
        id: ScenarioId(format!("a/b/{n}")),
        outcome: Outcome::Passed,
        reason: None,
        took_ms: 1,
    }
}

/// A whole journal with `n` scenarios.
fn whole(n: usize) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), n);
    std::fs::read(dir.path().join(Journal::FILE)).unwrap()
}

fn write(dir: &Path, n: usize) -> Finished {
    let mut journal = Journal::create(dir).unwrap();
    journal.append(&started()).unwrap();
    for n in 0..n {
        journal.append(&scenario(n)).unwrap();
    }
    journal.append(&finished()).unwrap();
    journal.finish().unwrap()
}

/// A journal of any events whatever, with a chain that holds.
pub(in crate::evidence) fn sealed(events: &[serde_json::Value]) -> Vec<u8> {
    let mut prev = super::super::chain::GENESIS.to_owned();
    let mut bytes = Vec::new();
    for (seq, event) in (0..).zip(events) {
        let (line, hash) = seal(seq, Timestamp::UNIX_EPOCH, seq, &prev, event).unwrap();
        bytes.extend(line);
        prev = hash;
    }
    bytes
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn what_was_written_is_read_and_intact() {
    let dir = tempfile::tempdir().unwrap();
    let written = write(dir.path(), 3);
    let journal = read(&written.path).unwrap();
    assert_eq!(journal.problems, []);
    assert_eq!(journal.integrity(), Integrity::Intact);
    assert_eq!(journal.records.len(), 5);
    assert_eq!(journal.head, written.head);
    assert!(!journal.live);
    let verification = verify(&written.path, Some(&written.head)).unwrap();
    assert_eq!(verification.exit(), Exit::Conformant);
    assert_eq!(verification.run_id.as_deref(), Some("x7k2"));
}

/// The lines that `reports/README.md` gives to third parties find what we find.
#[test]
fn the_documented_verifier_agrees() {
    let readme = include_str!("../../reports/README.md");
    let script = readme.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = |bytes: &[u8]| {
        let path = dir.path().join("j");
        std::fs::write(&path, bytes).unwrap();
        // What is checked must be checked under -O too.
        std::process::Command::new("python3").args(["-O", "-c", script]).arg(&path).output()
    };
    let journal = whole(3);
    let Ok(output) = run(&journal) else {
        eprintln!("no python3 is installed: the documented verifier was not run");
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("intact") && said.contains(&read_bytes(&journal).head), "{said}");

    let all = lines(&journal);
    let edited = String::from_utf8(journal.clone()).unwrap().replacen("a/b/1", "a/b/9", 1).into_bytes();
    let deleted = [&all[..2], &all[3..]].concat().concat();
    let swapped = [&all[0], &all[2], &all[1], &all[3], &all[4]].map(Clone::clone).concat();
    let cut = all[..4].concat();
    let torn = journal[..journal.len() - 20].to_vec();
    let as_json = |event: &Event| serde_json::to_value(event).unwrap();
    let (begin, warn, end) =
        (as_json(&started()), as_json(&Event::Warning { message: "w".to_owned() }), as_json(&finished()));
    let behind = sealed(&[begin.clone(), end.clone(), warn]);
    let twice_ended = sealed(&[begin.clone(), end.clone(), end.clone()]);
    let twice_begun = sealed(&[begin.clone(), begin, end]);
    for (what, bytes) in [
        ("edited", edited),
        ("deleted", deleted),
        ("swapped", swapped),
        ("cut", cut),
        ("torn", torn),
        ("behind the end", behind),
        ("twice ended", twice_ended),
        ("twice begun", twice_begun),
        ("empty", Vec::new()),
    ] {
        assert_ne!(read_bytes(&bytes).integrity(), Integrity::Intact, "{what}");
        assert!(!run(&bytes).unwrap().status.success(), "{what}");
    }
}

#[test]
fn each_kind_of_tampering_is_named_with_its_line() {
    let journal = whole(3);
    let all = lines(&journal);
    let problems = |bytes: &[u8]| {
        let journal = read_bytes(bytes);
        let said: Vec<String> = journal.problems.iter().map(ToString::to_string).collect();
        format!("{}\n  {}", journal.integrity().word(), said.join("\n  "))
    };
    let mut cases: Vec<(&str, Vec<u8>)> = Vec::new();
    let edited = String::from_utf8(journal.clone()).unwrap().replacen("a/b/1", "a/b/9", 1);
    cases.push(("edited", edited.into_bytes()));
    cases.push(("deleted", [&all[..2], &all[3..]].concat().concat()));
    cases.push(("swapped", [0, 2, 1, 3, 4].map(|n| all[n].clone()).concat()));
    cases.push(("inserted", [0, 1, 1, 2, 3, 4].map(|n| all[n].clone()).concat()));
    cases.push(("garbage", [all[0].clone(), b"hello\n".to_vec(), all[1].clone()].concat()));
    cases.push(("beginning cut off", all[1..].concat()));
    cases.push(("end cut off", all[..4].concat()));
    cases.push(("torn", journal[..journal.len() - 20].to_vec()));
    cases.push(("appended", [journal.clone(), all[2].clone()].concat()));
    cases.push(("empty", Vec::new()));
    let said: Vec<String> =
        cases.iter().map(|(what, bytes)| format!("{what}: {}", problems(bytes))).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_journal_written_anew_does_not_have_the_head_that_was_kept() {
    let dir = tempfile::tempdir().unwrap();
    let kept = write(&dir.path().join("a"), 2);
    let forged = write(&dir.path().join("b"), 1);
    assert_eq!(verify(&forged.path, None).unwrap().exit(), Exit::Conformant);
    let verification = verify(&forged.path, Some(&kept.head)).unwrap();
    assert_eq!(verification.exit(), Exit::Failed);
}

#[test]
fn two_writers_are_refused_and_evidence_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let first = Journal::create(dir.path()).unwrap();
    assert!(matches!(Journal::create(dir.path()), Err(EvidenceError::Locked { .. })));
    assert!(read(first.path()).unwrap().live);
    drop(first);
    assert!(matches!(Journal::create(dir.path()), Err(EvidenceError::Exists { .. })));
}

#[test]
fn a_new_kind_of_event_breaks_no_chain() {
    let journal = read_bytes(&sealed(&[
        serde_json::to_value(started()).unwrap(),
        serde_json::json!({"kind": "of-the-future", "x": 1.5}),
        serde_json::to_value(finished()).unwrap(),
    ]));
    assert_eq!(journal.integrity(), Integrity::Intact);
    assert_eq!(journal.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [ProblemKind::UnknownEvent]);
    assert_eq!(journal.records.len(), 2);
}

#[test]
fn a_known_kind_that_cannot_be_read_is_no_news_of_the_future() {
    let kinds = |start: &serde_json::Value, event: serde_json::Value| {
        let end = serde_json::to_value(finished()).unwrap();
        let journal = read_bytes(&sealed(&[start.clone(), event, end]));
        (journal.integrity(), journal.problems.iter().map(|p| p.kind).collect::<Vec<_>>())
    };
    let own = serde_json::to_value(started()).unwrap();
    let failed =
        serde_json::json!({"kind": "scenario-finished", "id": "a/b/0", "outcome": "fallen", "took_ms": 1});
    assert_eq!(kinds(&own, failed.clone()), (Integrity::Broken, vec![ProblemKind::Malformed]));
    assert_eq!(kinds(&own, serde_json::json!({"x": 1})), (Integrity::Broken, vec![ProblemKind::Malformed]));
    let mut foreign = own.clone();
    foreign["schema"] = "plimsoll.dev/journal/v2".into();
    let unknown = vec![ProblemKind::UnknownEvent; 2];
    assert_eq!(kinds(&foreign, failed), (Integrity::Intact, unknown));
    // A second start is known, readable and in the chain, and all the same no run wrote it.
    assert_eq!(kinds(&own, own.clone()), (Integrity::Broken, vec![ProblemKind::OutOfOrder]));
}

#[test]
fn what_is_said_of_a_forged_journal_cannot_act_on_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut start = serde_json::to_value(started()).unwrap();
    start["run_id"] = "x\u{1b}[2K\ry".into();
    let event = serde_json::json!({"kind": "z\u{1b}[1A\u{9b}\u{202e}"});
    std::fs::write(&path, sealed(&[start, event, serde_json::to_value(finished()).unwrap()])).unwrap();
    let said = verify(&path, None).unwrap().to_string();
    assert!(said.contains("run x\u{fffd}[2K\u{fffd}y"), "{said:?}");
    assert!(!said.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{said:?}");
}

#[test]
fn secrets_reach_neither_the_file_nor_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(dir.path()).unwrap();
    let record = journal
        .append(&Event::Warning { message: "sent Authorization: Bearer s3cr3t-value".to_owned() })
        .unwrap();
    let path = journal.finish().unwrap().path;
    assert!(!std::fs::read_to_string(path).unwrap().contains("s3cr3t"));
    let Event::Warning { message } = record.event else { panic!("another event") };
    assert_eq!(message, "sent Authorization: [redacted]");
}

#[test]
fn what_is_no_journal_is_refused_and_what_is_missing_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    assert!(matches!(verify(&path, None), Err(EvidenceError::Io { .. })));
    std::fs::write(&path, "hello\n").unwrap();
    assert!(matches!(verify(&path, None), Err(EvidenceError::Foreign { .. })));
}

#[derive(Clone, Debug)]
enum Mutation {
    Edit(usize, u8),
    Insert(usize, u8),
    Remove(usize),
    Cut(usize),
    DeleteLine(usize),
    SwapLines(usize, usize),
    RepeatLine(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<usize>();
    prop_oneof![
        4 => (at, any::<u8>()).prop_map(|(at, byte)| Mutation::Edit(at, byte)),
        2 => (at, any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        2 => at.prop_map(Mutation::Remove),
        2 => at.prop_map(Mutation::Cut),
        1 => at.prop_map(Mutation::DeleteLine),
        1 => (at, at).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
        1 => (at, at).prop_map(|(a, b)| Mutation::RepeatLine(a, b)),
    ]
}

fn mutate(bytes: &[u8], mutation: &Mutation) -> Vec<u8> {
    let mut all = lines(bytes);
    let mut bytes = bytes.to_vec();
    let (size, count) = (bytes.len(), all.len());
    match *mutation {
        Mutation::Edit(at, byte) => bytes[at % size] = byte,
        Mutation::Insert(at, byte) => bytes.insert(at % (size + 1), byte),
        Mutation::Remove(at) => drop(bytes.remove(at % size)),
        Mutation::Cut(at) => bytes.truncate(at % size),
        Mutation::DeleteLine(at) => {
            all.remove(at % count);
            bytes = all.concat();
        }
        Mutation::SwapLines(a, b) => {
            all.swap(a % count, b % count);
            bytes = all.concat();
        }
        Mutation::RepeatLine(from, to) => {
            let line = all[from % count].clone();
            all.insert(to % (count + 1), line);
            bytes = all.concat();
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_single_mutation_is_noticed(mutation in mutation()) {
        static JOURNAL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| whole(6));
        let mutated = mutate(&JOURNAL, &mutation);
        prop_assume!(mutated != *JOURNAL);
        prop_assert_ne!(read_bytes(&mutated).integrity(), Integrity::Intact);
    }

    #[test]
    fn whatever_was_written_before_a_kill_is_usable(at in any::<prop::sample::Index>()) {
        static JOURNAL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| whole(6));
        let cut = &JOURNAL[..at.index(JOURNAL.len())];
        let journal = read_bytes(cut);
        // A record without its newline is whole as well.
        let newlines = cut.split(|b| *b == b'\n').count() - 1;
        let whole = newlines + usize::from(cut.ends_with(b"\"}") && cut.len() + 1 < JOURNAL.len() + 1);
        prop_assert!(journal.records.len() == newlines || journal.records.len() == whole);
        prop_assert_eq!(journal.integrity(), Integrity::Unfinished);
        prop_assert!(journal.problems.iter().all(|p| matches!(p.kind, ProblemKind::Torn | ProblemKind::NoEnd)));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_ne!(read_bytes(&bytes).integrity(), Integrity::Intact);
    }
}
