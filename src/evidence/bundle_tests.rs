use proptest::prelude::*;
use serde_json::json;

use super::super::journal::tests::{finished, sealed, started};
use super::super::read::Integrity;
use super::super::verify::{Subject, verify, verify_both};
use super::*;

const PROFILE_BYTES: &[u8] = b"apiVersion: plimsoll.dev/v1\n";

fn journal_in(dir: &Path) -> PathBuf {
    let mut journal = Journal::create_with(dir, Box::new(crate::report::SetClock::default())).unwrap();
    journal.append(&started()).unwrap();
    journal.append(&finished()).unwrap();
    journal.finish().unwrap().path
}

fn write(dir: &Path, profile: &[u8]) -> PathBuf {
    let journal = journal_in(&dir.join("run"));
    let path = dir.join(Bundle::FILE);
    let artefacts = [Artefact { name: "alpha/web-0.log".to_owned(), content: b"line\n".to_vec() }];
    let versions = json!({"plimsoll": "0.1.0"});
    let parts = BundleParts { journal: &journal, profile, versions: &versions, artefacts: &artefacts };
    let sum = Bundle::write(&path, &parts).unwrap();
    assert_eq!(sum, hash_of(&std::fs::read(&path).unwrap()));
    path
}

fn intact() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::read(write(dir.path(), PROFILE_BYTES)).unwrap()
}

#[test]
fn the_same_parts_give_the_same_bytes_and_come_back() {
    assert_eq!(intact(), intact());
    let bundle = Bundle::from_bytes(&intact()).unwrap();
    assert_eq!(bundle.problems, Vec::<String>::new());
    assert_eq!(bundle.journal.integrity(), Integrity::Intact);
    assert_eq!(bundle.files["artefacts/alpha/web-0.log"], b"line\n");
    assert_eq!(bundle.manifest.files.len(), 4);
}

#[test]
fn other_tools_can_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), PROFILE_BYTES);
    let Ok(output) = std::process::Command::new("tar").arg("-tzf").arg(&path).output() else {
        eprintln!("no tar is installed: the bundle was not listed by it");
        return;
    };
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "MANIFEST.json\nartefacts/alpha/web-0.log\njournal.ndjson\nprofile.yaml\nversions.json\n"
    );
}

/// A bundle whose files were changed by somebody who knows its form but does not mend the manifest.
fn repacked(change: impl FnOnce(&mut Vec<u8>, &mut BTreeMap<String, Vec<u8>>)) -> Vec<String> {
    let bundle = Bundle::from_bytes(&intact()).unwrap();
    let mut manifest = serde_json::to_vec_pretty(&bundle.manifest).unwrap();
    let mut files = bundle.files;
    change(&mut manifest, &mut files);
    let bytes = compress(&pack(&manifest, &files).unwrap()).unwrap();
    Bundle::from_bytes(&bytes).unwrap().problems
}

#[test]
fn each_kind_of_tampering_is_named() {
    let changed = repacked(|_, files| {
        files.insert("artefacts/alpha/web-0.log".to_owned(), b"lime\n".to_vec());
    });
    assert_eq!(changed, ["`artefacts/alpha/web-0.log` was changed: its hash does not fit"]);
    let missing = repacked(|_, files| {
        files.remove("artefacts/alpha/web-0.log");
    });
    assert_eq!(missing, ["`artefacts/alpha/web-0.log` is missing"]);
    let added = repacked(|_, files| {
        files.insert("artefacts/new".to_owned(), Vec::new());
    });
    assert_eq!(added, ["`artefacts/new` was added: it is not listed"]);
    let another = repacked(|manifest, _| {
        let text = String::from_utf8(manifest.clone()).unwrap();
        let head = text.find("\"head\": \"").unwrap() + 9;
        manifest.splice(head..head + 12, *b"000000000000");
    });
    assert!(another[0].starts_with("the journal ends in record "), "{another:?}");
}

/// A bundle in due form, of these files.
fn packed(journal: &[u8], more: &[&str]) -> Vec<u8> {
    let mut files: BTreeMap<String, Vec<u8>> =
        [(Journal::FILE, journal), (PROFILE, PROFILE_BYTES), (VERSIONS, b"{}".as_slice())]
            .map(|(name, content)| (name.to_owned(), content.to_vec()))
            .into();
    files.extend(more.iter().map(|name| ((*name).to_owned(), Vec::new())));
    let manifest = Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        head: read_bytes(journal).head,
        files: files.iter().map(|(path, content)| entry_of(path, content)).collect(),
    };
    compress(&pack(&serde_json::to_vec_pretty(&manifest).unwrap(), &files).unwrap()).unwrap()
}

fn json_of(event: &Event) -> Value {
    serde_json::to_value(event).unwrap()
}

#[test]
fn only_files_of_a_bundle_are_in_one() {
    let journal = sealed(&[json_of(&started()), json_of(&finished())]);
    let problems = |more: &[&str]| Bundle::from_bytes(&packed(&journal, more)).unwrap().problems;
    assert_eq!(problems(&["artefacts/x"]), Vec::<String>::new());
    assert_eq!(problems(&["report.html"]), ["`report.html` does not belong into a bundle"]);
    // A name that would act on a terminal is not taken in at all.
    assert!(problems(&["artefacts/a\rb"]).iter().any(|problem| problem.ends_with("is not a plain file")));
}

