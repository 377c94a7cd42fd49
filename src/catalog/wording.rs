//! Rules about the words of a feature.

use cucumber::gherkin;
use regex::Regex;

use super::{Code, Finding, Source, nearest};
use crate::bdd::{Polarity, StepPolarity};

/// Which steps deny and which are the controls of a denial.
///
/// A step that names a verdict of denial denies, whether or not the table of step definitions says so: a
/// denial must not escape the rule because somebody forgot a row.
#[derive(Debug)]
pub struct Denials {
    verdicts: Regex,
    open_around: Regex,
    table: Vec<(Regex, Polarity)>,
}

impl Denials {
    /// The rule by words, with the table on top of it.
    pub fn new(table: &[StepPolarity]) -> Result<Self, regex::Error> {
        Ok(Self {
            verdicts: Regex::new(
                r"\b(DROPPED|REJECTED|REFUSED|FORBIDDEN|ADMISSION_DENIED|QUOTA_EXCEEDED|RATE_LIMITED|TLS_FAILED|DNS_FAILED|UNAUTHENTICATED)\b",
            )?,
            open_around: Regex::new(r"\b(OPEN|could do so)\b.*\bjust before and just after\b")?,
            table: table
                .iter()
                .map(|row| Ok((Regex::new(row.text)?, row.polarity)))
                .collect::<Result<_, regex::Error>>()?,
        })
    }

    /// The first step that denies, if no step of the scenario is its control.
    pub(super) fn without_control<'a>(&self, steps: &[&'a gherkin::Step]) -> Option<&'a gherkin::Step> {
        let mut denial = None;
        for step in steps {
            match self.polarity(&step.value) {
                Some(Polarity::Controls | Polarity::DeniesWithControl) => return None,
                Some(Polarity::Denies) => denial = denial.or(Some(*step)),
                None => {}
            }
        }
        denial
    }

    fn polarity(&self, text: &str) -> Option<Polarity> {
        let listed = self.table.iter().find(|(regex, _)| regex.is_match(text)).map(|(_, polarity)| *polarity);
        listed.or_else(|| {
            if self.open_around.is_match(text) {
                Some(Polarity::Controls)
            } else {
                self.verdicts.is_match(text).then_some(Polarity::Denies)
            }
        })
    }
}

/// What in a step belongs into a step definition or the profile.
pub(super) fn not_declarative(step: &gherkin::Step) -> Option<String> {
    let text = step.value.to_lowercase();
    let words: Vec<&str> = text
        .split(|sign: char| !sign.is_alphanumeric() && sign != ':')
        .filter(|word| !word.is_empty())
        .collect();
    let pairs = || words.windows(2).filter_map(|pair| <&[&str; 2]>::try_from(pair).ok());
    let number = |word: &str| word.parse::<u64>().is_ok();
    let after =
        |word: &str, units: &[&str]| units.iter().any(|unit| word.strip_suffix(unit).is_some_and(&number));
    const UNITS: [&str; 10] =
        ["s", "ms", "sec", "secs", "second", "seconds", "minute", "minutes", "millisecond", "milliseconds"];

    let manifest =
        step.docstring.as_deref().is_some_and(|text| text.contains("kind:") || text.contains("apiVersion:"));
    if manifest || text.contains("apiversion:") {
        return Some("a manifest in a step".into());
    }
    if words.iter().any(|word| word.starts_with("sleep"))
        || words.iter().any(|word| after(word, &["s", "ms"]))
        || pairs().any(|[count, unit]| number(count) && UNITS.contains(unit))
    {
        return Some("a waiting time in a step".into());
    }
    let colon_port = |word: &&str| {
        word.rsplit_once(':').is_some_and(|(_, port)| port.len() > 1 && port.parse::<u16>().is_ok())
    };
    if words.iter().any(colon_port)
        || pairs().any(|[a, b]| *a == "port" && number(b) || number(a) && ["tcp", "udp", "sctp"].contains(b))
    {
        return Some("a port number in a step".into());
    }
    None
}

/// Words that begin a step, and what people write for them.
const STEP_WORDS: [&str; 5] = ["Given", "When", "Then", "And", "But"];

/// Lines of descriptions that read like a step whose keyword is misspelled. A description is otherwise free.
pub(super) fn stray_lines(source: &Source, feature: &gherkin::Feature) -> Vec<Finding> {
    let in_rules = feature.rules.iter().flat_map(|rule| &rule.scenarios);
    let scenarios = feature.scenarios.iter().chain(in_rules);
    let descriptions = scenarios.map(|scenario| (scenario.span, scenario.description.as_deref())).chain(
        feature.background.iter().map(|background| (background.span, background.description.as_deref())),
    );
    let mut findings = Vec::new();
    for (span, description) in descriptions {
        let lines = description.into_iter().flat_map(str::lines);
        for line in lines.map(str::trim) {
            let Some(word) = line.split_whitespace().next() else { continue };
            // `Giventhe` and `given` are as lost as `Givne`.
            let near = STEP_WORDS
                .into_iter()
                .find(|step| word.eq_ignore_ascii_case(step))
                .or_else(|| nearest(word, STEP_WORDS).filter(|step| word.len().abs_diff(step.len()) <= 2));
            let Some(near) = near else { continue };
            let text = source.text().get(span.start..span.end).unwrap_or_default();
            let Some(offset) = text.find(line) else { continue };
            let start = span.start + offset;
            let message = format!("`{word}` begins no step, so this line is a description");
            findings.push(
                Finding::new(Code::StrayLine, source, start..start + line.len(), message)
                    .did_you_mean(Some(near)),
            );
        }
    }
    findings
}
