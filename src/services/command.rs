//! Programs of the profile that answer on stdout.

use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, ChildStdout, Command};

use crate::profile::{ProgramCall, Timespan};

/// The program that stands for this one.
const OWN: &str = "@plimsoll";

/// How many of the last lines of stderr are told.
const TAIL: usize = 10;

/// A program did not do what it is there for. What it wrote to stdout is never told: it may be a token.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("`{program}` could not be started: {source}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("`{program}` did not end within {within}")]
    Slow {
        /// Its name.
        program: String,
        /// The timeout of the profile.
        within: Timespan,
    },
    /// It failed.
    #[error("`{program}` ended with {status}: {said}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last lines that it wrote to stderr.
        said: String,
    },
    /// Its answer is not what was asked for.
    #[error("the answer of `{program}` is not {what}: {why}")]
    Answer {
        /// Its name.
        program: String,
        /// `a token`.
        what: &'static str,
        /// What is wrong with it, without what it says.
        why: String,
    },
}

/// What every program of the profile gets to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The directory that it is run in.
    pub(super) directory: &'a Path,
    /// The kubeconfig of the cluster; empty where there is none.
    pub(super) kubeconfig: &'a str,
}

/// Runs a program with its placeholders filled in, and gives what it writes to stdout.
pub(super) async fn answer(
    call: &ProgramCall,
    values: &[(&str, &str)],
    around: Surroundings<'_>,
) -> Result<String, CommandError> {
    let mut text = String::new();
    lines(call, values, around, |line| text.push_str(line)).await?;
    Ok(text)
}

/// Runs a program with its placeholders filled in, and shows each line that it writes to stdout as it comes, its end
/// included. What comes of them counts only if the program ends well.
pub(super) async fn lines(
    call: &ProgramCall,
    values: &[(&str, &str)],
    around: Surroundings<'_>,
    show: impl FnMut(&str),
) -> Result<(), CommandError> {
    let words: Vec<String> = call.command.iter().map(|word| filled(word, values)).collect();
    let (name, arguments) = words.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let program = name.to_owned();
    let start = |source| CommandError::Start { program: program.clone(), source };
    let file = if name == OWN { std::env::current_exe().map_err(start)? } else { name.into() };
    let mut command = Command::new(file);
    command.args(arguments).current_dir(around.directory).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !around.kubeconfig.is_empty() {
        command.env("KUBECONFIG", around.kubeconfig);
    }
    let mut child = command.spawn().map_err(start)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let told = async { tokio::join!(read_lines(stdout, show), read_all(stderr), child.wait()) };
    let (read, said, status) = match tokio::time::timeout(call.timeout.get(), told).await {
        Err(_) => return Err(CommandError::Slow { program, within: call.timeout }),
        Ok((read, said, status)) => (read, said.map_err(start)?, status.map_err(start)?),
    };
    if status.success() {
        return read.map_err(|error| CommandError::Answer { program, what: "text", why: error.to_string() });
    }
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let said = lines[lines.len().saturating_sub(TAIL)..].join("; ");
    Err(CommandError::Failed { program, status, said })
}

/// Reads to the end whatever is wrong with a line on the way: a program whose reader is gone would fail for that.
async fn read_lines(stdout: Option<ChildStdout>, mut show: impl FnMut(&str)) -> io::Result<()> {
    let Some(stdout) = stdout else { return Ok(()) };
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    let (mut line, mut all) = (Vec::new(), Ok(()));
    while stdout.read_until(b'\n', &mut line).await? > 0 {
        match std::str::from_utf8(&line) {
            Ok(text) => show(text),
            Err(_) => all = Err(io::Error::other("it is not UTF-8")),
        }
        line.clear();
    }
    all
}

async fn read_all(stderr: Option<ChildStderr>) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(mut stderr) = stderr {
        stderr.read_to_end(&mut said).await?;
    }
    Ok(said)
}

/// Fills in placeholders, each once: a value that looks like a placeholder stays as it is.
fn filled(word: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value, after))
        });
        if let Some((value, after)) = known {
            text.push_str(value);
            rest = after;
        } else {
            text.push_str("${");
            rest = after;
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_once() {
        let values = [("user", "${groups}"), ("groups", "a,b")];
        assert_eq!(filled("--user=${user}", &values), "--user=${groups}");
        assert_eq!(filled("${groups}/${groups}", &values), "a,b/a,b");
        assert_eq!(filled("${none} ${ $", &values), "${none} ${ $");
    }

    fn call(words: &[&str]) -> ProgramCall {
        ProgramCall {
            command: words.iter().map(ToString::to_string).collect(),
            timeout: Timespan::from_secs(5),
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_without_what_was_answered() {
        let around = Surroundings { directory: Path::new("/"), kubeconfig: "" };
        let said =
            answer(&call(&["sh", "-c", "echo $0 ${user}", "hello"]), &[("user", "alice")], around).await;
        assert_eq!(said.unwrap(), "hello alice\n");
        let failed = answer(&call(&["sh", "-c", "echo secret; echo no luck >&2; exit 3"]), &[], around).await;
        insta::assert_snapshot!(failed.unwrap_err(), @"`sh` ended with exit status: 3: no luck");
        let missing = answer(&call(&["/no/such/program"]), &[], around).await;
        assert!(matches!(missing, Err(CommandError::Start { .. })));
        let binary = answer(&call(&["printf", "a\\n\\377\\nb"]), &[], around).await;
        insta::assert_snapshot!(binary.unwrap_err(), @"the answer of `printf` is not text: it is not UTF-8");
        let slow = ProgramCall { timeout: Timespan::from_millis(50), ..call(&["sleep", "60"]) };
        assert!(matches!(answer(&slow, &[], around).await, Err(CommandError::Slow { .. })));
    }
}