#[test]
fn a_journal_without_a_start_names_no_profile() {
    let journal = sealed(&[json_of(&finished())]);
    let problems = Bundle::from_bytes(&packed(&journal, &[])).unwrap().problems;
    assert_eq!(problems, ["the journal does not begin with a start that names `profile.yaml`"]);
}

#[test]
fn another_form_is_named_and_not_judged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("b");
    let said = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        verify(&path, None).unwrap_err().to_string()
    };
    let bundle = Bundle::from_bytes(&intact()).unwrap();
    let manifest = br#"{"schema": "plimsoll.dev/bundle/v2", "root": "of another kind"}"#;
    let newer = said(&compress(&pack(manifest, &bundle.files).unwrap()).unwrap());
    assert!(newer.contains("plimsoll.dev/bundle/v2") && newer.contains(MANIFEST_SCHEMA), "{newer}");
    let mut start = json_of(&started());
    start["schema"] = "plimsoll.dev/journal/v2".into();
    let newer = said(&packed(&sealed(&[start, json_of(&finished())]), &[]));
    assert!(newer.contains("plimsoll.dev/journal/v2") && newer.contains(JOURNAL_SCHEMA), "{newer}");
}

/// A few bytes that say of themselves that they are 4 GiB.
#[test]
fn a_sparse_file_is_not_blown_up() {
    let size = format!("{:011o}\0", 1_u64 << 32);
    let mut header = tar::Header::new_gnu();
    header.set_path("artefacts/x").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    for field in [&mut gnu.sparse[0].offset, &mut gnu.realsize] {
        field.copy_from_slice(size.as_bytes());
    }
    header.set_cksum();
    let mut archive = tar::Builder::new(Vec::new());
    archive.append(&header, std::io::empty()).unwrap();
    let mut problems = Vec::new();
    let (_, files) = unpack(&archive.into_inner().unwrap(), &mut problems);
    assert!(files.is_empty());
    assert_eq!(problems, ["`artefacts/x` is not a plain file"]);
}

#[test]
fn the_bundle_beside_a_journal_counts() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), PROFILE_BYTES);
    let journal = dir.path().join("run").join(Journal::FILE);
    let both = verify_both(&journal, &bundle, None).unwrap();
    assert_eq!((both.subject, both.integrity), (Subject::Both, Integrity::Intact), "{both}");
    assert!(both.to_string().starts_with("intact: journal and bundle of run x7k2, 2 records\n"), "{both}");

    let sound = std::fs::read(&bundle).unwrap();
    let other = sealed(&[json_of(&started()), json_of(&finished())]);
    let longer = [sound.as_slice(), b"x"].concat();
    for (bytes, problem) in [
        (packed(&other, &[]), "bundle.tar.gz: its journal ends in record "),
        (longer, "bundle.tar.gz: something follows the end of the archive"),
        (std::fs::read(&journal).unwrap(), "bundle.tar.gz: it is no bundle"),
        (b"\x1f\x8bhello".to_vec(), "bundle.tar.gz: it does not decompress"),
    ] {
        std::fs::write(&bundle, bytes).unwrap();
        let both = verify_both(&journal, &bundle, None).unwrap();
        assert_eq!(both.integrity, Integrity::Broken, "{problem}");
        assert!(both.problems.last().unwrap().starts_with(problem), "{both}");
    }
}

#[test]
fn the_profile_is_the_one_that_the_journal_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), b"kind: Other\n");
    let verification = verify(&path, None).unwrap();
    assert_eq!(verification.integrity, Integrity::Broken);
    assert_eq!(verification.problems, ["`profile.yaml` is not the profile that the journal names"]);
}

#[test]
fn names_that_would_leave_the_archive_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal_in(dir.path());
    for name in ["../x", "/etc/passwd", "a//b", "", "a/./b"] {
        let artefacts = [Artefact { name: name.to_owned(), content: Vec::new() }];
        let versions = json!({});
        let parts = BundleParts {
            journal: &journal,
            profile: PROFILE_BYTES,
            versions: &versions,
            artefacts: &artefacts,
        };
        assert!(Bundle::write(&dir.path().join("b"), &parts).is_err(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// A changed byte is noticed, or it changed nothing that anybody unpacks (spare bits of the compression).
    #[test]
    fn any_changed_byte_is_noticed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(intact);
        let mut bytes = BYTES.clone();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(bundle) = Bundle::from_bytes(&bytes) {
            let original = Bundle::from_bytes(&BYTES).unwrap();
            prop_assert!(!bundle.problems.is_empty() || bundle.files == original.files, "byte {}", at);
        }
    }

    #[test]
    fn any_cut_or_addition_is_noticed(at in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 1..20)) {
        static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(intact);
        let cut = &BYTES[..at.index(BYTES.len())];
        prop_assert!(Bundle::from_bytes(cut).map_or(true, |bundle| !bundle.problems.is_empty()));
        let longer = [BYTES.as_slice(), &more].concat();
        prop_assert!(Bundle::from_bytes(&longer).map_or(true, |bundle| !bundle.problems.is_empty()));
    }
}
