//! Files of volumes that are mounted into the pod: written, and looked through byte by byte.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::protocol::Found;

/// More than this is not read: whoever searches a volume that large must know that it was not all.
const MOST_BYTES: u64 = 256 << 20;

/// More names than this are not told.
const MOST_NAMES: usize = 20;

/// Writes a file whole, and returns once it is on disk.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = File::create(path).map_err(named)?;
    file.write_all(text.as_bytes()).map_err(named)?;
    file.sync_all().map_err(named)
}

/// Looks for a text in every file below a directory.
pub(super) fn search(directory: &Path, text: &str) -> io::Result<Found> {
    let mut found = Found { complete: true, ..Found::default() };
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
        for entry in fs::read_dir(&directory).map_err(named)? {
            let entry = entry.map_err(named)?;
            let kind = entry.file_type().map_err(named)?;
            if kind.is_dir() {
                open.push(entry.path());
                continue;
            }
            found.files += 1;
            // A link would lead elsewhere, a pipe nowhere; that it is there is told.
            let holds = kind.is_file() && holds(&entry.path(), text.as_bytes(), &mut found)?;
            note(&mut found.names, &entry.path());
            if holds {
                note(&mut found.holding, &entry.path());
            }
        }
    }
    Ok(found)
}

fn note(names: &mut Vec<String>, path: &Path) {
    if names.len() < MOST_NAMES {
        names.push(path.display().to_string());
    }
}

/// Whether a file holds the bytes, also across the borders of what is read at once.
fn holds(path: &PathBuf, wanted: &[u8], found: &mut Found) -> io::Result<bool> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(named)?;
    let (mut window, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        if found.bytes >= MOST_BYTES {
            found.complete = false;
            return Ok(false);
        }
        let count = file.read(&mut chunk).map_err(named)?;
        if count == 0 {
            return Ok(false);
        }
        found.bytes += count as u64;
        window.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if window.windows(wanted.len().max(1)).any(|part| part == wanted) {
            return Ok(true);
        }
        let keep = window.len().saturating_sub(wanted.len().saturating_sub(1));
        window.drain(..keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_found_wherever_it_lies() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        assert_eq!(search(directory.path(), "mark").unwrap(), Found { complete: true, ..Found::default() });
        fs::create_dir(at("deep")).unwrap();
        write(&at("deep/a"), &format!("{}mark", "x".repeat((64 << 10) - 2))).unwrap();
        write(&at("b"), "nothing").unwrap();
        let found = search(directory.path(), "mark").unwrap();
        assert_eq!((found.files, found.complete), (2, true));
        assert_eq!(found.holding, [at("deep/a").display().to_string()]);
        assert!(search(&at("none"), "mark").unwrap_err().to_string().contains("none"));
        assert!(write(&at("none/a"), "x").is_err());
    }
}
