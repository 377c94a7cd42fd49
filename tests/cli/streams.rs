//! What goes where: stdout for data, stderr for the rest, colour only where it is wanted.

use crate::{Sandbox, run};

#[test]
fn data_is_on_stdout_alone() {
    let sandbox = Sandbox::new();
    for format in ["table", "wide", "json", "yaml", "name"] {
        let (code, stdout, stderr) = run(&mut sandbox.plimsoll(&["list", "requirements", "-o", format]));
        assert_eq!((code, stderr.as_str()), (0, ""), "{format}");
        assert!(stdout.contains("NET-02"), "{format}");
        assert!(!stdout.contains('\u{1b}'), "{format} is coloured without a terminal");
    }
    let (_, json, _) = run(&mut sandbox.plimsoll(&["list", "scenarios", "-o", "json"]));
    let scenarios: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    assert!(scenarios.as_array().is_some_and(|list| !list.is_empty()));
    let (_, names, _) = run(&mut sandbox.plimsoll(&["list", "features", "-o", "name"]));
    assert!(names.lines().all(|line| line.ends_with(".feature")), "{names}");
}

#[test]
fn everything_that_can_be_listed_is() {
    let sandbox = Sandbox::new();
    for what in ["suites", "features", "scenarios", "requirements", "tags", "capabilities", "steps", "codes"]
    {
        let (code, stdout, _) = run(&mut sandbox.plimsoll(&["list", what]));
        assert_eq!(code, 0, "{what}");
        assert!(stdout.lines().count() > 1, "{what}: {stdout}");
    }
}

#[test]
fn everything_that_is_listed_can_be_explained() {
    let sandbox = Sandbox::new();
    for what in ["capabilities", "codes"] {
        let (_, names, _) = run(&mut sandbox.plimsoll(&["list", what, "-o", "name"]));
        for name in names.lines() {
            let (code, stdout, stderr) = run(&mut sandbox.plimsoll(&["explain", name]));
            assert_eq!(code, 0, "{name}: {stderr}");
            assert!(stdout.starts_with(name), "{name}: {stdout}");
        }
    }
}

#[test]
fn colour_follows_the_environment_and_the_flag() {
    let sandbox = Sandbox::new();
    let wrong = ["plan", "--suite", "none"];
    let colored = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut command = sandbox.plimsoll(arguments);
        for (name, value) in environment {
            command.env(name, value);
        }
        run(&mut command).2.contains('\u{1b}')
    };
    assert!(!colored(&[], &wrong));
    assert!(colored(&[("FORCE_COLOR", "1")], &wrong));
    assert!(!colored(&[("NO_COLOR", "1")], &wrong));
    assert!(colored(&[("NO_COLOR", "1")], &["--color", "always", "plan", "--suite", "none"]));
    assert!(!colored(&[("FORCE_COLOR", "1")], &["--color", "never", "plan", "--suite", "none"]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let script = format!(
        "set -o pipefail; {} list requirements -o json | head -n 1; echo \"status $?\"",
        env!("CARGO_BIN_EXE_plimsoll")
    );
    let (_, stdout, stderr) =
        run(assert_cmd::Command::new("bash").args(["-c", &script]).current_dir(sandbox.path()));
    assert_eq!((stdout.as_str(), stderr.as_str()), ("[\nstatus 0\n", ""));
}

#[test]
fn a_stderr_that_takes_nothing_changes_no_exit_code() {
    let sandbox = Sandbox::new();
    let cases: [(&[&str], i32); 7] = [
        (&["plan"], 0),
        (&["-vvv", "plan"], 0),
        (&["lint"], 0),
        (&["plan", "--suite", "none"], 2),
        (&["explain", "NET-99"], 2),
        (&["explain", "--siute"], 2),
        (&["plan", "--tags", "@must and @should"], 4),
    ];
    let ended = |arguments: &[&str], stderr: std::process::Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(arguments).current_dir(sandbox.path()).env_clear().env("HOME", sandbox.path());
        command.stdout(std::process::Stdio::null()).stderr(stderr).status().expect("start the program").code()
    };
    for (arguments, code) in cases {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("open the device");
        assert_eq!(ended(arguments, full.into()), Some(code), "{arguments:?} where nothing fits");
        let (reader, writer) = std::io::pipe().expect("make a pipe");
        drop(reader);
        assert_eq!(ended(arguments, writer.into()), Some(code), "{arguments:?} where nobody reads");
    }
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let sandbox = Sandbox::new();
    sandbox.write("plimsoll.yaml", "suite: ci\n");
    let suite = |arguments: &[&str], environment: Option<&str>| {
        let mut command = sandbox.plimsoll(&[&["plan", "-o", "json"], arguments].concat());
        if let Some(value) = environment {
            command.env("PLIMSOLL_SUITE", value);
        }
        let (code, stdout, stderr) = run(&mut command);
        assert_eq!(code, 0, "{stderr}");
        let plan: serde_json::Value = serde_json::from_str(&stdout).expect("it is JSON");
        plan["selection"]["suite"].as_str().map(str::to_owned)
    };
    assert_eq!(suite(&[], None).as_deref(), Some("ci"));
    assert_eq!(suite(&[], Some("smoke")).as_deref(), Some("smoke"));
    assert_eq!(suite(&["--suite", "ci"], Some("smoke")).as_deref(), Some("ci"));
    // Who names a requirement means it, and not a suite.
    assert_eq!(suite(&["--requirement", "NET-02"], None), None);

    // What is in force where nobody says anything is the number itself.
    let (_, settings, _) = run(&mut sandbox.plimsoll(&["config", "-o", "json"]));
    assert!(settings.contains(&format!("\"{}\"", plimsoll::session::RunOrder::CONCURRENCY)), "{settings}");
    let (_, help, _) = run(&mut sandbox.plimsoll(&["run", "--help"]));
    let default = format!("[default: {}]", plimsoll::session::RunOrder::CONCURRENCY);
    assert!(help.contains(&format!("Scenarios at the same time {default}")), "{help}");

    let (_, settings, _) = run(sandbox.plimsoll(&["config"]).env("PLIMSOLL_CLUSTER", "kind:two"));
    assert!(settings.contains("plimsoll.yaml") && settings.contains("kind:two"), "{settings}");
    assert!(settings.contains("environment") && settings.contains("default"), "{settings}");
}
