//! Everything that can be run.

use std::path::PathBuf;

use cucumber::gherkin;

use super::{
    Code, Feature, Finding, ReadError, RequirementError, Requirements, Scenario, Source, SuiteEntry, feature,
    source, suite,
};
use crate::engine::Plan;

/// Requirements, features and suites: the embedded ones and those of the user's folders.
#[derive(Clone, Debug)]
pub struct Catalog {
    requirements: Requirements,
    features: Vec<Feature>,
    suites: Vec<SuiteEntry>,
    findings: Vec<Finding>,
}

/// The catalog could not be read at all. What is wrong inside a feature is a [`Finding`] instead.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CatalogError {
    /// A folder or file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Read(#[from] ReadError),
    /// The embedded requirements.
    #[error(transparent)]
    Requirements(#[from] RequirementError),
}

impl Catalog {
    /// The embedded features and suites, and those of `folders` (suites in a folder's `suites/`).
    pub fn load(folders: &[PathBuf]) -> Result<Self, CatalogError> {
        let requirements = Requirements::embedded()?;
        let mut features = source::embedded_features();
        let mut suites = source::embedded_suites();
        let mut findings = Vec::new();
        for folder in folders {
            let found = source::folder(folder, "feature")?;
            if found.is_empty() {
                let name = folder.display().to_string();
                findings.push(Finding::without_text(
                    Code::NoFeatures,
                    name,
                    "no `.feature` file in this folder",
                ));
            }
            features.extend(found);
            let below = folder.join("suites");
            if below.is_dir() {
                suites.extend(source::folder(&below, "yaml")?);
            }
        }
        Ok(Self::from_sources(requirements, features, suites, findings))
    }

    /// A catalog of texts held in memory.
    pub fn from_sources(
        requirements: Requirements,
        features: Vec<Source>,
        suites: Vec<Source>,
        mut findings: Vec<Finding>,
    ) -> Self {
        let features = features
            .into_iter()
            .filter_map(|source| feature::parse(source, &requirements, &mut findings))
            .collect();
        let suites = suites.into_iter().filter_map(|source| suite::parse(source, &mut findings)).collect();
        Self { requirements, features, suites, findings }
    }

    /// The requirements.
    pub const fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    /// The features that could be read.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The suites that could be read.
    pub fn suites(&self) -> &[SuiteEntry] {
        &self.suites
    }

    /// What was wrong while reading.
    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Every scenario, in the order of features and files.
    pub fn scenarios(&self) -> impl Iterator<Item = &Scenario> {
        self.features.iter().flat_map(|feature| &feature.scenarios)
    }

    /// The features of a plan as cucumber takes them: with the plan's scenarios, outlines filled in, and no
    /// others.
    pub fn gherkin(&self, plan: &Plan) -> Vec<gherkin::Feature> {
        let wanted =
            |scenario: &Scenario| plan.scenarios.iter().any(|planned| planned.id == scenario.planned.id);
        self.features
            .iter()
            .filter_map(|feature| {
                let mut shell = feature.written.clone();
                shell.scenarios.clear();
                for rule in &mut shell.rules {
                    rule.scenarios.clear();
                }
                for scenario in feature.scenarios.iter().filter(|scenario| wanted(scenario)) {
                    match scenario.rule {
                        None => shell.scenarios.push(scenario.filled.clone()),
                        Some(rule) => shell.rules.get_mut(rule)?.scenarios.push(scenario.filled.clone()),
                    }
                }
                shell.rules.retain(|rule| !rule.scenarios.is_empty());
                (!shell.scenarios.is_empty() || !shell.rules.is_empty()).then_some(shell)
            })
            .collect()
    }
}
