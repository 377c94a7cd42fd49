use super::super::sample;
use super::*;
use crate::engine::{Plan, PlannedStep, ScenarioId, Selection};

fn id(n: usize) -> ScenarioId {
    ScenarioId(format!("a/b/{n}"))
}

fn started() -> Event {
    Event::RunStarted {
        schema: crate::evidence::JOURNAL_SCHEMA.to_owned(),
        run_id: "x7k2".to_owned(),
        version: "0.1.0".to_owned(),
        seed: 7,
        command: vec!["plimsoll".to_owned(), "run".to_owned()],
        profile: "acme".to_owned(),
        profile_sha256: String::new(),
    }
}

fn planned(n: usize, steps: usize) -> PlannedScenario {
    let step =
        PlannedStep { keyword: "Then".to_owned(), text: "it holds".to_owned(), line: 3, background: false };
    PlannedScenario { id: id(n), steps: vec![step; steps], ..PlannedScenario::default() }
}

fn plan(scenarios: Vec<PlannedScenario>) -> Event {
    Event::Planned { plan: Plan { selection: Selection::default(), scenarios } }
}

fn step(n: usize, status: StepStatus) -> Event {
    Event::StepFinished { id: id(n), step: 0, status, took_us: 5, reason: None }
}

fn ended(n: usize, outcome: Outcome) -> Event {
    let reason = (outcome != Outcome::Passed).then(|| Reason::new(ReasonKind::Trouble, "so it came"));
    Event::ScenarioFinished { id: id(n), outcome, reason, took_ms: 1 }
}

fn finished(outcomes: &[Outcome], exit: u8) -> Event {
    Event::RunFinished { tally: outcomes.iter().copied().collect(), exit, took_ms: 9 }
}

/// What a run of scenarios of one step each writes, as the recorders do it.
fn honest(outcomes: &[Outcome], between: Vec<Event>, exit: u8) -> Vec<Event> {
    let mut events = vec![started(), plan((0..outcomes.len()).map(|n| planned(n, 1)).collect())];
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::NotRun | Outcome::NotApplicable => {}
            outcome => {
                let status =
                    if *outcome == Outcome::Passed { StepStatus::Passed } else { StepStatus::Stopped };
                events.extend([Event::ScenarioStarted { id: id(n) }, step(n, status)]);
            }
        }
        events.push(ended(n, *outcome));
    }
    events.extend(between);
    events.push(finished(outcomes, exit));
    events
}

fn model(events: Vec<Event>) -> Model {
    let timed: Vec<(u64, Event)> = (0..).zip(events).collect();
    Model::from_journal(&sample::journal(&timed), &[])
}

#[test]
fn an_exit_code_that_does_not_follow_from_the_scenarios_does_not_add_up() {
    use Outcome::{Failed, Inconclusive, NotApplicable, NotRun, Passed, Waived};
    let signal = |name: &str| vec![Event::Interrupted { signal: name.to_owned() }];
    let left = || vec![Event::Leftover { reference: "v1/Namespace x".to_owned(), why: "stuck".to_owned() }];
    let table: [(&[Outcome], Vec<Event>, &[u8]); 13] = [
        (&[], vec![], &[3, 4]),
        (&[Passed], vec![], &[0, 1, 3]),
        (&[Passed, Waived, NotApplicable], vec![], &[0, 1, 3]),
        (&[Waived], vec![], &[0, 1, 3]),
        (&[NotApplicable], vec![], &[1, 3]),
        (&[Passed, Failed], vec![], &[1, 3]),
        (&[Passed, Inconclusive], vec![], &[1, 3]),
        (&[Failed, Inconclusive, NotRun], vec![], &[1, 3]),
        (&[Passed], left(), &[1, 3, 5]),
        (&[Failed], left(), &[1, 3]),
        (&[Passed, NotRun], signal("SIGINT"), &[130]),
        (&[Failed], signal("SIGTERM"), &[143]),
        (&[Passed], signal("SIGHUP"), &[130, 143]),
    ];
    for (outcomes, between, could) in table {
        for exit in [0, 1, 2, 3, 4, 5, 77, 130, 143] {
            let model = model(honest(outcomes, between.clone(), exit));
            if could.contains(&exit) {
                assert_eq!(model.accounting.problems, Vec::<String>::new(), "{outcomes:?} with exit {exit}");
                assert!(!model.run.verdict.starts_with("no verdict"), "{outcomes:?} with exit {exit}");
            } else {
                let could: Vec<String> = could.iter().map(u8::to_string).collect();
                let problem =
                    format!("the run ended with exit {exit}, its scenarios say {}", could.join(" or "));
                assert_eq!(model.accounting.problems, [problem], "{outcomes:?} with exit {exit}");
                assert_eq!(model.run.verdict, "no verdict: the journal does not add up");
            }
        }
    }
}

