//! The HTML report in a real browser: with scripts on and off, without a request, without an error.
//!
//! Where no Chromium is installed, the tests say so and end; in CI, which installs one, its lack is a failure.

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll::engine::{
    ControlPhase, Event, Evidence, EvidenceBody, Level, Outcome, Plan, PlannedScenario, Reason, ReasonKind,
    ScenarioId, Selection, StepStatus, Tally,
};
use plimsoll::evidence::{Journal, read};
use plimsoll::report::{Format, Model, RequirementInfo, render};

/// The page of `events`, written for the browser (and left in the target directory, to be looked at).
fn page(name: &str, events: impl IntoIterator<Item = Event>) -> PathBuf {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::create(dir.path()).unwrap();
    for event in events {
        journal.append(&event).unwrap();
    }
    let journal = journal.finish().unwrap();
    let model = Model::from_journal(&read(&journal.path).unwrap(), &catalog());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    std::fs::write(&path, render(Format::Html, &model).unwrap()).unwrap();
    path
}

/// Enough of a catalogue for the page to look as it does in real life.
fn catalog() -> Vec<RequirementInfo> {
    let row = |id: &str, family: &str, promise: &str| RequirementInfo {
        id: id.to_owned(),
        level: Level::Must,
        family: family.to_owned(),
        promise: promise.to_owned(),
        controls: vec!["NIST SC-7".to_owned(), "CIS 5.3.2".to_owned()],
    };
    vec![
        row(
            "TEN-02",
            "Namespace isolation",
            "every tenant namespace carries a quota for cpu, memory, pods and storage",
        ),
        row("TEN-03", "Namespace isolation", "the quota is enforced"),
        row("TEN-08", "Namespace isolation", "storage does not cross tenants"),
        row("TEN-10", "Namespace isolation", "offboarding leaves nothing"),
        row("IAM-04", "Authentication and authorization", "rights end at the namespace"),
        row(
            "NET-01",
            "Network isolation",
            "default deny both ways in every tenant namespace, also for pods that match no other policy",
        ),
        row("NET-02", "Network isolation", "no tenant reaches another"),
        row("NET-03", "Network isolation", "the paths that a tenant declares are open"),
    ]
}

fn every_status() -> Vec<Event> {
    let mut timed: Vec<serde_json::Value> =
        serde_yaml::from_str(include_str!("fixtures/every-status.yaml")).unwrap();
    timed.sort_by_key(|event| event["at_us"].as_u64());
    timed.into_iter().map(|event| serde_json::from_value(event).unwrap()).collect()
}

fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// What the browser made of the page, and everything that it logged.
fn dump(page: &Path, scripts: bool) -> Option<(String, String)> {
    let Some(browser) = chromium() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium is installed: apt-get install chromium");
        eprintln!("no Chromium is installed: the page was not opened");
        return None;
    };
    let profile = tempfile::tempdir().unwrap();
    if !scripts {
        let settings = r#"{"profile":{"default_content_setting_values":{"javascript":2}}}"#;
        std::fs::create_dir(profile.path().join("Default")).unwrap();
        std::fs::write(profile.path().join("Default/Preferences"), settings).unwrap();
    }
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--log-level=0",
            // Whatever the page would ask for has nowhere to go.
            "--host-resolver-rules=MAP * ~NOTFOUND",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Console messages: errors of scripts, refused requests, violations of the page's own policy.
fn console(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("CONSOLE")).collect()
}

#[test]
fn the_page_works_and_asks_for_nothing() {
    let page = page("every-status", every_status());
    let Some((dom, log)) = dump(&page, true) else { return };
    assert_eq!(console(&log), Vec::<&str>::new());
    // The script ran, so its hash in the policy is right.
    assert!(dom.contains("<html lang=\"en\" class=\"js\">"), "{}", &dom[..400]);
    assert!(dom.contains("<title>interrupted (SIGINT)"), "text of others ran as a script");
    for word in ["passed", "failed", "inconclusive", "waived", "not-applicable", "not-run"] {
        assert!(dom.contains(&format!("data-outcome=\"{word}\"")), "{word}");
    }
}

#[test]
fn it_says_everything_with_scripts_off() {
    let page = page("scripts-off", every_status());
    let Some((dom, log)) = dump(&page, false) else { return };
    assert_eq!(console(&log), Vec::<&str>::new());
    assert!(!dom.contains("class=\"js\""), "the script ran");
    for text in [
        "expected DROPPED or REJECTED from alpha/api to bravo/db:8080/TCP by pod address, saw OPEN",
        "positive control, before",
        "v1/ResourceQuota plim-x7k2-alpha/tenant",
        "plimsoll verify --head",
        "network/side-doors/closed#2",
    ] {
        assert!(dom.contains(text), "{text}");
    }
}

