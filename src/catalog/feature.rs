//! From the text of a feature to scenarios of a plan.

use std::{collections::BTreeSet, path::PathBuf};

use cucumber::{feature::Ext as _, gherkin};
use gherkin::{GherkinEnv, StepType};

use super::{Code, Finding, Requirements, Source, Tag};
use crate::engine::{PlannedScenario, PlannedStep, ScenarioId};

/// A feature with its scenarios, outlines expanded.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Its text.
    pub source: Source,
    /// As written, outlines and all.
    pub written: gherkin::Feature,
    /// Every scenario and every row of an outline, in the order of the file.
    pub scenarios: Vec<Scenario>,
}

/// One scenario, or one row of an outline.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// As it goes into a plan; its deadline is zero unless a tag gives one.
    pub planned: PlannedScenario,
    /// The id without the row.
    pub outline: ScenarioId,
    /// The rule that it stands under, by its index in the feature.
    pub rule: Option<usize>,
    /// The scenario with the row's values filled in; its position is the row's.
    pub filled: gherkin::Scenario,
    /// The span of the heading of the scenario as written.
    pub heading: std::ops::Range<usize>,
}

impl Scenario {
    /// The steps in the order in which they run: those of the feature's background, of the rule's, its own.
    pub fn steps<'a>(&'a self, feature: &'a gherkin::Feature) -> impl Iterator<Item = &'a gherkin::Step> {
        let rule = self.rule.and_then(|rule| feature.rules.get(rule));
        background_steps(feature, rule).chain(&self.filled.steps)
    }
}

fn background_steps<'a>(
    feature: &'a gherkin::Feature,
    rule: Option<&'a gherkin::Rule>,
) -> impl Iterator<Item = &'a gherkin::Step> {
    let of_rule = rule.and_then(|rule| rule.background.as_ref());
    feature.background.iter().chain(of_rule).flat_map(|background| &background.steps)
}

/// Reads a feature. None if it cannot be read; what is wrong goes into `findings`.
pub(super) fn parse(
    source: Source,
    requirements: &Requirements,
    findings: &mut Vec<Finding>,
) -> Option<Feature> {
    let mut written = match gherkin::Feature::parse(source.text(), GherkinEnv::default()) {
        Ok(written) => written,
        Err(error) => {
            findings.push(syntax_error(&source, &error.to_string()));
            return None;
        }
    };
    written.path = Some(PathBuf::from(&source.file));
    let mut feature = Feature { source, written, scenarios: Vec::new() };
    for scenario in feature.written.scenarios.clone() {
        expand(&mut feature, None, &scenario, requirements, findings);
    }
    for (index, rule) in feature.written.rules.clone().into_iter().enumerate() {
        for scenario in &rule.scenarios {
            expand(&mut feature, Some(index), scenario, requirements, findings);
        }
    }
    Some(feature)
}

/// Adds the scenario, or its rows, to the feature.
fn expand(
    feature: &mut Feature,
    rule: Option<usize>,
    scenario: &gherkin::Scenario,
    requirements: &Requirements,
    findings: &mut Vec<Finding>,
) {
    let mut shell = feature.written.clone();
    shell.rules.clear();
    shell.scenarios = vec![scenario.clone()];
    let filled = match shell.expand_examples() {
        Ok(shell) => shell.scenarios,
        Err(error) => {
            let span = placeholder_span(&feature.source, scenario, &error.name);
            let columns: BTreeSet<_> = columns(scenario).collect();
            let message = format!("no column of the examples is named `{}`", error.name);
            findings.push(
                Finding::new(Code::UnknownPlaceholder, &feature.source, span, message)
                    .did_you_mean(super::nearest(&error.name, columns)),
            );
            return;
        }
    };
    let outline = ScenarioId(format!("{}/{}", feature.source.stem, slug(&scenario.name)));
    let rows = row_lines(&feature.source, scenario);
    let heading = heading(&feature.source, scenario.span.start);
    for (row, mut filled) in filled.into_iter().enumerate() {
        let id = if scenario.examples.is_empty() {
            outline.clone()
        } else {
            // The library counts on from the heading and so misses comments between the rows.
            if let Some(&line) = rows.get(row) {
                filled.position.line = line;
            }
            ScenarioId(format!("{outline}#{}", row + 1))
        };
        let planned = plan(feature, rule, &filled, id, requirements);
        let outline = outline.clone();
        feature.scenarios.push(Scenario { planned, outline, rule, filled, heading: heading.clone() });
    }
}

