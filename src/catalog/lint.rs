//! Every rule that a feature and a suite must keep. Rules about single lines are in `wording`.

use std::collections::{BTreeMap, HashMap, HashSet};

use cucumber::gherkin;
use gherkin::StepType;

use super::{
    Catalog, Code, Feature, Finding, Scenario, Source, Tag, TagError,
    feature::{columns, heading},
    nearest,
    plan::{SuiteFilter, criteria},
    suite,
    tags::looks_like_requirement,
    wording,
};
use crate::engine::Level;

pub use super::wording::Denials;

/// What the step definitions say to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Exactly one fits.
    One,
    /// None fits; the nearest, in words.
    None {
        /// Its text, with the parameters as `{}`.
        nearest: Option<String>,
    },
    /// Several fit; each with its place.
    Many(Vec<String>),
}

/// The step definitions, as far as lint needs them.
pub trait StepMatcher {
    /// Which definitions fit.
    fn find(&self, step: &gherkin::Step) -> Match;
}

/// Checks everything. The findings are sorted by file and place.
pub fn lint(catalog: &Catalog, steps: &dyn StepMatcher, denials: &Denials) -> Vec<Finding> {
    let mut lint = Lint { catalog, steps, denials, findings: catalog.findings().to_vec() };
    for feature in catalog.features() {
        lint.feature(feature);
    }
    lint.duplicates();
    lint.unproven();
    lint.suites();
    let mut findings = lint.findings;
    findings.sort_by(|a, b| {
        (&a.file, a.line, a.column, a.code, &a.message).cmp(&(&b.file, b.line, b.column, b.code, &b.message))
    });
    // The rows of an outline share its lines: what is wrong with all of them is said once.
    let mut seen = HashSet::new();
    findings.retain(|finding| {
        let message = (finding.code == Code::UnprovenRequirement).then(|| finding.message.clone());
        seen.insert((finding.file.clone(), finding.line, finding.column, finding.code, message))
    });
    findings
}

