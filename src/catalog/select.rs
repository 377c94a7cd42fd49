//! Which scenarios are meant: one rule for the command line and for suites.

use gherkin::tagexpr::TagOperation;

use super::{Catalog, Scenario, Tag, nearest, tags::looks_like_requirement};
use crate::profile::glob_matches;

/// A selection that names something which does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectError {
    /// One lower-case sentence.
    pub message: String,
    /// What was probably meant, or where to look.
    pub help: Option<String>,
}

impl miette::Diagnostic for SelectError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }
}

impl SelectError {
    pub(super) fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
        list: &str,
    ) -> Self {
        let help = match nearest(name, known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("`plimsoll list {list}` shows them all"),
        };
        Self { message: format!("unknown {what} `{name}`"), help: Some(help) }
    }
}

/// Criteria, checked against the catalog.
#[derive(Clone, Debug, Default)]
pub(super) struct Criteria {
    tags: Option<TagOperation>,
    requirements: Vec<String>,
    scenarios: Vec<String>,
}

impl Criteria {
    /// Checks every name.
    pub fn new<'a>(
        catalog: &Catalog,
        tags: Option<&str>,
        requirements: impl IntoIterator<Item = &'a str>,
        scenarios: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SelectError> {
        let tags = tags.map(|text| parse_tags(catalog, text)).transpose()?;
        let requirements = requirements.into_iter().map(|id| known_requirement(catalog, id));
        let scenarios = scenarios.into_iter().map(|pattern| known_scenario(catalog, pattern));
        Ok(Self {
            tags,
            requirements: requirements.collect::<Result<_, _>>()?,
            scenarios: scenarios.collect::<Result<_, _>>()?,
        })
    }

    /// What is left out: each name is a requirement's, a tag's or a scenario's.
    pub fn skip<'a>(
        catalog: &Catalog,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, SelectError> {
        names
            .into_iter()
            .map(|name| {
                if name.starts_with('@') {
                    Self::new(catalog, Some(name), [], [])
                } else if looks_like_requirement(name) {
                    Self::new(catalog, None, [name], [])
                } else {
                    Self::new(catalog, None, [], [name])
                }
            })
            .collect()
    }

    /// Whether a scenario meets every kind of criteria.
    pub fn matches(&self, scenario: &Scenario) -> bool {
        let planned = &scenario.planned;
        self.tags.as_ref().is_none_or(|tags| holds(tags, &planned.tags))
            && (self.requirements.is_empty()
                || self.requirements.iter().any(|id| planned.requirements.contains(id)))
            && (self.scenarios.is_empty() || self.scenarios.iter().any(|pattern| names(pattern, scenario)))
    }
}

fn holds(expression: &TagOperation, tags: &[String]) -> bool {
    match expression {
        TagOperation::And(a, b) => holds(a, tags) && holds(b, tags),
        TagOperation::Or(a, b) => holds(a, tags) || holds(b, tags),
        TagOperation::Not(a) => !holds(a, tags),
        TagOperation::Tag(tag) => tags.contains(tag),
    }
}

/// Whether a pattern names a scenario: by its id, with or without the row; by the last part of that; by its
/// feature, or a folder of features.
fn names(pattern: &str, scenario: &Scenario) -> bool {
    let (id, outline) = (&scenario.planned.id.0, &scenario.outline.0);
    let last = |id: &'_ str| id.rsplit('/').next().unwrap_or_default().to_owned();
    let below = |prefix: &str| outline.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    [id.clone(), outline.clone(), last(id), last(outline)].iter().any(|name| glob_matches(pattern, name))
        || below(pattern.trim_end_matches('/'))
}

fn known_scenario(catalog: &Catalog, pattern: &str) -> Result<String, SelectError> {
    if catalog.scenarios().any(|scenario| names(pattern, scenario)) {
        return Ok(pattern.to_owned());
    }
    let ids: Vec<&str> = catalog.scenarios().map(|scenario| scenario.outline.0.as_str()).collect();
    let last = |id: &'_ str| id.rsplit('/').next().map(ToOwned::to_owned);
    let lasts: Vec<String> = ids.iter().filter_map(|id| last(id)).collect();
    let known = ids.iter().copied().chain(lasts.iter().map(String::as_str));
    Err(SelectError::unknown("scenario", pattern, known, "scenarios"))
}

fn known_requirement(catalog: &Catalog, id: &str) -> Result<String, SelectError> {
    let id = id.trim_start_matches('@');
    if catalog.requirements().get(id).is_some() {
        return Ok(id.to_owned());
    }
    let known = catalog.requirements().iter().map(|requirement| requirement.id.as_str());
    Err(SelectError::unknown("requirement", id, known, "requirements"))
}

fn parse_tags(catalog: &Catalog, text: &str) -> Result<TagOperation, SelectError> {
    let operation: TagOperation = text.trim().parse().map_err(|error: peg_error::TagParseError| {
        let place = error.location.column;
        SelectError {
            message: format!("`{text}` is not a tag expression: it breaks off at character {place}"),
            help: Some(match without_at(text) {
                Some(word) => format!("a tag begins with `@`: write `@{word}`"),
                None => {
                    "write it like '@NET-02 and not @slow'; there are and, or, not and parentheses".into()
                }
            }),
        }
    })?;
    let mut open = vec![&operation];
    while let Some(operation) = open.pop() {
        match operation {
            TagOperation::And(a, b) | TagOperation::Or(a, b) => open.extend([&**a, &**b]),
            TagOperation::Not(a) => open.push(a),
            TagOperation::Tag(tag) => {
                if Tag::parse(tag, catalog.requirements()).is_err() {
                    let known = Tag::vocabulary(catalog.requirements());
                    return Err(SelectError::unknown("tag", tag, known.iter().map(String::as_str), "tags"));
                }
            }
        }
    }
    Ok(operation)
}

/// The first word of a tag expression that would be a tag, were it not for its `@`.
fn without_at(text: &str) -> Option<&str> {
    text.split(|sign: char| sign.is_whitespace() || "()".contains(sign)).find(|word| {
        let operator = ["and", "or", "not"].iter().any(|known| word.eq_ignore_ascii_case(known));
        !operator && word.starts_with(char::is_alphanumeric)
    })
}

mod peg_error {
    use std::str::FromStr;

    use gherkin::tagexpr::TagOperation;

    /// The error of the library's reader, whose own crate is none of ours.
    pub type TagParseError = <TagOperation as FromStr>::Err;
}
