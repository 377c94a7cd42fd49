//! A whole run in one file: the same parts give the same bytes, whenever and wherever they are packed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chain::{JOURNAL_SCHEMA, hash_of};
use super::error::EvidenceError;
use super::journal::Journal;
use super::read::{Problem, ProblemKind, ReadJournal, load, read_bytes};
use crate::engine::Event;
use crate::report::shown;

/// Version of the form of a bundle.
pub const MANIFEST_SCHEMA: &str = "plimsoll.dev/bundle/v1";

const MANIFEST: &str = "MANIFEST.json";
const PROFILE: &str = "profile.yaml";
const VERSIONS: &str = "versions.json";
const ARTEFACTS: &str = "artefacts/";

/// More than this is not unpacked: a bundle that claims it is an attack on the disk of its reader.
const MOST_BYTES: u64 = 2 << 30;

/// A file that goes into a bundle as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// Its name below `artefacts/`: `alpha/web-0.log`.
    pub name: String,
    /// Its content. Redaction is the business of who made it.
    pub content: Vec<u8>,
}

/// What a bundle is made of.
#[derive(Clone, Debug)]
pub struct BundleParts<'a> {
    /// The journal's file.
    pub journal: &'a Path,
    /// The profile's bytes, as they were hashed into the journal.
    pub profile: &'a [u8],
    /// Versions of the program, the cluster and its parts.
    pub versions: &'a Value,
    /// Whatever else was collected.
    pub artefacts: &'a [Artefact],
}

/// A file of the bundle, as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Its path in the archive.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// The table of contents: the first file of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// Hash of the journal's last record.
    pub head: String,
    /// Every other file of the archive, sorted by path.
    pub files: Vec<ManifestEntry>,
}

/// A bundle as read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Its table of contents.
    pub manifest: Manifest,
    /// Its journal.
    pub journal: ReadJournal,
    /// The content of each file but the manifest, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is wrong with the archive itself; the journal has its own problems.
    pub problems: Vec<String>,
}

impl Bundle {
    /// The usual name, inside the directory of a run.
    pub const FILE: &'static str = "bundle.tar.gz";

    /// Packs `parts` into `path`, whole or not at all, and returns the SHA-256 of the file.
    pub fn write(path: &Path, parts: &BundleParts<'_>) -> Result<String, EvidenceError> {
        let journal = std::fs::read(parts.journal).map_err(EvidenceError::io("read", parts.journal))?;
        let head = read_bytes(&journal).head;
        let mut files = BTreeMap::new();
        files.insert(Journal::FILE.to_owned(), journal);
        files.insert(PROFILE.to_owned(), parts.profile.to_vec());
        files.insert(VERSIONS.to_owned(), serde_json::to_vec_pretty(parts.versions)?);
        for artefact in parts.artefacts {
            files.insert(format!("{ARTEFACTS}{}", artefact.name), artefact.content.clone());
        }
        if let Some(bad) = files.keys().find(|name| !is_plain(name)) {
            return Err(EvidenceError::Foreign {
                path: PathBuf::from(bad),
                what: "its name does not fit into an archive".to_owned(),
            });
        }
        let manifest = Manifest {
            schema: MANIFEST_SCHEMA.to_owned(),
            head,
            files: files.iter().map(|(path, content)| entry_of(path, content)).collect(),
        };
        let archive = pack(&serde_json::to_vec_pretty(&manifest)?, &files)
            .and_then(|tar| compress(&tar))
            .map_err(EvidenceError::io("pack", path))?;
        crate::report::write_atomically(path, &archive).map_err(EvidenceError::io("write", path))?;
        Ok(hash_of(&archive))
    }

    /// Reads and checks a bundle. Only what cannot be read as one at all is an error.
    pub fn read(path: &Path) -> Result<Self, EvidenceError> {
        Self::read_loaded(path, &load(path)?.0)
    }