fn plan(
    feature: &Feature,
    rule: Option<usize>,
    filled: &gherkin::Scenario,
    id: ScenarioId,
    requirements: &Requirements,
) -> PlannedScenario {
    let rule = rule.and_then(|rule| feature.written.rules.get(rule));
    let inherited = feature.written.tags.iter().chain(rule.iter().flat_map(|rule| &rule.tags));
    let tags: BTreeSet<String> = inherited.chain(&filled.tags).cloned().collect();
    let background = background_steps(&feature.written, rule).map(|step| planned_step(step, true));
    let own = filled.steps.iter().map(|step| planned_step(step, false));
    let mut planned = PlannedScenario {
        id,
        file: feature.source.file.clone(),
        line: filled.position.line,
        feature: feature.written.name.clone(),
        name: filled.name.clone(),
        steps: background.chain(own).collect(),
        ..PlannedScenario::default()
    };
    for tag in &tags {
        match Tag::parse(tag, requirements) {
            Ok(Tag::Requirement(id)) => planned.requirements.push(id),
            Ok(Tag::Needs(capability)) => planned.needs.push(capability.name().to_owned()),
            Ok(Tag::Risk(risk)) => planned.risk = planned.risk.max(risk),
            Ok(Tag::Serial) => planned.serial = true,
            Ok(Tag::Lock(name)) => planned.locks.push(name),
            Ok(Tag::Deadline(time)) => {
                planned.deadline_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            }
            Ok(Tag::Level(_) | Tag::Slow) | Err(_) => {}
        }
    }
    planned.tags = tags.into_iter().collect();
    planned
}

fn planned_step(step: &gherkin::Step, background: bool) -> PlannedStep {
    let keyword = match step.ty {
        StepType::Given => "Given",
        StepType::When => "When",
        StepType::Then => "Then",
    };
    PlannedStep { keyword: keyword.into(), text: step.value.clone(), line: step.position.line, background }
}

/// The names of the columns of an outline.
pub(super) fn columns(scenario: &gherkin::Scenario) -> impl Iterator<Item = &str> {
    let tables = scenario.examples.iter().filter_map(|examples| examples.table.as_ref());
    tables.filter_map(|table| table.rows.first()).flatten().map(String::as_str)
}

/// The line of each row of values, over all examples of the outline.
fn row_lines(source: &Source, scenario: &gherkin::Scenario) -> Vec<usize> {
    let tables = scenario.examples.iter().filter_map(|examples| examples.table.as_ref());
    tables
        .flat_map(|table| {
            let (first, _) = source.place(table.span.start);
            let text = source.text().get(table.span.start..table.span.end).unwrap_or_default();
            let rows = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with('|'));
            rows.skip(1).map(move |(line, _)| first + line).collect::<Vec<_>>()
        })
        .collect()
}

