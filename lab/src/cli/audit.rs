//! Shows the audit log.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::arguments::AuditArgs;
use super::token::which;
use crate::error::{Context as _, LabError, Result};

/// How much is read at a time, from the end.
const BLOCK: u64 = 256 * 1024;

/// Prints it, all that is kept or from a time on.
pub(super) fn run(arguments: &AuditArgs) -> Result<()> {
    let lab = which(&arguments.which)?;
    let path = lab.audit_log();
    if !path.exists() {
        return Err(LabError::NotRunning(lab.name().to_owned()));
    }
    let printed = print(&path, arguments.since.as_deref(), &mut io::stdout().lock());
    match printed {
        // Whoever has read enough goes away.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context(|| format!("reading {}", path.display())),
    }
}

/// Copies the log from about that time on. It may be larger than the memory.
fn print(path: &Path, since: Option<&str>, to: &mut impl io::Write) -> io::Result<()> {
    let mut files = open(path)?;
    // In the order of time, near enough, and only the end is wanted: back to where that begins, file by file.
    let (mut first, mut begin) = (0, 0);
    if let Some(since) = since {
        for (at, file) in files.iter_mut().enumerate().rev() {
            first = at;
            begin = beginning(file, since)?;
            if begin > 0 {
                break;
            }
        }
    }
    let last = files.len().saturating_sub(1);
    for (at, file) in files.iter_mut().enumerate().skip(first) {
        let end = if at == last { whole(file)? } else { file.metadata()?.len() };
        let from = if at == first { begin } else { 0 };
        file.seek(SeekFrom::Start(from))?;
        let mut text = BufReader::new(file.take(end.saturating_sub(from)));
        if from > 0 {
            // What is read from the middle on begins within a line.
            text.read_until(b'\n', &mut Vec::new())?;
        }
        io::copy(&mut text, to)?;
    }
    to.flush()
}

/// The files of the log, the oldest first: the API server puts a full one aside under its name with the time.
fn open(path: &Path) -> io::Result<Vec<File>> {
    // First, so that it is not lost when it is put aside just now; it may then be met again.
    let newest = File::open(path)?;
    let known = newest.metadata()?.ino();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned() + "-";
    let mut aside = Vec::new();
    for entry in path.parent().unwrap_or(path).read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&stem) && name.ends_with(".log") {
            aside.push(path);
        }
    }
    aside.sort();
    let mut files = Vec::new();
    for path in aside {
        match File::open(path) {
            Ok(file) if file.metadata()?.ino() != known => files.push(file),
            Ok(_) => {}
            // The oldest are removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.push(newest);
    Ok(files)
}

/// Where in a file to begin in order to have everything from that time on; 0 if it begins later.
fn beginning(file: &mut File, since: &str) -> io::Result<u64> {
    let mut begin = file.metadata()?.len();
    while begin > 0 {
        let end = begin;
        begin = begin.saturating_sub(BLOCK);
        if reaches_before(&read(file, begin, end)?, since) {
            break;
        }
    }
    Ok(begin)
}

/// Where a file's last line ends: what is being written just now has no end yet.
fn whole(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        if let Some(at) = read(file, begin, end)?.iter().rposition(|&byte| byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn read(file: &mut File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the earliest line that is whole is of an earlier time. Times of this form are in order as texts are.
fn reaches_before(text: &[u8], since: &str) -> bool {
    let text = String::from_utf8_lossy(text);
    let second = |time: &str| time.get(..19).map(str::to_owned);
    let received = |line: &str| {
        let (_, after) = line.split_once("\"stageTimestamp\":\"")?;
        second(after)
    };
    match (text.lines().skip(1).find_map(received), second(since)) {
        (Some(first), Some(since)) => first < since,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_begins_earlier_reaches_far_enough() {
        let text = b"half a line\n{\"stageTimestamp\":\"2026-11-24T10:00:05.1Z\"}\n{\"stageTimestamp\":\"2026-11-24T10:00:09Z\"}\n";
        assert!(reaches_before(text, "2026-11-24T10:00:06.5Z"));
        assert!(!reaches_before(text, "2026-11-24T10:00:05.9Z"));
        assert!(!reaches_before(b"", "2026-11-24T10:00:05Z"));
    }

    fn line(second: usize) -> String {
        let (minute, second) = (second / 60, second % 60);
        format!(
            "{{\"stageTimestamp\":\"2026-11-24T10:{minute:02}:{second:02}.5Z\",\"x\":\"{}\"}}\n",
            "x".repeat(1_000)
        )
    }

    fn printed(path: &Path, since: Option<&str>) -> String {
        let mut to = Vec::new();
        print(path, since, &mut to).unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_log_that_was_put_aside_is_still_part_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let lines: Vec<String> = (0..3_000).map(line).collect();
        std::fs::write(directory.path().join("audit-2026-11-24T10-00-01.log"), lines[..1_000].concat())
            .unwrap();
        std::fs::write(directory.path().join("audit-2026-11-24T10-00-02.log"), lines[1_000..2_000].concat())
            .unwrap();
        std::fs::write(&path, lines[2_000..].concat() + "{\"being written").unwrap();
        std::fs::write(directory.path().join("other.log"), "not of it\n").unwrap();
        assert_eq!(printed(&path, None), lines.concat());
        for from in [0, 1, 900, 1_000, 1_500, 1_999, 2_000, 2_999] {
            let since = format!("2026-11-24T10:{:02}:{:02}Z", from / 60, from % 60);
            let text = printed(&path, Some(&since));
            assert!(lines.concat().ends_with(&text), "from {since}: whole lines up to the last");
            let spare = text.len() / lines[0].len() - (3_000 - from);
            assert!(spare <= 2 * 256, "from {since}: {spare} lines more than were asked for");
        }
    }
}