    /// As [`Bundle::read`], of bytes that were loaded from `path`.
    pub fn read_loaded(path: &Path, bytes: &[u8]) -> Result<Self, EvidenceError> {
        Self::from_bytes(bytes).map_err(|unread| match unread {
            Unread::Foreign(what) => EvidenceError::Foreign { path: path.to_owned(), what },
            Unread::Schema { found, known } => {
                EvidenceError::Schema { path: path.to_owned(), found: shown(&found), known }
            }
        })
    }

    /// Whether these bytes begin as a bundle does: what a file is shows its content, not its name.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&[0x1f, 0x8b])
    }

    /// Its journal, with the problems of the archive before its own: whoever shows one shows the other.
    pub fn into_journal(self) -> ReadJournal {
        let of_archive = self.problems.into_iter().map(|message| Problem {
            line: None,
            kind: ProblemKind::Archive,
            message,
        });
        let mut journal = self.journal;
        journal.problems.splice(0..0, of_archive);
        journal
    }

    /// As [`Bundle::read`], from memory.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Unread> {
        let mut problems = Vec::new();
        let mut tar = Vec::new();
        let mut decoder = GzDecoder::new(bytes).take(MOST_BYTES);
        let read = decoder.read_to_end(&mut tar);
        if bytes.get(3..8) != Some(&[0; 5]) {
            problems.push("the archive is not in the form in which it was written".to_owned());
        }
        if let Err(error) = read {
            if tar.is_empty() {
                return Err(Unread::Foreign(format!("it does not decompress ({error})")));
            }
            problems.push(format!("the archive is damaged: {error}"));
        } else if !decoder.into_inner().into_inner().is_empty() {
            problems.push("something follows the end of the archive".to_owned());
        }
        if tar.len() as u64 == MOST_BYTES {
            return Err(Unread::Foreign(format!("it unpacks to more than {} GiB", MOST_BYTES >> 30)));
        }
        let (order, mut files) = unpack(&tar, &mut problems);
        let raw = files.remove(MANIFEST).ok_or_else(|| Unread::Foreign(format!("it has no {MANIFEST}")))?;
        let manifest = read_manifest(&raw)?;

        check_manifest(&manifest, &files, &mut problems);
        // Names, order, owners, times and padding: all that the manifest does not cover is fixed.
        if problems.is_empty() {
            let canonical = pack(&raw, &files).map_err(|error| Unread::Foreign(error.to_string()))?;
            if order.first().map(String::as_str) != Some(MANIFEST) || canonical != tar {
                problems.push("the archive is not in the form in which it was written".to_owned());
            }
        }
        let journal = files.get(Journal::FILE).map_or_else(|| read_bytes(&[]), |bytes| read_bytes(bytes));
        if let Some(found) = journal.foreign_schema {
            return Err(Unread::Schema { found, known: JOURNAL_SCHEMA });
        }
        if journal.head != manifest.head {
            problems.push(format!(
                "the journal ends in record {}, {MANIFEST} says {}",
                short(&journal.head),
                short(&manifest.head)
            ));
        }
        check_profile(&journal, &files, &mut problems);
        Ok(Self { manifest, journal, files, problems })
    }
}

