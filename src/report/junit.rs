//! JUnit XML for CI systems: a suite a feature, a case a scenario.
//!
//! JUnit knows three ways not to pass. A failure is the platform's; an error is what could not be told; skipped
//! is what a waiver accepts, what does not apply and what never ran, each with its reason and its word as type.
//! The result holds to `junit-10.xsd`, by which some CI systems refuse files: so no properties on cases.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::format::RenderError;
use super::model::{Model, RunState, Scenario};
use super::words::{duration_us, one_line};
use crate::engine::{Outcome, StepStatus};
use crate::evidence::Integrity;

pub(super) fn render(model: &Model) -> Result<Vec<u8>, RenderError> {
    let mut report = Report::new("plimsoll");
    report.set_time(Duration::from_millis(model.run.took_ms));
    let mut suites: Vec<(&str, Vec<&Scenario>)> = Vec::new();
    for scenario in &model.scenarios {
        match suites.iter_mut().find(|(feature, _)| *feature == scenario.feature) {
            Some((_, scenarios)) => scenarios.push(scenario),
            None => suites.push((&scenario.feature, vec![scenario])),
        }
    }
    for (feature, scenarios) in suites {
        let mut suite = suite(model, feature);
        let mut requirements: Vec<&str> =
            scenarios.iter().flat_map(|s| &s.requirements).map(String::as_str).collect();
        requirements.sort_unstable();
        requirements.dedup();
        suite.add_properties(requirements.iter().map(|id| Property::new("requirement", *id)));
        let took: u64 = scenarios.iter().filter_map(|scenario| scenario.took_ms).sum();
        suite.set_time(Duration::from_millis(took));
        suite.add_test_cases(scenarios.into_iter().map(case));
        report.add_test_suite(suite);
    }
    let troubles = troubles_of_the_run(model);
    if !troubles.is_empty() {
        let mut suite = suite(model, "The run itself");
        suite.add_test_cases(troubles);
        report.add_test_suite(suite);
    }
    // The root has no `skipped` in the schema; its suites have it.
    let xml = report.to_string()?;
    let end = xml.find("<testsuites").and_then(|start| Some(start + xml[start..].find('>')?)).unwrap_or(0);
    let (head, rest) = xml.split_at(end);
    let skipped = format!(" skipped=\"{}\"", report.skipped);
    Ok((head.replacen(&skipped, "", 1) + rest).into_bytes())
}

fn suite(model: &Model, name: &str) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.extra.insert("timestamp".into(), model.run.started.as_str().into());
    suite.add_properties([
        Property::new("run", model.run.id.as_str()),
        Property::new("profile", model.run.profile.as_str()),
        Property::new("seed", model.run.seed.to_string()),
        Property::new("journal-head", model.journal.head.as_str()),
    ]);
    let problems = model.journal.problems.iter().map(ToString::to_string);
    suite.add_properties(problems.map(|problem| Property::new("journal-problem", problem)));
    if let Some(cluster) = &model.cluster {
        suite.add_property(Property::new("cluster", format!("{} {}", cluster.provider, cluster.context)));
        suite.add_property(Property::new("kubernetes", cluster.server_version.as_str()));
        suite.add_properties(cluster.stand_ins.iter().map(|part| Property::new("stand-in", part.as_str())));
    }
    suite
}

fn case(scenario: &Scenario) -> TestCase {
    let mut status = match scenario.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::Inconclusive => TestCaseStatus::non_success(NonSuccessKind::Error),
        Outcome::Waived | Outcome::NotApplicable | Outcome::NotRun => TestCaseStatus::skipped(),
    };
    status.set_type(scenario.outcome.word());
    match &scenario.reason {
        Some(reason) if scenario.outcome != Outcome::Passed => {
            status.set_message(one_line(&reason.message));
            let mut lines = reason.details.clone();
            lines.extend(reason.hint.as_ref().map(|hint| format!("hint: {hint}")));
            lines.extend(scenario.repeat.as_ref().map(|repeat| format!("repeat: {repeat}")));
            if !lines.is_empty() {
                status.set_description(lines.join("\n"));
            }
        }
        _ => {
            status.set_message("no reason was recorded");
        }
    }
    let mut case = TestCase::new(named(scenario), status);
    case.set_classname(scenario.id.rsplit_once('/').map_or("", |(parent, _)| parent).replace('/', "."));
    case.set_time(Duration::from_millis(scenario.took_ms.unwrap_or(0)));
    case.set_system_out(steps(scenario));
    case
}

/// Requirement and name; the row of an outline keeps its number, as names must differ.
fn named(scenario: &Scenario) -> String {
    let row = scenario.id.rsplit_once('#').map_or_else(String::new, |(_, row)| format!(" #{row}"));
    format!("{} {}{row}", scenario.requirements.join(" "), scenario.name).trim().to_owned()
}

fn steps(scenario: &Scenario) -> String {
    let mut text = format!("{}\n{}:{}\n", scenario.id, scenario.file, scenario.line);
    for step in &scenario.steps {
        let word = match step.status {
            StepStatus::Passed => "passed",
            StepStatus::Stopped => "stopped",
            StepStatus::NotReached => "not reached",
        };
        let took = match step.status {
            StepStatus::NotReached => String::new(),
            _ => step.took_us.map_or_else(String::new, |us| format!(" ({})", duration_us(us))),
        };
        text += &format!("{word:>11}  {} {}{took}\n", step.keyword, one_line(&step.text));
    }
    text
}

