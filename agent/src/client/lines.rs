//! Bounded lines on the standard streams, each on a thread of its own: pipes, terminals and files all work.

use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc;
use std::thread;

use tokio::sync::mpsc as asynchronous;

use crate::protocol::{MAX_LINE, Reply};

/// A line of the input, or why it is none.
pub(super) type Line = Result<Vec<u8>, String>;

/// Reads lines until the input ends, then closes the channel.
pub(super) fn read(mut input: impl BufRead + Send + 'static) -> asynchronous::UnboundedReceiver<Line> {
    let (sender, receiver) = asynchronous::unbounded_channel();
    thread::spawn(move || {
        while let Ok(Some(line)) = next_line(&mut input, MAX_LINE) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The next line without its end; a line beyond `longest` is skipped and reported. `None` is the end of the input.
fn next_line(input: &mut impl BufRead, longest: usize) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    if input.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(Ok(line)));
    }
    if line.len() <= longest {
        return Ok(Some(Ok(line)));
    }
    drop(line);
    skip_line(input)?;
    Ok(Some(Err(format!("a line is longer than {longest} bytes"))))
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (length, found) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(length);
        if found {
            return Ok(());
        }
    }
}

/// Writes replies as they come, those that were said together in one piece: each piece costs three programs on its way
/// through the cluster as much as a probe. Ends when all senders are gone or nobody reads.
pub(super) fn write(
    mut output: impl Write + Send + 'static,
) -> (mpsc::Sender<Vec<Reply>>, thread::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel::<Vec<Reply>>();
    let thread = thread::spawn(move || {
        let mut text = Vec::new();
        while let Ok(first) = receiver.recv() {
            text.clear();
            for reply in std::iter::once(first).chain(receiver.try_iter()).flatten() {
                // Replies are plain data: they always serialise.
                if serde_json::to_writer(&mut text, &reply).is_ok() {
                    text.push(b'\n');
                }
            }
            if output.write_all(&text).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
    });
    (sender, thread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut input: &[u8], longest: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, longest).unwrap() {
            lines.push(line);
        }
        lines
    }

    #[test]
    fn a_long_line_costs_only_itself() {
        let lines = all(b"ab\nabcdef\ncd", 4);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].as_deref(), Ok(&b"ab"[..]));
        assert!(lines[1].is_err());
        assert_eq!(lines[2].as_deref(), Ok(&b"cd"[..]));
    }

    proptest! {
        #[test]
        fn short_lines_come_through_and_long_ones_are_told(lines in prop::collection::vec("[a-z]{0,8}", 0..20)) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let read = all(text.as_bytes(), 5);
            prop_assert_eq!(read.len(), lines.len());
            for (read, line) in read.iter().zip(&lines) {
                prop_assert_eq!(read.is_ok(), line.len() <= 5);
            }
        }
    }
}
