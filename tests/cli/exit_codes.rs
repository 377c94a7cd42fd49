//! Every way to fail before anything is touched, with its exit code and its words.

use crate::{Sandbox, run};

/// Runs and checks: the code, nothing on stdout, and each of the words on stderr.
fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32, words: &[&str]) {
    let (found, stdout, stderr) = run(&mut sandbox.plimsoll(arguments));
    assert_eq!(found, code, "{arguments:?}: {stderr}");
    assert_eq!(stdout, "", "{arguments:?}");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?} does not say `{word}`: {stderr}");
    }
}

#[test]
fn wrong_arguments() {
    let sandbox = Sandbox::new();
    refused(&sandbox, &["runn"], 2, &["runn", "run"]);
    refused(&sandbox, &["run", "--siute", "smoke"], 2, &["--siute", "--suite"]);
    refused(&sandbox, &["run", "--report", "pdf=x"], 2, &["unknown format 'pdf'", "junit"]);
    refused(&sandbox, &["run", "--report", "html"], 2, &["FORMAT=PATH"]);
    refused(&sandbox, &["run", "--cluster", "lab", "--context", "x"], 2, &["cannot be used with"]);
    refused(&sandbox, &["run", "--as-group", "x"], 2, &["--as"]);
    refused(&sandbox, &["run", "--request-timeout", "soon"], 2, &["30s"]);
    refused(&sandbox, &["run", "--jobs", "0"], 2, &["1..=64"]);
    refused(&sandbox, &["run", "-q", "-v"], 2, &["cannot be used with"]);
    refused(&sandbox, &["explain", "NET-99"], 2, &["NET-99", "did you mean NET-0"]);
    refused(&sandbox, &["fuzz", "network", "--case", "3"], 2, &["--case", "--seed"]);
    refused(&sandbox, &["fuzz", "network", "--case", "0", "--seed", "1"], 2, &["1..=10000"]);
}

#[test]
fn a_wrong_log_filter() {
    let (code, _, stderr) = run(Sandbox::new().plimsoll(&["version"]).env("PLIMSOLL_LOG", "plimsoll=loud"));
    assert_eq!(code, 2);
    assert!(stderr.contains("PLIMSOLL_LOG"), "{stderr}");
}

#[test]
fn wrong_settings_have_their_place() {
    let sandbox = Sandbox::new();
    sandbox.write("plimsoll.yaml", "cluster: lab\njbos: 3\n");
    refused(&sandbox, &["config"], 2, &["plimsoll.yaml:2:1", "unknown field `jbos`"]);
    refused(&sandbox, &["--config", "none.yaml", "config"], 2, &["none.yaml", "No such file"]);
    // As `--jobs` refuses it.
    for jobs in ["0", "65"] {
        sandbox.write("plimsoll.yaml", &format!("cluster: lab\njobs: {jobs}\n"));
        refused(&sandbox, &["config"], 2, &["plimsoll.yaml:2:", "from 1 to 64"]);
    }
}

#[test]
fn a_wrong_profile_has_its_place() {
    let sandbox = Sandbox::new();
    let lab = plimsoll::profile::LAB_PROFILE.replace("riskCeiling: fault", "riskCieling: fault");
    sandbox.write("platform.yaml", &lab);
    for command in ["run", "plan", "lint", "doctor"] {
        refused(
            &sandbox,
            &[command, "--profile", "platform.yaml"],
            2,
            &["platform.yaml", "riskCieling", "riskCeiling"],
        );
    }
    refused(&sandbox, &["run", "--profile", "none.yaml"], 2, &["none.yaml"]);
}

#[test]
fn a_waiver_of_what_there_is_not_has_its_place() {
    let sandbox = Sandbox::new();
    let waiver = |subject: &str| {
        format!("    - {subject}\n      reason: old\n      owner: us\n      expires: 2999-01-01\n")
    };
    let waivers = ["requirement: NET-77", "scenario: network/nothing-*", "requirement: NET-02"].map(waiver);
    let profile = plimsoll::profile::LAB_PROFILE;
    let text = format!("{}\n  waivers:\n{}", profile.trim_end(), waivers.concat());
    let line = profile.trim_end().lines().count() + 2;
    sandbox.write("platform.yaml", &text);
    let (first, second) = (format!("platform.yaml:{line}:"), format!("platform.yaml:{}:", line + 4));
    let (code, stdout, _) = run(&mut sandbox.plimsoll(&["lint", "--profile", "platform.yaml", "-o", "name"]));
    assert_eq!((code, stdout.lines().count()), (2, 2), "{stdout}");
    assert!(stdout.contains(&first) && stdout.contains(&second), "{stdout}");
    for command in ["run", "plan"] {
        let words = ["PL024", "NET-77", "network/nothing-*", &first, &second];
        refused(&sandbox, &[command, "--profile", "platform.yaml"], 2, &words);
    }
}