/// 2,000 scenarios and a matrix of 300 x 300 tenants.
#[test]
fn a_big_run_still_has_a_page_that_opens() {
    let page = page("big", big(2_000, 300));
    let size = std::fs::metadata(&page).unwrap().len();
    assert!(size < 16 << 20, "{size} bytes");
    let Some((dom, log)) = dump(&page, true) else { return };
    assert_eq!(console(&log), Vec::<&str>::new());
    assert_eq!(dom.matches("<details class=\"scenario").count(), 2_000);
    assert!(dom.contains("tenant-7/web to tenant-9/web: expected DROPPED or REJECTED, saw OPEN"));
}

fn big(scenarios: usize, tenants: usize) -> Vec<Event> {
    let id = |n: usize| ScenarioId(format!("bulk/f{}/s{n}", n / 20));
    let step = |keyword: &str| serde_json::json!({"keyword": keyword, "text": "something is so", "line": 6, "background": false});
    let planned = |n: usize| -> PlannedScenario {
        serde_json::from_value(serde_json::json!({
            "id": id(n),
            "file": format!("features/bulk/f{}.feature", n / 20),
            "line": 5,
            "feature": format!("Feature {}", n / 20),
            "name": format!("Scenario {n} holds under every circumstance that we know of"),
            "requirements": [format!("BLK-{:02}", n / 20)],
            "tags": ["must"],
            "risk": "none",
            "needs": [],
            "serial": false,
            "deadline_ms": 30_000,
            "steps": [step("Given"), step("When"), step("Then")],
        }))
        .unwrap()
    };
    let mut events = vec![
        Event::RunStarted {
            schema: "plimsoll.dev/journal/v1".to_owned(),
            run_id: "big0".to_owned(),
            version: "0.1.0".to_owned(),
            seed: 1,
            command: vec!["plimsoll".to_owned(), "run".to_owned()],
            profile: "bulk".to_owned(),
            profile_sha256: String::new(),
        },
        Event::Planned {
            plan: Plan { selection: Selection::default(), scenarios: (0..scenarios).map(planned).collect() },
        },
    ];
    let labels: Vec<String> = (0..tenants).map(|n| format!("tenant-{n}/web")).collect();
    let word = |r: usize, c: usize| match (r, c) {
        (7, 9) => "OPEN",
        (r, c) if r == c => "OPEN",
        _ => "DROPPED",
    };
    let grid = |word: &dyn Fn(usize, usize) -> String| -> Vec<Vec<String>> {
        (0..tenants).map(|r| (0..tenants).map(|c| word(r, c)).collect()).collect()
    };
    let mut tally = Tally::default();
    for n in 0..scenarios {
        events.push(Event::ScenarioStarted { id: id(n) });
        for step in 0..3 {
            let body = EvidenceBody::Attempt {
                from: "alpha/web".to_owned(),
                to: "bravo/db:8080/TCP".to_owned(),
                accepted: vec!["DROPPED".to_owned()],
                verdict: "DROPPED".to_owned(),
                took_us: 1_000_000,
                control: (step == 0).then_some(ControlPhase::Before),
                detail: serde_json::json!({"attempts": 3}),
            };
            events.push(Event::EvidenceTaken {
                id: Some(id(n)),
                step: Some(step),
                evidence: Evidence { title: "a try".to_owned(), body },
            });
            events.push(Event::StepFinished {
                id: id(n),
                step,
                status: StepStatus::Passed,
                took_us: 1_200,
                reason: None,
            });
        }
        if n == 0 {
            let body = EvidenceBody::Matrix {
                caption: "TCP 8080".to_owned(),
                rows: labels.clone(),
                columns: labels.clone(),
                cells: grid(&|r, c| word(r, c).to_owned()),
                expected: grid(&|r, c| {
                    if r == c { "OPEN".to_owned() } else { "DROPPED|REJECTED".to_owned() }
                }),
                control: None,
                probes: tenants * tenants,
                took_us: 1_500_000,
            };
            let evidence = Evidence { title: "All pairs".to_owned(), body };
            events.push(Event::EvidenceTaken { id: Some(id(0)), step: Some(2), evidence });
        }
        let outcome = if n % 50 == 0 { Outcome::Failed } else { Outcome::Passed };
        tally.add(outcome);
        let reason = (outcome == Outcome::Failed)
            .then(|| Reason::new(ReasonKind::Requirement, "expected DROPPED, saw OPEN"));
        events.push(Event::ScenarioFinished { id: id(n), outcome, reason, took_ms: 4 });
    }
    events.push(Event::RunFinished { tally, exit: 1, took_ms: 90_000 });
    events
}
