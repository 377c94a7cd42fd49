//! Shows the audit log.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use super::arguments::AuditArgs;
use super::run::print;
use super::token::which;
use crate::error::{Context as _, LabError, Result};

/// How much is read at a time, from the end.
const BLOCK: u64 = 256 * 1024;

/// Prints it, by itself or from a time on.
pub(super) fn run(arguments: &AuditArgs) -> Result<()> {
    let lab = which(&arguments.which)?;
    let path = lab.audit_log();
    if !path.exists() {
        return Err(LabError::NotRunning(lab.name().to_owned()));
    }
    let what = || format!("reading {}", path.display());
    let mut file = File::open(&path).context(what)?;
    let length = file.metadata().context(what)?.len();
    let mut read = |from: u64, to: u64| -> Result<String> {
        file.seek(SeekFrom::Start(from)).context(what)?;
        let mut bytes = Vec::new();
        (&mut file).take(to - from).read_to_end(&mut bytes).context(what)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    // The log is in the order of time, near enough, and only its end is wanted: block by block back to where that begins.
    let mut begin = if arguments.since.is_some() { length } else { 0 };
    while let Some(since) = arguments.since.as_deref().filter(|_| begin > 0) {
        let end = begin;
        begin = begin.saturating_sub(BLOCK);
        if reaches_before(&read(begin, end)?, since) {
            break;
        }
    }
    let text = read(begin, length)?;
    // What is being written just now ends without a line break, and what was read from the middle begins in one.
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let whole = if begin > 0 { whole.split_once('\n').map_or("", |(_, rest)| rest) } else { whole };
    print(whole)
}

/// Whether the earliest line that is whole is of an earlier time. Times of this form are in order as texts are.
fn reaches_before(text: &str, since: &str) -> bool {
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
        let text = "half a line\n{\"stageTimestamp\":\"2026-11-24T10:00:05.1Z\"}\n{\"stageTimestamp\":\"2026-11-24T10:00:09Z\"}\n";
        assert!(reaches_before(text, "2026-11-24T10:00:06.5Z"));
        assert!(!reaches_before(text, "2026-11-24T10:00:05.9Z"));
        assert!(!reaches_before("", "2026-11-24T10:00:05Z"));
    }
}