#[test]
fn a_wrong_feature_has_its_place() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "features/mine.feature",
        "@NET-02 @must @risk-none\nFeature: Mine\n\n  Scenario: One\n    Given somthing that nobody defined\n    \
         Then it holds\n",
    );
    refused(&sandbox, &["run", "--features", "features"], 2, &["features/mine.feature:5", "PL002"]);
    refused(&sandbox, &["plan", "--features", "features"], 2, &["features/mine.feature:5", "PL002"]);
    refused(&sandbox, &["plan", "--features", "nowhere"], 2, &["nowhere"]);
    let (code, stdout, _) = run(&mut sandbox.plimsoll(&["lint", "--features", "features"]));
    assert_eq!(code, 2);
    assert!(stdout.contains("features/mine.feature:5") && stdout.contains("PL002"), "{stdout}");
}

#[test]
fn unknown_names_are_errors_with_a_suggestion() {
    let sandbox = Sandbox::new();
    refused(&sandbox, &["plan", "--suite", "smoek"], 2, &["unknown suite `smoek`", "did you mean `smoke`?"]);
    refused(&sandbox, &["plan", "--requirement", "NET-99"], 2, &["NET-99"]);
    refused(&sandbox, &["plan", "--scenario", "no-such-scenario-at-all"], 2, &["no-such-scenario-at-all"]);
    refused(&sandbox, &["plan", "--skip", "NTE-02"], 2, &["NTE-02"]);
    refused(&sandbox, &["plan", "--tags", "@net-02 and"], 2, &["tag"]);
    refused(&sandbox, &["plan", "--tags", "NET-02 and"], 2, &["a tag begins with `@`", "@NET-02"]);
    // Every command suggests the same.
    for arguments in [["plan", "--requirement", "NET-2"].as_slice(), &["explain", "NET-2"]] {
        refused(&sandbox, arguments, 2, &["did you mean", "NET-02"]);
    }
}

#[test]
fn an_empty_selection() {
    let sandbox = Sandbox::new();
    for command in ["plan", "run"] {
        refused(
            &sandbox,
            &[command, "--tags", "@must and @should"],
            4,
            &["nothing was selected", "plimsoll list scenarios"],
        );
        let words = ["nothing was selected", "CST-01 is planned: no scenario proves it yet"];
        refused(&sandbox, &[command, "--requirement", "CST-01"], 4, &words);
    }
    let (_, text, _) = run(&mut sandbox.plimsoll(&["explain", "CST-01"]));
    assert!(text.contains("no scenario proves it yet") && !text.contains("plimsoll run"), "{text}");
    let (_, list, _) = run(&mut sandbox.plimsoll(&["list", "requirements"]));
    let cells = |id: &str| {
        let line = list.lines().find(|line| line.starts_with(id)).expect("it is listed");
        line.split_whitespace().nth(2).map(str::to_owned)
    };
    assert_eq!(cells("CST-01").as_deref(), Some("planned"));
    assert_ne!(cells("NET-02").as_deref(), Some("planned"));
}

#[test]
fn results_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("file", "");
    refused(&sandbox, &["run", "--reports-dir", &file], 2, &["cannot write results", "--reports-dir"]);
    // Not even root writes there.
    refused(&sandbox, &["run", "--reports-dir", "/proc/nowhere"], 2, &["/proc/nowhere"]);
}

#[test]
fn nothing_recorded() {
    let sandbox = Sandbox::new();
    for command in ["report", "verify"] {
        refused(&sandbox, &[command], 2, &["no run is recorded", "plimsoll run"]);
        refused(&sandbox, &[command, "none.ndjson"], 2, &["none.ndjson"]);
    }
    let text = sandbox.write("text", "just text\n");
    refused(&sandbox, &["verify", &text], 2, &["not a journal"]);
}

#[test]
fn no_kubeconfig_and_no_such_context() {
    let sandbox = Sandbox::new();
    for command in ["run", "doctor", "cleanup"] {
        refused(&sandbox, &[command, "--kubeconfig", "none", "--context", "x"], 2, &["none"]);
    }
    sandbox.write("kubeconfig", &kubeconfig("http://127.0.0.1:9"));
    for command in ["run", "doctor", "cleanup"] {
        refused(
            &sandbox,
            &[command, "--kubeconfig", "kubeconfig", "--context", "stagin"],
            2,
            &["stagin", "staging"],
        );
    }
}

