//! Programs of the profile that answer on stdout.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

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
        source: std::io::Error,
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
    let words: Vec<String> = call.command.iter().map(|word| filled(word, values)).collect();
    let (name, arguments) = words.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
    let program = name.to_owned();
    let start = |source| CommandError::Start { program: program.clone(), source };
    let file = if name == OWN { std::env::current_exe().map_err(start)? } else { name.into() };
    let mut command = Command::new(file);
    command.args(arguments).current_dir(around.directory).stdin(Stdio::null()).kill_on_drop(true);
    if !around.kubeconfig.is_empty() {
        command.env("KUBECONFIG", around.kubeconfig);
    }
    let output = match tokio::time::timeout(call.timeout.get(), command.output()).await {
        Err(_) => return Err(CommandError::Slow { program, within: call.timeout }),
        Ok(output) => output.map_err(start)?,
    };
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| CommandError::Answer {
            program,
            what: "text",
            why: "it is not UTF-8".to_owned(),
        });
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let said = lines[lines.len().saturating_sub(TAIL)..].join("; ");
    Err(CommandError::Failed { program, status: output.status, said })
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
        let slow = ProgramCall { timeout: Timespan::from_millis(50), ..call(&["sleep", "60"]) };
        assert!(matches!(answer(&slow, &[], around).await, Err(CommandError::Slow { .. })));
    }
}
