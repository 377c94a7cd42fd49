//! The program from outside: arguments in, streams and exit code out.

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod exit_codes;
mod help;
mod offline;
mod sabotage;
mod streams;

use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// The program in an empty directory of its own, with nothing of the machine's settings.
struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("make a directory") }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("make the directory");
        std::fs::write(&path, text).expect("write the file");
        path.display().to_string()
    }

    fn plimsoll(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(arguments).current_dir(self.path()).env_clear().env("HOME", self.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }
}

/// Runs the program and gives exit code, stdout and stderr.
fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().expect("start the program");
    (
        output.status.code().expect("it ends by itself"),
        String::from_utf8(output.stdout).expect("stdout is text"),
        String::from_utf8(output.stderr).expect("stderr is text"),
    )
}