#[test]
fn a_context_that_the_profile_does_not_allow() {
    let sandbox = Sandbox::new();
    sandbox.write("kubeconfig", &kubeconfig("http://127.0.0.1:9"));
    let access = ["run", "--kubeconfig", "kubeconfig", "--context", "staging"];
    // The lab's own is built in: there is nothing of it to be edited.
    refused(&sandbox, &access, 2, &["staging", "--profile FILE"]);
    let (_, _, stderr) = run(&mut sandbox.plimsoll(&access));
    assert!(!stderr.contains("allowedContexts"), "{stderr}");
    sandbox.write("platform.yaml", plimsoll::profile::LAB_PROFILE);
    let named = [access.as_slice(), &["--profile", "platform.yaml"]].concat();
    refused(&sandbox, &named, 2, &["staging", "allowedContexts"]);
}

#[test]
fn a_kind_that_is_not_installed_is_a_missing_prerequisite() {
    let sandbox = Sandbox::new();
    for command in ["run", "doctor", "cleanup"] {
        let mut program = sandbox.plimsoll(&[command, "--cluster", "kind:qa"]);
        let (code, _, stderr) = run(program.env("PATH", sandbox.path()));
        assert_eq!(code, 2, "{command}: {stderr}");
        assert!(stderr.contains("there is no program `kind`") && stderr.contains("install kind"), "{stderr}");
    }
}

#[test]
fn in_ci_a_context_must_be_named() {
    let sandbox = Sandbox::new();
    sandbox.write("kubeconfig", &kubeconfig("http://127.0.0.1:9"));
    let mut command = sandbox.plimsoll(&["run", "--kubeconfig", "kubeconfig"]);
    let (code, _, stderr) = run(command.env("CI", "true"));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("--context") && stderr.contains("staging"), "{stderr}");
}

#[test]
fn a_cluster_that_does_not_answer_is_inconclusive() {
    let sandbox = Sandbox::new();
    sandbox.write("kubeconfig", &kubeconfig("http://127.0.0.1:9"));
    let profile = plimsoll::profile::LAB_PROFILE.replace("plimsoll-*", "staging");
    sandbox.write("platform.yaml", &profile);
    for command in ["run", "doctor", "cleanup"] {
        let access = ["--kubeconfig", "kubeconfig", "--context", "staging", "--profile", "platform.yaml"];
        let arguments = [[command].as_slice(), &access, &["--request-timeout", "2s"]].concat();
        let mut program = sandbox.plimsoll(&arguments);
        let (code, _, stderr) = run(program.env("PLIMSOLL_AGENT_IMAGE", "registry.example.com/agent:1"));
        assert_eq!(code, 3, "{command}: {stderr}");
        assert!(stderr.contains("127.0.0.1:9"), "{command} does not name the server: {stderr}");
    }
}

#[test]
fn nodes_that_pull_images_need_the_name_of_the_agents() {
    let sandbox = Sandbox::new();
    sandbox.write("kubeconfig", &kubeconfig("http://127.0.0.1:9"));
    sandbox.write("platform.yaml", &plimsoll::profile::LAB_PROFILE.replace("plimsoll-*", "staging"));
    refused(
        &sandbox,
        &["run", "--kubeconfig", "kubeconfig", "--context", "staging", "--profile", "platform.yaml"],
        2,
        &["--agent-image", "plimsoll image"],
    );
    let (code, stdout, _) = run(&mut sandbox.plimsoll(&["image", "agent.tar"]));
    assert_eq!(code, 0);
    assert!(stdout.starts_with("plimsoll.dev/agent:"), "{stdout}");
    assert!(std::fs::metadata(sandbox.path().join("agent.tar")).is_ok_and(|file| file.len() > 100_000));
}

#[test]
fn without_root_the_lab_says_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let sandbox = Sandbox::new();
    let program = sandbox.path().join("plimsoll");
    std::fs::copy(env!("CARGO_BIN_EXE_plimsoll"), &program).expect("copy the program");
    std::fs::set_permissions(sandbox.path(), std::fs::Permissions::from_mode(0o755))
        .expect("open the directory");
    for arguments in [["lab", "up"].as_slice(), &["run"]] {
        let mut command = std::process::Command::new(&program);
        command.args(arguments).current_dir("/").env_clear().env("HOME", "/nonexistent");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("XDG_STATE_HOME", "/nonexistent");
        if nix_is_root() {
            command.uid(65534).gid(65534);
        }
        let output = command.output().expect("start the program");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        if arguments == ["lab", "up"] {
            assert!(stderr.contains("root"), "{stderr}");
        }
    }
}

/// Whether the tests run as root: they may not, and then the program does not either.
fn nix_is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A kubeconfig of one context, `staging`.
fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: staging\nclusters:\n- {{name: c, cluster: {{server: '{server}'}}}}\n\
         users:\n- {{name: u, user: {{token: t}}}}\ncontexts:\n- {{name: staging, context: {{cluster: c, user: u}}}}\n"
    )
}
