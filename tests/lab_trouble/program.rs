//! The program in a process of its own, watched line by line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use plimsoll::cluster::{self, Cluster, ConnectOptions, Target};
use plimsoll::profile;
use tokio::sync::{Mutex, MutexGuard};

/// Generous: the machine may be busy.
pub const SOON: Duration = Duration::from_secs(240);

pub fn lab() -> String {
    std::env::var("PLIMSOLL_TEST_LAB").unwrap_or_else(|_| "test".to_owned())
}

/// What one of these tests does to the lab, the others would notice: one at a time, and what one leaves when it fails
/// is removed before the next.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    let alone = ALONE.lock().await;
    let (code, _, stderr) = plimsoll(&["cleanup", "--all"]);
    assert_eq!(code, 0, "{stderr}");
    alone
}

pub async fn connect() -> Cluster {
    let platform = profile::load_lab().expect("the lab's profile").platform;
    let options = ConnectOptions { mutating: true, ci: true, request_timeout: None, impersonate: None };
    cluster::connect(&Target::Lab { name: lab() }, &platform, &options).await.expect("the lab is up")
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(arguments).arg("--cluster").arg(format!("lab:{}", lab()));
    command
}

/// Runs to its end.
pub fn plimsoll(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command(arguments).output().expect("it can be started");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A process whose stderr is read while it goes.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    pub fn spawn(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it can be started");
        let stderr = child.stderr.take().expect("it has a stderr");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds these words.
    pub fn says(&mut self, words: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.contains(words);
                    self.seen.push(line);
                    if found {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no `{words}` in time: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without `{words}`: {:#?}", self.seen),
            }
        }
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill is there");
        assert!(sent.success(), "the signal {name} to {id}");
    }

    /// SIGKILL: nothing of it runs afterwards.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// Waits for its end: the exit code and everything that it said.
    pub fn ends(mut self) -> (i32, String) {
        let deadline = Instant::now() + SOON;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {:#?}", self.seen);
            // No wait with a deadline is offered for children.
            std::thread::sleep(Duration::from_millis(50));
        };
        self.seen.extend(self.lines.iter());
        (status.code().unwrap_or(-1), self.seen.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
