//! Help, manual, completion, version. The text of every help is compared in `docs/reference/commands.md`.

use crate::{Sandbox, run};

/// The commands, by the program's own help.
fn commands(sandbox: &Sandbox) -> Vec<String> {
    let (_, help, _) = run(&mut sandbox.plimsoll(&["-h"]));
    let list =
        help.split("Commands:\n").nth(1).expect("there are commands").split("\n\n").next().expect("one list");
    list.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect()
}

#[test]
fn every_command_has_help_of_80_columns_on_stdout() {
    let sandbox = Sandbox::new();
    let commands = commands(&sandbox);
    for expected in
        ["run", "plan", "list", "lint", "explain", "doctor", "report", "verify", "cleanup", "schema"]
    {
        assert!(commands.iter().any(|command| command == expected), "{expected} is missing in {commands:?}");
    }
    for command in commands {
        for flag in ["-h", "--help"] {
            let (code, stdout, stderr) = run(&mut sandbox.plimsoll(&[&command, flag]));
            assert_eq!((code, stderr.as_str()), (0, ""), "{command} {flag}");
            for line in stdout.lines() {
                assert!(line.chars().count() <= 80, "{command} {flag} is too wide: {line}");
            }
        }
    }
}

#[test]
fn without_arguments_there_is_help_on_stderr() {
    let (code, stdout, stderr) = run(&mut Sandbox::new().plimsoll(&[]));
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("Usage: plimsoll"), "{stderr}");
}

#[test]
fn the_help_names_every_exit_code() {
    let (_, stdout, _) = run(&mut Sandbox::new().plimsoll(&["--help"]));
    for exit in plimsoll::exit::Exit::ALL {
        assert!(stdout.contains(&format!("{:>5}  {}", exit.code(), exit.meaning())), "{stdout}");
    }
}

#[test]
fn the_version_is_the_packages() {
    for arguments in [["--version"].as_slice(), &["version"], &["version", "-o", "json"]] {
        let (code, stdout, _) = run(&mut Sandbox::new().plimsoll(arguments));
        assert_eq!(code, 0);
        assert!(stdout.contains(env!("CARGO_PKG_VERSION")), "{stdout}");
    }
}

#[test]
fn completion_is_there_for_every_shell() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, _) = run(&mut sandbox.plimsoll(&["completion", shell]));
        assert_eq!(code, 0, "{shell}");
        assert!(stdout.contains("doctor") && stdout.contains("plimsoll"), "{shell}");
    }
    let script = run(&mut sandbox.plimsoll(&["completion", "bash"])).1;
    let file = sandbox.write("completion.bash", &script);
    assert_cmd::Command::new("bash").args(["-n", &file]).assert().success();
}

#[test]
fn the_manual_has_a_page_a_command() {
    let sandbox = Sandbox::new();
    let (code, page, _) = run(&mut sandbox.plimsoll(&["man"]));
    assert_eq!(code, 0);
    assert!(page.contains(".TH plimsoll 1"), "{page}");
    let (code, stdout, _) = run(&mut sandbox.plimsoll(&["man", "--dir", "man1"]));
    assert_eq!((code, stdout.as_str()), (0, ""));
    for command in commands(&sandbox) {
        assert!(sandbox.path().join(format!("man1/plimsoll-{command}.1")).is_file(), "{command}");
    }
}

#[test]
fn every_schema_is_one() {
    let sandbox = Sandbox::new();
    for format in ["profile", "journal", "report", "suite", "config"] {
        let (code, stdout, _) = run(&mut sandbox.plimsoll(&["schema", format]));
        assert_eq!(code, 0, "{format}");
        let schema: serde_json::Value = serde_json::from_str(&stdout).expect("it is JSON");
        assert!(jsonschema::meta::is_valid(&schema), "{format}");
        assert!(schema.get("type").is_some() || schema.get("oneOf").is_some(), "{format} says nothing");
    }
}