/// Why bytes could not be read as a bundle.
#[derive(Debug)]
enum Unread {
    /// They are none.
    Foreign(String),
    /// They are one of another form.
    Schema { found: String, known: &'static str },
}

/// The table of contents. One of another form is told before its members are, which may be others.
fn read_manifest(raw: &[u8]) -> Result<Manifest, Unread> {
    let not_one = |error| Unread::Foreign(format!("its {MANIFEST} is not one ({error})"));
    let value: Value = serde_json::from_slice(raw).map_err(not_one)?;
    match value.get("schema").and_then(Value::as_str) {
        Some(found) if found != MANIFEST_SCHEMA => {
            Err(Unread::Schema { found: found.to_owned(), known: MANIFEST_SCHEMA })
        }
        // From the bytes again, as a member that stands there twice is lost in a value.
        _ => serde_json::from_slice(raw).map_err(not_one),
    }
}

/// Every file is listed once with its true size and hash, and nothing listed is missing.
fn check_manifest(manifest: &Manifest, files: &BTreeMap<String, Vec<u8>>, problems: &mut Vec<String>) {
    let mut listed = BTreeSet::new();
    for entry in &manifest.files {
        if !listed.insert(entry.path.as_str()) {
            problems.push(format!("`{}` is listed twice", entry.path));
        }
        match files.get(&entry.path) {
            None => problems.push(format!("`{}` is missing", entry.path)),
            Some(content) if entry_of(&entry.path, content) != *entry => {
                problems.push(format!("`{}` was changed: its hash does not fit", entry.path));
            }
            Some(_) => {}
        }
    }
    for path in files.keys().filter(|path| !listed.contains(path.as_str())) {
        problems.push(format!("`{path}` was added: it is not listed"));
    }
    for path in files.keys().filter(|path| !is_of_bundle(path)) {
        problems.push(format!("`{path}` does not belong into a bundle"));
    }
    for needed in [Journal::FILE, PROFILE, VERSIONS] {
        if !files.contains_key(needed) && !listed.contains(needed) {
            problems.push(format!("`{needed}` is missing"));
        }
    }
}

/// The journal names the profile by its hash.
fn check_profile(journal: &ReadJournal, files: &BTreeMap<String, Vec<u8>>, problems: &mut Vec<String>) {
    let Some(Event::RunStarted { profile_sha256, .. }) = journal.records.first().map(|r| &r.event) else {
        problems.push(format!("the journal does not begin with a start that names `{PROFILE}`"));
        return;
    };
    if let Some(profile) = files.get(PROFILE)
        && hash_of(profile) != *profile_sha256
    {
        problems.push(format!("`{PROFILE}` is not the profile that the journal names"));
    }
}

fn entry_of(path: &str, content: &[u8]) -> ManifestEntry {
    ManifestEntry { path: path.to_owned(), bytes: content.len() as u64, sha256: hash_of(content) }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Relative, without `..`, and short enough for a plain header (longer names need extensions that vary).
fn is_plain(name: &str) -> bool {
    name.len() < 100
        // Also no control characters, which would act on the terminal that the name is shown on.
        && name.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// The files that a bundle may hold beside its table of contents.
fn is_of_bundle(name: &str) -> bool {
    [Journal::FILE, PROFILE, VERSIONS].contains(&name) || name.starts_with(ARTEFACTS)
}

fn pack(manifest: &[u8], files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let all = std::iter::once((MANIFEST, manifest))
        .chain(files.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
    for (path, content) in all {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)?;
    }
    archive.into_inner()
}

fn compress(tar: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    encoder.write_all(tar)?;
    encoder.finish()
}

/// The files of an archive and their order; whatever is not a plain file is a problem.
fn unpack(tar: &[u8], problems: &mut Vec<String>) -> (Vec<String>, BTreeMap<String, Vec<u8>>) {
    let mut order = Vec::new();
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(Cursor::new(tar));
    // As they stand there: an entry that describes another one (a long name, an extension) is no plain file.
    let entries = match archive.entries() {
        Ok(entries) => entries.raw(true),
        Err(error) => {
            problems.push(format!("the archive is damaged: {error}"));
            return (order, files);
        }
    };
    for entry in entries {
        let read = entry.and_then(|mut entry| {
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let regular = entry.header().entry_type() == tar::EntryType::Regular;
            let mut content = Vec::new();
            // Others are not read: a sparse one would be of any size that it says.
            if regular {
                (&mut entry).take(tar.len() as u64).read_to_end(&mut content)?;
            }
            Ok((path, regular, content))
        });
        match read {
            Err(error) => {
                problems.push(format!("the archive is damaged: {error}"));
                break;
            }
            Ok((path, regular, _)) if !regular || !is_plain(&path) => {
                problems.push(format!("`{path}` is not a plain file"));
            }
            Ok((path, _, content)) => {
                if files.insert(path.clone(), content).is_some() {
                    problems.push(format!("`{path}` is there twice"));
                }
                order.push(path);
            }
        }
    }
    (order, files)
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