struct Lint<'a> {
    catalog: &'a Catalog,
    steps: &'a dyn StepMatcher,
    denials: &'a Denials,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn feature(&mut self, feature: &Feature) {
        let source = &feature.source;
        let written = &feature.written;
        if written.name.trim().is_empty() {
            let span = heading(source, written.span.start);
            self.findings.push(Finding::new(Code::NoName, source, span, "the feature has no name"));
        }
        self.tags(source, &written.tags, written.span.start);
        self.findings.extend(wording::stray_lines(source, written));
        let in_rules = written.rules.iter().flat_map(|rule| &rule.scenarios);
        for rule in &written.rules {
            self.tags(source, &rule.tags, rule.span.start);
        }
        for scenario in written.scenarios.iter().chain(in_rules) {
            self.outline(source, scenario);
        }
        let backgrounds = written.background.iter();
        let of_rules = written.rules.iter().filter_map(|rule| rule.background.as_ref());
        for step in backgrounds.chain(of_rules).flat_map(|background| &background.steps) {
            self.step(source, step);
        }
        for scenario in &feature.scenarios {
            self.scenario(feature, scenario);
        }
    }

    /// What can be said of a scenario as written, before its rows are filled in.
    fn outline(&mut self, source: &Source, scenario: &gherkin::Scenario) {
        let span = heading(source, scenario.span.start);
        let mut find = |code, message: &str| {
            self.findings.push(Finding::new(code, source, span.clone(), message));
        };
        if scenario.name.trim().is_empty() {
            find(Code::NoName, "the scenario has no name");
        }
        if scenario.steps.is_empty() {
            find(Code::NoSteps, "the scenario has no steps");
        } else if !scenario.steps.iter().any(|step| step.ty == StepType::Then) {
            find(Code::NoAssertion, "the scenario has no Then step");
        }
        let is_outline = scenario.keyword.contains("Outline") || scenario.keyword.contains("Template");
        if is_outline && scenario.examples.is_empty() {
            find(Code::EmptyExamples, "the outline has no examples");
        }
        for examples in &scenario.examples {
            self.tags(source, &examples.tags, examples.span.start);
            let rows = examples.table.as_ref().map_or(0, |table| table.rows.len().saturating_sub(1));
            if rows == 0 {
                let span = heading(source, examples.span.start);
                self.findings.push(Finding::new(
                    Code::EmptyExamples,
                    source,
                    span,
                    "these examples have no row, so nothing of them would run",
                ));
            }
        }
        let text = source.text().get(scenario.span.start..scenario.span.end).unwrap_or_default();
        for column in columns(scenario).filter(|column| !text.contains(&format!("<{column}>"))) {
            let start = text.find(&format!(" {column} ")).map_or(0, |offset| offset + 1);
            let start = scenario.span.start + start;
            let message = format!("no step uses the column `{column}`");
            self.findings.push(Finding::new(
                Code::UnusedColumn,
                source,
                start..start + column.len(),
                message,
            ));
        }
        self.tags(source, &scenario.tags, scenario.span.start);
    }

    /// Tags as written above a heading that begins at `start`.
    fn tags(&mut self, source: &Source, tags: &[String], start: usize) {
        for tag in tags {
            let span = tag_span(source, tag, start);
            let requirements = self.catalog.requirements();
            match Tag::parse(tag, requirements) {
                Ok(_) => {}
                Err(TagError::UnknownRequirement) => {
                    let known = requirements.iter().map(|requirement| requirement.id.as_str());
                    self.findings.push(
                        Finding::new(
                            Code::UnknownRequirement,
                            source,
                            span,
                            format!("unknown requirement `{tag}`"),
                        )
                        .did_you_mean(nearest(tag, known)),
                    );
                }
                Err(TagError::Unknown) => {
                    let known = Tag::vocabulary(requirements);
                    let nearest = nearest(tag, known.iter().map(String::as_str)).map(|tag| format!("@{tag}"));
                    self.findings.push(
                        Finding::new(Code::UnknownTag, source, span, format!("unknown tag `@{tag}`"))
                            .did_you_mean(nearest),
                    );
                }
            }
        }
    }

    /// What can be said of a scenario with its row filled in and its tags inherited.
    fn scenario(&mut self, feature: &Feature, scenario: &Scenario) {
        let source = &feature.source;
        let planned = &scenario.planned;
        let span = scenario.heading.clone();
        let mut find = |code, message: String| {
            self.findings.push(Finding::new(code, source, span.clone(), message));
        };
        if planned.requirements.is_empty() && !planned.tags.iter().any(|tag| looks_like_requirement(tag)) {
            find(
                Code::NoRequirement,
                "neither the scenario nor its feature carries a requirement's id".into(),
            );
        }
        let tags: Vec<Tag> =
            planned.tags.iter().filter_map(|tag| Tag::parse(tag, self.catalog.requirements()).ok()).collect();
        let levels: Vec<Level> = tags
            .iter()
            .filter_map(|tag| if let Tag::Level(level) = tag { Some(*level) } else { None })
            .collect();
        match levels.as_slice() {
            [] => find(Code::WrongLevel, "neither `@must` nor `@should`".into()),
            [level] => {
                for id in &planned.requirements {
                    let promised = self.catalog.requirements().get(id).map(|requirement| requirement.level);
                    if let Some(promised) = promised.filter(|promised| promised != level) {
                        find(
                            Code::WrongLevel,
                            format!("tagged `@{}`, but {id} is a {}", word(*level), word(promised)),
                        );
                    }
                }
            }
            _ => find(Code::WrongLevel, "both `@must` and `@should`, inherited ones included".into()),
        }
        for (what, count) in [
            ("risk", tags.iter().filter(|tag| matches!(tag, Tag::Risk(_))).count()),
            ("deadline", tags.iter().filter(|tag| matches!(tag, Tag::Deadline(_))).count()),
        ] {
            if count > 1 {
                find(
                    Code::ConflictingTags,
                    format!("{count} tags about its {what}, inherited ones included"),
                );
            }
        }
        for step in &scenario.filled.steps {
            self.step(source, step);
        }
        let steps: Vec<&gherkin::Step> = scenario.steps(&feature.written).collect();
        if let Some(step) = self.denials.without_control(&steps) {
            let span = step_span(source, step);
            self.findings.push(
                Finding::new(
                    Code::DenialWithoutControl,
                    source,
                    span,
                    "a denial, but no step of the scenario names its positive control",
                )
                .help("add the step that says where, just before and just after, the same was OPEN"),
            );
        }
    }

    fn step(&mut self, source: &Source, step: &gherkin::Step) {
        let span = step_span(source, step);
        match self.steps.find(step) {
            Match::One => {}
            Match::None { nearest } => {
                let message = format!("no step definition fits `{}`", step.value);
                self.findings.push(
                    Finding::new(Code::UndefinedStep, source, span.clone(), message).did_you_mean(nearest),
                );
            }
            Match::Many(places) => {
                let message = format!("{} step definitions fit `{}`", places.len(), step.value);
                self.findings.push(
                    Finding::new(Code::AmbiguousStep, source, span.clone(), message).help(places.join("\n")),
                );
            }
        }
        if let Some(message) = wording::not_declarative(step) {
            self.findings.push(Finding::new(Code::NotDeclarative, source, span, message));
        }
    }

    fn duplicates(&mut self) {
        let mut first: HashMap<&str, (&Feature, &Scenario)> = HashMap::new();
        for feature in self.catalog.features() {
            for scenario in &feature.scenarios {
                let id = scenario.planned.id.0.as_str();
                let Some((other, before)) = first.insert(id, (feature, scenario)) else { continue };
                let (line, _) = other.source.place(before.heading.start);
                self.findings.push(
                    Finding::new(
                        Code::DuplicateScenario,
                        &feature.source,
                        scenario.heading.clone(),
                        format!("the id `{}` is already taken", scenario.outline),
                    )
                    .help(format!("by {}:{line}", other.source.file)),
                );
            }
        }
    }

    fn unproven(&mut self) {
        // While some feature cannot be read, nobody knows what it would prove.
        if self.catalog.findings().iter().any(|finding| finding.code == Code::Syntax) {
            return;
        }
        let proven: HashSet<&str> = self
            .catalog
            .scenarios()
            .flat_map(|scenario| scenario.planned.requirements.iter().map(String::as_str))
            .collect();
        for requirement in self.catalog.requirements().iter() {
            let proven = proven.contains(requirement.id.as_str());
            if proven && requirement.planned {
                self.findings.push(Finding::without_text(
                    Code::PlannedButProven,
                    "src/catalog/requirements.yaml",
                    format!("{} is marked as planned, but scenarios prove it", requirement.id),
                ));
            } else if !proven && !requirement.planned {
                self.findings.push(Finding::without_text(
                    Code::UnprovenRequirement,
                    "src/catalog/requirements.yaml",
                    format!("no scenario proves {}: {}", requirement.id, requirement.promise),
                ));
            }
        }
    }

    fn suites(&mut self) {
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in self.catalog.suites() {
            let name = &entry.suite.metadata.name;
            if let Some(other) = names.insert(name, &entry.source.file) {
                self.findings.push(Finding::new(
                    Code::SuiteSyntax,
                    &entry.source,
                    0..0,
                    format!("the name `{name}` is already taken by {other}"),
                ));
            }
            let spec = &entry.suite.spec;
            let mut sound = true;
            for selector in spec.include.iter().chain(&spec.exclude) {
                let words = selector.tags.iter().chain(&selector.requirements).chain(&selector.scenarios);
                let at = words.clone().next().map_or(0..0, |word| suite::span(&entry.source, word.defined));
                let finding = match criteria(self.catalog, selector) {
                    Ok(criteria) if self.catalog.scenarios().any(|scenario| criteria.matches(scenario)) => {
                        None
                    }
                    Ok(_) => Some(Finding::new(
                        Code::SuiteSelectsNothing,
                        &entry.source,
                        at,
                        "no scenario meets this selector",
                    )),
                    Err(error) => {
                        let word =
                            words.clone().find(|word| error.message.contains(&format!("`{}`", word.value)));
                        let at = word.map_or(at, |word| suite::span(&entry.source, word.defined));
                        let finding =
                            Finding::new(Code::SuiteSelectsNothing, &entry.source, at, error.message);
                        Some(match error.help {
                            Some(help) => finding.help(help),
                            None => finding,
                        })
                    }
                };
                sound &= finding.is_none();
                self.findings.extend(finding);
            }
            if sound
                && let Ok(filter) = SuiteFilter::new(self.catalog, entry)
                && !self.catalog.scenarios().any(|scenario| filter.holds(scenario))
            {
                self.findings.push(Finding::new(
                    Code::SuiteSelectsNothing,
                    &entry.source,
                    0..0,
                    format!("the suite `{name}` selects no scenario"),
                ));
            }
        }
    }
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::Must => "must",
        Level::Should => "should",
    }
}

fn step_span(source: &Source, step: &gherkin::Step) -> std::ops::Range<usize> {
    heading(source, step.span.start)
}

/// The place of a tag above the heading that begins at `start`. Tags carry no place of their own.
fn tag_span(source: &Source, tag: &str, start: usize) -> std::ops::Range<usize> {
    let marked = format!("@{tag}");
    let before = source.text().get(..start).unwrap_or_default();
    let whole = |offset: &usize| {
        let rest = before.get(offset + marked.len()..).unwrap_or_default();
        rest.chars().next().is_none_or(|sign| sign.is_whitespace() || sign == '@')
    };
    let place = before.match_indices(&marked).map(|(offset, _)| offset).filter(whole).last();
    match place {
        Some(offset) => offset..offset + marked.len(),
        None => heading(source, start),
    }
}
