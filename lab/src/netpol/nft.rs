//! Hands rulesets to the kernel, each as one transaction.

use std::path::PathBuf;
use std::process::Stdio;

use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Ruleset;

/// The `nft` program, working on the network namespace of this process.
#[derive(Debug, Clone)]
pub struct Nft {
    program: PathBuf,
}

/// A ruleset did not go in; the one before it is still in force.
#[derive(Debug, Error)]
pub enum NftError {
    /// The program does not run.
    #[error("run {program}")]
    Run {
        /// As configured.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program refused the ruleset.
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
}

impl Nft {
    /// By path, or by name to be found in PATH.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Replaces the whole table by this ruleset: all of it, or nothing of it.
    pub async fn apply(&self, ruleset: &Ruleset) -> Result<(), NftError> {
        self.feed(&["-f", "-"], &ruleset.to_string()).await
    }

    /// Has the program read the ruleset without putting it in force.
    pub async fn check(&self, ruleset: &Ruleset) -> Result<(), NftError> {
        self.feed(&["-c", "-f", "-"], &ruleset.to_string()).await
    }

    async fn feed(&self, arguments: &[&str], text: &str) -> Result<(), NftError> {
        let run = |source| NftError::Run { program: self.program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(run)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It reads everything before it writes anything, so writing first cannot block for ever. A broken
            // pipe means that it gave up; its own words say why.
            match stdin.write_all(text.as_bytes()).await {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(run(error)),
                _ => {}
            }
        }
        let output = child.wait_with_output().await.map_err(run)?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        Err(NftError::Refused(words.lines().take(6).collect::<Vec<_>>().join("; ")))
    }
}