/// The span of the line that begins at or holds `start`, without the space around it.
pub(super) fn heading(source: &Source, start: usize) -> std::ops::Range<usize> {
    let rest = source.text().get(start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    start + indent..start + line.trim_end().len().max(indent)
}

fn placeholder_span(source: &Source, scenario: &gherkin::Scenario, name: &str) -> std::ops::Range<usize> {
    let text = source.text().get(scenario.span.start..scenario.span.end).unwrap_or_default();
    let placeholder = format!("<{name}>");
    match text.find(&placeholder) {
        Some(offset) => {
            let start = scenario.span.start + offset;
            start..start + placeholder.len()
        }
        None => heading(source, scenario.span.start),
    }
}

/// Lower-case letters and digits, everything else a single dash.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for sign in name.chars() {
        if sign.is_alphanumeric() {
            slug.extend(sign.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') && sign != '\'' && sign != '\u{2019}' {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// Keywords that begin a line, for the explanation of a syntax error.
const KEYWORDS: [&str; 15] = [
    "Feature:",
    "Background:",
    "Rule:",
    "Scenario:",
    "Scenario Outline:",
    "Example:",
    "Examples:",
    "Given",
    "When",
    "Then",
    "And",
    "But",
    "Feature",
    "Scenario",
    "Background",
];

/// The library names the place and a set of tokens of its grammar; the words here are ours.
fn syntax_error(source: &Source, error: &str) -> Finding {
    let place = error.strip_prefix("Error at ").and_then(|rest| {
        let mut numbers = rest.split(':');
        Some((numbers.next()?.parse::<usize>().ok()?, numbers.next()?.parse::<usize>().ok()?))
    });
    let (line, column) = place.unwrap_or((1, 1));
    // The reader often gives up at the start of the line after; a blank or missing line is nobody's fault.
    let lines: Vec<&str> = source.text().split_inclusive('\n').collect();
    let mut index = line.saturating_sub(1).min(lines.len().saturating_sub(1));
    while index > 0 && lines.get(index).is_none_or(|line| line.trim().is_empty()) {
        index -= 1;
    }
    // A line that fits is not to blame: the reader stumbled over the one before it.
    if let Some(before) = culprit(&lines, index) {
        index = before;
    }
    let language = unknown_language(source.text());
    if let Some((_, line)) = language {
        index = line;
    }
    let start: usize = lines.iter().take(index).map(|line| line.len()).sum();
    let text = lines.get(index).map_or("", |line| line.trim_end());
    let span = if index + 1 == line {
        let skip: usize = text.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum();
        let skip = if skip >= text.len() { text.len() - text.trim_start().len() } else { skip };
        start + skip..start + text.len()
    } else {
        start + (text.len() - text.trim_start().len())..start + text.len()
    };

    let word = text.split_whitespace().next().unwrap_or_default();
    let (message, help): (String, Option<String>) = if text.is_empty() {
        ("the feature is empty".into(), Some("begin with `Feature: NAME`".into()))
    } else if let Some((language, _)) = language {
        (format!("unknown language `{language}`"), Some("leave the line out for English".into()))
    } else if text.trim_start().starts_with('|') {
        ("the rows of this table differ in their number of cells".into(), None)
    } else if text.trim_start().starts_with('@') {
        ("tags must stand right before a Feature, Rule, Scenario or Examples".into(), None)
    } else {
        let known = KEYWORDS.contains(&word) || KEYWORDS.contains(&text.trim());
        let nearest = (!known).then(|| super::nearest(word, KEYWORDS)).flatten();
        let help = match nearest {
            Some(nearest) => Some(format!("did you mean `{nearest}`?")),
            None if matches!(word, "Feature" | "Scenario" | "Background" | "Examples" | "Rule") => {
                Some(format!("write `{word}:` with a colon"))
            }
            None => Some(
                "here may stand a step (Given, When, Then, And, But), a table, a tag, or the heading of the \
                 next scenario"
                    .into(),
            ),
        };
        ("this line does not belong here".into(), help)
    };
    let finding = Finding::new(Code::Syntax, source, span, message);
    match help {
        Some(help) => finding.help(help),
        None => finding,
    }
}

/// The line before `index`, if that one is no part of Gherkin while the line at `index` is.
fn culprit(lines: &[&str], index: usize) -> Option<usize> {
    let fits = |line: &str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        line.starts_with(['|', '@', '#'])
            || line.starts_with("\"\"\"")
            || KEYWORDS.contains(&word)
            || line.contains(':') && KEYWORDS.iter().any(|keyword| line.starts_with(keyword))
    };
    lines.get(index).filter(|line| fits(line.trim()))?;
    let before =
        (0..index).rev().find(|before| lines.get(*before).is_some_and(|line| !line.trim().is_empty()))?;
    lines.get(before).filter(|line| !fits(line.trim())).map(|_| before)
}

/// The language that a feature asks for, with its line, if there is no such language.
fn unknown_language(text: &str) -> Option<(&str, usize)> {
    let comments = text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with('#'));
    let directive = |(line, text): (usize, &'_ str)| -> Option<(usize, usize)> {
        let language = text.strip_prefix('#')?.trim().strip_prefix("language")?.trim().strip_prefix(':')?;
        Some((line, language.trim().len()))
    };
    let (line, length) = comments.enumerate().find_map(directive)?;
    let text = text.lines().nth(line)?.trim_end();
    let language = text.get(text.len() - length..)?;
    (!gherkin::is_language_supported(language)).then_some((language, line))
}