/// What is wrong with the run as a whole has a case of its own: a file without red would say that all is well.
fn troubles_of_the_run(model: &Model) -> Vec<TestCase> {
    let mut cases = Vec::new();
    let mut add = |name: &str, kind, word: &str, lines: Vec<String>| {
        if let Some(first) = lines.first() {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(word).set_message(one_line(first)).set_description(lines.join("\n"));
            let mut case = TestCase::new(name, status);
            case.set_classname("run").set_time(Duration::ZERO);
            cases.push(case);
        }
    };
    let ended = match model.run.state {
        RunState::Killed => vec!["the run was killed before its end".to_owned()],
        RunState::Interrupted => {
            vec![format!("the run was interrupted by {}", model.run.signal.as_deref().unwrap_or("a signal"))]
        }
        RunState::Running => vec!["the run is still going".to_owned()],
        RunState::Finished => Vec::new(),
    };
    add("It came to its end", NonSuccessKind::Error, "inconclusive", ended);
    add("It is accounted for", NonSuccessKind::Error, "inconclusive", model.accounting.problems.clone());
    if model.journal.integrity == Integrity::Broken {
        let problems = model.journal.problems.iter().map(ToString::to_string).collect();
        add("Its journal is intact", NonSuccessKind::Error, "inconclusive", problems);
    }
    let leftovers = model.leftovers.iter().map(|l| format!("{}: {}", l.reference, l.why)).collect();
    add("It left nothing behind", NonSuccessKind::Failure, "leftover", leftovers);
    cases
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_status_has_its_element() {
        insta::assert_snapshot!(String::from_utf8(render(&sample::model()).unwrap()).unwrap());
    }

    #[test]
    fn another_reader_counts_the_same() {
        let model = sample::model();
        let report =
            Report::deserialize_from_str(&String::from_utf8(render(&model).unwrap()).unwrap()).unwrap();
        let cases: Vec<&TestCase> = report.test_suites.iter().flat_map(|suite| &suite.test_cases).collect();
        let of_run = 2; // the interrupt and the leftover
        assert_eq!(cases.len(), model.scenarios.len() + of_run);
        let count = |wanted: fn(&TestCaseStatus) -> bool| cases.iter().filter(|c| wanted(&c.status)).count();
        assert_eq!(count(|s| matches!(s, TestCaseStatus::Success { .. })), model.tally.passed);
        assert_eq!(
            count(|s| matches!(s, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. })),
            model.tally.failed + 1
        );
        assert_eq!(
            count(|s| matches!(s, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. })),
            model.tally.inconclusive + 1
        );
        assert_eq!(
            count(|s| matches!(s, TestCaseStatus::Skipped { .. })),
            model.tally.waived + model.tally.not_applicable + model.tally.not_run
        );
        let mut names: Vec<_> = cases.iter().map(|case| (&case.classname, case.name.as_str())).collect();
        names.sort_by_key(|(class, name)| (class.as_ref().map(|c| c.as_str().to_owned()), *name));
        names.dedup();
        assert_eq!(names.len(), cases.len(), "class and name together are unique");
    }

    /// What `junit-10.xsd` allows, as rules: element by element the attributes that may stand there, and the
    /// children that may follow.
    #[test]
    fn it_holds_to_the_strict_schema() {
        let xml = String::from_utf8(render(&sample::model()).unwrap()).unwrap();
        let allowed = |element: &str| -> (&[&str], &[&str]) {
            match element {
                "testsuites" => (&["name", "time", "tests", "failures", "errors"], &["testsuite"]),
                "testsuite" => (
                    &["name", "tests", "failures", "errors", "time", "skipped", "timestamp"],
                    &["properties", "testcase"],
                ),
                "properties" => (&[], &["property"]),
                "property" => (&["name", "value"], &[]),
                "testcase" => (
                    &["name", "time", "classname"],
                    &["skipped", "error", "failure", "system-out", "system-err"],
                ),
                "failure" | "error" | "skipped" => (&["type", "message"], &[]),
                "system-out" => (&[], &[]),
                other => panic!("`{other}` is no element of the schema"),
            }
        };
        let mut open: Vec<String> = Vec::new();
        for tag in xml.split('<').skip(2) {
            let inside = tag.split('>').next().unwrap();
            if let Some(name) = inside.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
                continue;
            }
            let (inside, empty) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
            let name = inside.split_whitespace().next().unwrap();
            if let Some(parent) = open.last() {
                assert!(allowed(parent).1.contains(&name), "<{name}> inside <{parent}>");
            }
            for attribute in
                inside[name.len()..].split("=\"").filter_map(|part| part.rsplit([' ', '"']).next())
            {
                assert!(
                    attribute.is_empty() || allowed(name).0.contains(&attribute),
                    "{attribute} of <{name}>"
                );
            }
            if !empty {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty());
    }

    #[test]
    fn a_run_that_came_to_nothing_is_red() {
        let xml = String::from_utf8(render(&Model::from_records(&[], &[])).unwrap()).unwrap();
        assert!(xml.contains("<error") && xml.contains("killed before its end"), "{xml}");
    }
}
