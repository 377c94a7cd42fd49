//! The requirements: data, embedded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::Level;

/// A control of a framework that a requirement helps to show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// `NIST 800-53 r5`, `CIS Kubernetes`, `NSA/CISA`.
    pub framework: String,
    /// `SC-7`.
    pub id: String,
}

/// One promise of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `NET-02`: stable, never re-used.
    pub id: String,
    /// Must or should.
    pub level: Level,
    /// The promise in one sentence.
    pub promise: String,
    /// The section of the platform's architecture that makes it.
    pub source: String,
    /// True while no scenario proves it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub planned: bool,
    /// Controls, by framework.
    #[serde(default)]
    pub controls: Vec<Control>,
}

impl Requirement {
    /// The family: `NET` of `NET-02`.
    pub fn family(&self) -> &str {
        self.id.split_once('-').map_or(self.id.as_str(), |(family, _)| family)
    }
}

/// All requirements, by id.
#[derive(Clone, Debug, Default)]
pub struct Requirements(BTreeMap<String, Requirement>);

/// The embedded list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RequirementError {
    /// Not YAML, or not of the shape.
    #[error("could not read the list of requirements: {0}")]
    Syntax(String),
    /// An id twice.
    #[error("requirement `{0}` is listed twice")]
    Duplicate(String),
}

impl Requirements {
    /// Reads a list: `- {id, level, promise, source, controls: [{framework, id}]}`.
    pub fn parse(yaml: &str) -> Result<Self, RequirementError> {
        let list: Vec<Requirement> =
            serde_saphyr::from_str(yaml).map_err(|error| RequirementError::Syntax(error.to_string()))?;
        let mut by_id = BTreeMap::new();
        for requirement in list {
            let id = requirement.id.clone();
            if by_id.insert(id.clone(), requirement).is_some() {
                return Err(RequirementError::Duplicate(id));
            }
        }
        Ok(Self(by_id))
    }

    /// The embedded ones.
    pub fn embedded() -> Result<Self, RequirementError> {
        Self::parse(include_str!("requirements.yaml"))
    }

    /// One by its id.
    pub fn get(&self, id: &str) -> Option<&Requirement> {
        self.0.get(id)
    }

    /// All, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.values()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
