//! Everything that `plimsoll explain` knows and that the reference documentation lists: one table.

use std::collections::BTreeSet;

use crate::catalog::{self, Code, Requirement, Requirements};
use crate::engine::{Level, Outcome};
use crate::exit::Exit;
use crate::probe::VerdictKind;
use crate::profile::Capability;

/// What kind of thing a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TopicKind {
    /// A promise of the platform.
    Requirement,
    /// What one attempt came to.
    Verdict,
    /// What became of a scenario.
    Outcome,
    /// A part that a platform may have.
    Capability,
    /// A tag of a feature.
    Tag,
    /// What lint can find.
    Code,
    /// How the program ended.
    ExitCode,
}

impl TopicKind {
    /// The closed vocabularies, with their titles in the reference.
    pub(super) const VOCABULARIES: [(Self, &'static str); 6] = [
        (Self::Verdict, "Verdicts"),
        (Self::Outcome, "Outcomes"),
        (Self::Capability, "Capabilities"),
        (Self::Tag, "Tags"),
        (Self::Code, "Codes of lint"),
        (Self::ExitCode, "Exit codes"),
    ];

    /// The word for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Requirement => "requirement",
            Self::Verdict => "verdict",
            Self::Outcome => "outcome",
            Self::Capability => "capability",
            Self::Tag => "tag",
            Self::Code => "code",
            Self::ExitCode => "exit code",
        }
    }
}

/// One thing that can be explained.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    /// The name to ask for.
    pub id: String,
    /// What it is.
    pub kind: TopicKind,
    /// One line.
    pub meaning: String,
    /// Further lines: name and value.
    pub facts: Vec<(&'static str, String)>,
}

impl Topic {
    fn new(id: impl Into<String>, kind: TopicKind, meaning: impl Into<String>) -> Self {
        Self { id: id.into(), kind, meaning: meaning.into(), facts: Vec::new() }
    }
}

/// The tags that are neither a requirement's nor a capability's.
const TAGS: [(&str, &str); 9] = [
    ("must", "proves a requirement that the platform is not conformant without"),
    ("should", "proves a requirement that is reported and counted apart"),
    ("risk-none", "touches its own throwaway tenants only"),
    ("risk-load", "loads what it shares with others, within its quota"),
    ("risk-fault", "breaks something on purpose, undone by itself"),
    ("serial", "runs alone, with nothing beside it"),
    ("slow", "is left out of quick suites"),
    ("lock-NAME", "does not run beside another scenario with the same lock"),
    (
        "deadline-TIME",
        "has its own deadline instead of the profile's: deadline-5m; a more patient profile stretches it",
    ),
];

/// What else ends as SIGTERM does.
const LOST_TERMINAL: &str =
    "a terminal that is lost (SIGHUP) ends a run the same way, unless that is ignored: `nohup`";

/// What is to be known of a requirement that is planned.
pub(super) const UNPROVEN: &str = "no scenario proves it yet";

/// Every topic, by kind, each kind in the order of the documentation.
pub(super) fn all(requirements: &Requirements) -> Vec<Topic> {
    let mut topics: Vec<Topic> = requirements.iter().map(requirement).collect();
    topics.extend(
        VerdictKind::ALL.into_iter().map(|kind| Topic::new(kind.word(), TopicKind::Verdict, verdict(kind))),
    );
    topics.extend(
        Outcome::ALL.into_iter().map(|word| Topic::new(word.word(), TopicKind::Outcome, outcome(word))),
    );
    topics.extend(Capability::ALL.into_iter().map(|capability| {
        let mut topic = Topic::new(capability.name(), TopicKind::Capability, capability.meaning());
        topic.facts.push(("tag", format!("@needs-{}", capability.name())));
        topic
    }));
    topics.extend(TAGS.into_iter().map(|(tag, meaning)| Topic::new(tag, TopicKind::Tag, meaning)));
    topics.extend(Code::ALL.iter().map(|code| {
        let mut topic = Topic::new(code.id(), TopicKind::Code, code.title());
        topic.facts.push(("what to do", code.explanation().to_owned()));
        topic
    }));
    topics.extend(Exit::ALL.into_iter().map(|exit| {
        let mut topic = Topic::new(format!("exit-{}", exit.code()), TopicKind::ExitCode, exit.meaning());
        if exit == Exit::Terminated {
            topic.facts.push(("also", LOST_TERMINAL.to_owned()));
        }
        topic
    }));
    topics
}

/// The topic that a word means, however it is written: `net-02`, `@needs-dns`, `open`, `3`.
pub(super) fn find<'a>(topics: &'a [Topic], word: &str) -> Option<&'a Topic> {
    let bare = word.trim().trim_start_matches('@');
    let bare = bare.strip_prefix("needs-").unwrap_or(bare);
    topics.iter().find(|topic| topic.id.eq_ignore_ascii_case(bare)).or_else(|| {
        let exit = format!("exit-{bare}");
        topics.iter().find(|topic| topic.id == exit)
    })
}

