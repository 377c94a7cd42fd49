//! The closed vocabulary of tags.

use std::{str::FromStr, time::Duration};

use super::Requirements;
use crate::{
    engine::{Level, Risk},
    profile::{Capability, Timespan},
};

/// What a tag says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `@NET-02`: the requirement that is proven.
    Requirement(String),
    /// `@must`, `@should`: must equal the requirement's level.
    Level(Level),
    /// `@needs-network-policy`
    Needs(Capability),
    /// `@risk-none`, `@risk-load`, `@risk-fault`
    Risk(Risk),
    /// `@serial`: alone, with nothing beside it.
    Serial,
    /// `@slow`: left out of quick suites.
    Slow,
    /// `@lock-NAME`: not beside another scenario with the same.
    Lock(String),
    /// `@deadline-5m`: its own, instead of the profile's.
    Deadline(Duration),
}

/// Why a tag is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagError {
    /// It looks like a requirement's id, but there is none of that name.
    UnknownRequirement,
    /// It is not in the vocabulary.
    Unknown,
}

impl Tag {
    /// Reads a tag without its `@`.
    pub fn parse(tag: &str, requirements: &Requirements) -> Result<Self, TagError> {
        Ok(match tag {
            "must" => Self::Level(Level::Must),
            "should" => Self::Level(Level::Should),
            "serial" => Self::Serial,
            "slow" => Self::Slow,
            "risk-none" => Self::Risk(Risk::None),
            "risk-load" => Self::Risk(Risk::Load),
            "risk-fault" => Self::Risk(Risk::Fault),
            _ => {
                if requirements.get(tag).is_some() {
                    return Ok(Self::Requirement(tag.to_owned()));
                }
                if let Some(name) = tag.strip_prefix("needs-") {
                    return Capability::from_str(name).map(Self::Needs).map_err(|_| TagError::Unknown);
                }
                if let Some(name) = tag.strip_prefix("lock-").filter(|name| !name.is_empty()) {
                    return Ok(Self::Lock(name.to_owned()));
                }
                if let Some(time) = tag.strip_prefix("deadline-") {
                    let time = Timespan::from_str(time).map_err(|_| TagError::Unknown)?;
                    return Ok(Self::Deadline(Duration::from_millis(time.as_millis())));
                }
                return Err(if looks_like_requirement(tag) {
                    TagError::UnknownRequirement
                } else {
                    TagError::Unknown
                });
            }
        })
    }

    /// Every tag that can be named (those with a free part by an example), for suggestions and `explain`.
    pub fn vocabulary(requirements: &Requirements) -> Vec<String> {
        let fixed = ["must", "should", "serial", "slow", "risk-none", "risk-load", "risk-fault"];
        fixed
            .into_iter()
            .map(str::to_owned)
            .chain(Capability::ALL.into_iter().map(|capability| format!("needs-{capability}")))
            .chain(requirements.iter().map(|requirement| requirement.id.clone()))
            .collect()
    }
}

/// `NET-02`, `RES-pod-kill-isolation`: capitals, a dash, something.
pub(super) fn looks_like_requirement(tag: &str) -> bool {
    tag.split_once('-').is_some_and(|(family, rest)| {
        family.len() >= 2 && family.chars().all(|sign| sign.is_ascii_uppercase()) && !rest.is_empty()
    })
}

/// The nearest of the known words, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    all_near(word, known).into_iter().next()
}

/// Those of the known words that are near enough to be what was meant: the nearest first, and of those that are equally
/// near the first by name, so that every command suggests the same.
pub fn all_near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .collect();
    near.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    near.into_iter().map(|(_, candidate)| candidate).collect()
}