#[test]
fn what_no_recorder_writes_does_not_add_up() {
    use Outcome::Passed;
    let begun = |n| Event::ScenarioStarted { id: id(n) };
    let one = |between: Vec<Event>, steps: usize| {
        let mut events = vec![started(), plan(vec![planned(0, steps)])];
        events.extend(between);
        events.push(finished(&[Passed], 0));
        model(events).accounting.problems
    };
    let cases = [
        (
            vec![begun(0), ended(0, Passed), step(0, StepStatus::Passed)],
            1,
            vec![
                "step 0 of `a/b/0` ended after its scenario; it is left out",
                "`a/b/0` is passed with 1 step that did not pass",
            ],
        ),
        (
            vec![begun(0), step(0, StepStatus::Stopped), step(0, StepStatus::Passed), ended(0, Passed)],
            1,
            vec![
                "step 0 of `a/b/0` ended twice; the first end counts",
                "`a/b/0` is passed with 1 step that did not pass",
            ],
        ),
        (vec![begun(0), ended(0, Passed)], 0, vec!["`a/b/0` is passed without any step"]),
        (vec![step(0, StepStatus::Passed), ended(0, Passed)], 1, vec!["`a/b/0` is passed without a start"]),
    ];
    for (between, steps, problems) in cases {
        assert_eq!(one(between, steps), problems);
    }
}

#[test]
fn of_two_starts_the_first_counts() {
    let mut second = started();
    if let Event::RunStarted { run_id, profile, .. } = &mut second {
        "other".clone_into(run_id);
        "other".clone_into(profile);
    }
    let model = model(honest(&[Outcome::Passed], vec![second], 0));
    assert_eq!((model.run.id.as_str(), model.run.profile.as_str()), ("x7k2", "acme"));
    assert_eq!(model.accounting.problems, ["the run starts more than once; the first start counts"]);
    // The reader of the journal has seen it too, and that weighs more.
    assert_eq!(model.run.verdict, "no verdict: the journal was changed");
}

/// No format says `conformant` of a journal that is not to be relied on.
#[test]
fn every_format_of_an_unsound_journal_says_so_and_has_no_verdict() {
    use super::super::{Format, render};
    let changed = {
        let timed: Vec<(u64, Event)> = (0..).zip(honest(&[Outcome::Passed], vec![], 0)).collect();
        let mut journal = sample::journal(&timed);
        journal.problems.push(crate::evidence::Problem {
            line: None,
            kind: crate::evidence::ProblemKind::Archive,
            message: "`profile.yaml` was changed".to_owned(),
        });
        Model::from_journal(&journal, &[])
    };
    let off = model(honest(&[Outcome::Failed], vec![], 0));
    for (model, why) in [(changed, "profile.yaml"), (off, "its scenarios say 1 or 3")] {
        assert!(model.run.verdict.starts_with("no verdict: the journal "), "{}", model.run.verdict);
        for format in Format::ALL {
            let text = String::from_utf8(render(format, &model).unwrap()).unwrap();
            assert!(!text.contains("conformant"), "{format}: {text}");
            match format {
                Format::Ndjson => assert!(text.contains("\"unsound\":\"the journal "), "{text}"),
                _ => assert!(text.replace('\\', "").contains(why), "{format}: {text}"),
            }
        }
        // It stands above everything that it takes the worth from.
        let text = String::from_utf8(render(Format::Terminal, &model).unwrap()).unwrap();
        assert!(text.find(why).unwrap() < text.find("1 scenario planned").unwrap(), "{text}");
    }
}

#[test]
fn a_forged_journal_cannot_act_on_the_terminal() {
    use super::super::{Format, render};
    let evil = "x\u{1b}[2K\r\u{9b}1A\u{202e}y";
    let mut events = honest(&[Outcome::Failed], vec![Event::Warning { message: evil.to_owned() }], 1);
    if let Event::RunStarted { run_id, version, profile, command, .. } = &mut events[0] {
        for text in [run_id, version, profile, &mut command[1]] {
            evil.clone_into(text);
        }
    }
    if let Event::Planned { plan } = &mut events[1] {
        let scenario = &mut plan.scenarios[0];
        evil.clone_into(&mut scenario.name);
        evil.clone_into(&mut scenario.file);
        scenario.requirements = vec![evil.to_owned()];
    }
    let model = model(events);
    for format in [Format::Terminal, Format::Markdown] {
        let text = String::from_utf8(render(format, &model).unwrap()).unwrap();
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(acts), "{format}: {text:?}");
    }
}

/// A record that this version does not know takes nothing from the journal's worth, but it is missing below.
#[test]
fn what_was_left_out_is_said_though_the_journal_is_intact() {
    use super::super::{Format, render};
    let timed: Vec<(u64, Event)> = (0..).zip(honest(&[Outcome::Passed], vec![], 0)).collect();
    let mut journal = sample::journal(&timed);
    journal.problems.push(crate::evidence::Problem {
        line: Some(3),
        kind: crate::evidence::ProblemKind::UnknownEvent,
        message: "event from tomorrow".to_owned(),
    });
    let model = Model::from_journal(&journal, &[]);
    assert_eq!(model.run.verdict, "conformant");
    for format in Format::ALL.into_iter().filter(|format| *format != Format::Ndjson) {
        let text = String::from_utf8(render(format, &model).unwrap()).unwrap();
        assert!(text.contains("event from tomorrow"), "{format}: {text}");
    }
}
