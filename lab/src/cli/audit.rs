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
    let mut begin = length;
    let mut text = String::new();
    // The log is in the order of time, near enough, and only its end is wanted.
    while begin > 0 && arguments.since.as_deref().is_none_or(|since| !reaches_before(&text, since)) {
        begin = begin.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin)).context(what)?;
        let mut bytes = Vec::new();
        (&mut file).take(length - begin).read_to_end(&mut bytes).context(what)?;
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
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