/// The names nearest to a word that means nothing, best first.
pub(super) fn nearest<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> Vec<&'a str> {
    let mut near = catalog::all_near(word.trim_start_matches('@'), names);
    near.truncate(3);
    near
}

fn requirement(requirement: &Requirement) -> Topic {
    let mut topic = Topic::new(&requirement.id, TopicKind::Requirement, &requirement.promise);
    topic.facts.push(("level", level(requirement.level).to_owned()));
    topic.facts.push(("source", requirement.source.clone()));
    let frameworks: BTreeSet<&str> =
        requirement.controls.iter().map(|control| control.framework.as_str()).collect();
    let controls: Vec<String> = frameworks
        .into_iter()
        .map(|framework| {
            let ids: Vec<&str> = requirement
                .controls
                .iter()
                .filter(|control| control.framework == framework)
                .map(|control| control.id.as_str())
                .collect();
            format!("{framework}: {}", ids.join(", "))
        })
        .collect();
    if !controls.is_empty() {
        topic.facts.push(("controls", controls.join("; ")));
    }
    topic.facts.push(if requirement.planned {
        ("planned", UNPROVEN.to_owned())
    } else {
        ("run it", format!("plimsoll run --requirement {}", requirement.id))
    });
    topic
}

/// `must` or `should`.
pub(super) const fn level(level: Level) -> &'static str {
    match level {
        Level::Must => "must",
        Level::Should => "should",
    }
}

const fn verdict(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Open => "it worked: the right answer came from the right one",
        VerdictKind::Dropped => "nothing came back before the deadline, and nothing arrived at the other end",
        VerdictKind::Rejected => "something on the way said no, by ICMP",
        VerdictKind::Refused => "a reset: nobody listens there, or a filter answers with a reset",
        VerdictKind::Asymmetric => {
            "the client heard nothing, yet what it sent arrived: the way there is open"
        }
        VerdictKind::Misrouted => "somebody answered, but not the one that was meant",
        VerdictKind::DnsFailed => "the name did not resolve",
        VerdictKind::TlsFailed => "the TLS handshake was refused",
        VerdictKind::Unauthenticated => "the caller was not recognised (HTTP 401)",
        VerdictKind::Forbidden => "the caller was recognised and refused; the evidence names by whom",
        VerdictKind::RateLimited => "the caller was told to come back later (HTTP 429)",
        VerdictKind::AdmissionDenied => {
            "the caller may do this, but the content was refused; the evidence names by what"
        }
        VerdictKind::QuotaExceeded => "a quota is used up; the evidence names it",
        VerdictKind::ProbeError => {
            "the attempt could not be made or judged: it says nothing about the platform"
        }
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "every step held, each denial with its positive control; only this is proof",
        Outcome::Failed => "the platform breaks its promise: expected one thing, saw another",
        Outcome::Inconclusive => "the cluster or the harness could not tell; never counted as passed",
        Outcome::Waived => "the promise is broken, and a waiver in force accepts it until it expires",
        Outcome::NotApplicable => "the platform does not have the part; the reason names what showed it",
        Outcome::NotRun => "planned, but never started (interrupt, deadline of the run)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Vec<Topic> {
        all(&Requirements::embedded().unwrap())
    }

    #[test]
    fn names_are_unique() {
        let topics = topics();
        let names: BTreeSet<String> = topics.iter().map(|topic| topic.id.to_lowercase()).collect();
        assert_eq!(names.len(), topics.len());
    }

    #[test]
    fn a_topic_is_found_however_it_is_written() {
        let topics = topics();
        for (word, id) in [
            ("net-02", "NET-02"),
            ("@NET-02", "NET-02"),
            ("dropped", "DROPPED"),
            ("@needs-network-policy", "network-policy"),
            ("exit-3", "exit-3"),
            ("3", "exit-3"),
            ("not-run", "not-run"),
        ] {
            assert_eq!(find(&topics, word).map(|topic| topic.id.as_str()), Some(id), "{word}");
        }
        assert!(find(&topics, "").is_none());
        assert!(find(&topics, "NET-99").is_none());
    }

    #[test]
    fn what_no_scenario_proves_is_not_offered_to_be_run() {
        let requirements = Requirements::embedded().unwrap();
        for requirement in requirements.iter() {
            let facts = super::requirement(requirement).facts;
            assert_eq!(facts.iter().any(|(name, _)| *name == "run it"), !requirement.planned);
            assert_eq!(facts.contains(&("planned", UNPROVEN.to_owned())), requirement.planned);
        }
    }

    #[test]
    fn near_names_are_suggested() {
        let names = ["NET-01", "NET-02", "smoke"];
        assert_eq!(nearest(names, "smoek"), ["smoke"]);
        assert_eq!(nearest(names, "NET-99"), ["NET-01", "NET-02"]);
        assert!(nearest(names, "quux").is_empty());
    }
}
