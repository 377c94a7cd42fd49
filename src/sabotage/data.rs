//! Sabotages as data.

use std::path::Path;

use include_dir::{Dir, include_dir};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Condition, Edit, LabEdit, SabotageError};
use crate::cluster::HELD_BACK;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios/sabotage");

/// The document of one sabotage.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    /// Always `plimsoll.dev/v1alpha1`.
    api_version: Version,
    /// Always `Sabotage`.
    kind: Kind,
    /// Its name.
    metadata: Metadata,
    /// What it does, and who must notice.
    spec: Sabotage,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum Version {
    #[serde(rename = "plimsoll.dev/v1alpha1")]
    V1Alpha1,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum Kind {
    Sabotage,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Metadata {
    /// Lower-case letters, digits and `-`.
    name: String,
}

/// One defect: what it breaks, how, and who must notice.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sabotage {
    /// Its name, from the metadata.
    #[serde(skip)]
    pub name: String,
    /// One sentence: what is broken.
    pub breaks: String,
    /// The requirements that must notice.
    pub requirements: Vec<String>,
    /// The scenarios each of which must turn red, by id.
    pub scenarios: Vec<String>,
    /// A regular expression that the reason of each of them (its sentence or a detail) must match.
    pub reason: String,
    /// Edits of the manifests by which tenants are onboarded.
    #[serde(default)]
    pub blueprint: Vec<Edit>,
    /// The tenants, by name, whose blueprint is edited; all of them where none is named.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Edits of objects of the cluster.
    #[serde(default)]
    pub cluster: Vec<Edit>,
    /// Edits of the configuration of the lab, where the cluster is one.
    #[serde(default)]
    pub lab: Vec<LabEdit>,
    /// Signs that the edits of the cluster are in effect, beyond those that are looked for by themselves: that the
    /// objects stand there, that authorizer and admission have taken them in, that workloads have been rolled out.
    #[serde(default)]
    pub effective: Vec<Condition>,
}

impl Sabotage {
    /// The other clusters of the fleet that it breaks, by their names in the profile.
    pub fn peers(&self) -> impl Iterator<Item = &str> {
        self.lab.iter().filter_map(|edit| edit.peer.as_deref())
    }

    /// Whether the API server is started anew for it.
    pub(super) fn restarts_apiserver(&self) -> bool {
        self.lab.iter().any(|edit| edit.peer.is_none() && edit.file.is_of_apiserver())
    }

    /// Whether it holds back an object of its own run by a finalizer.
    pub(super) fn holds_back(&self) -> bool {
        self.blueprint.iter().any(|edit| match edit {
            Edit::Add { object } => object["metadata"]["finalizers"].to_string().contains(HELD_BACK),
            _ => false,
        })
    }

    /// Whether it breaks what everybody suffers from.
    pub(super) const fn is_everybodys(&self) -> bool {
        !self.cluster.is_empty() || !self.lab.is_empty()
    }

    /// Whether one of its requirements is this, or of this family.
    pub fn concerns(&self, requirement: &str) -> bool {
        self.requirements.iter().any(|own| {
            own.eq_ignore_ascii_case(requirement)
                || own.split_once('-').is_some_and(|(family, _)| family.eq_ignore_ascii_case(requirement))
        })
    }
}

/// The JSON schema of a sabotage.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).into()
}

fn parse(file: &str, text: &str) -> Result<Sabotage, SabotageError> {
    let wrong = |why: String| SabotageError::Data { file: file.to_owned(), why };
    let Document { api_version: Version::V1Alpha1, kind: Kind::Sabotage, metadata, spec } =
        serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let sabotage = Sabotage { name: metadata.name, ..spec };
    regex::Regex::new(&sabotage.reason).map_err(|error| wrong(format!("its reason: {error}")))?;
    if sabotage.scenarios.is_empty() || sabotage.requirements.is_empty() {
        return Err(wrong("it names nobody who must notice".to_owned()));
    }
    if sabotage.blueprint.is_empty() && !sabotage.is_everybodys() {
        return Err(wrong("it breaks nothing".to_owned()));
    }
    for edit in &sabotage.cluster {
        let of = edit.of().map_err(|error| wrong(error.to_string()))?;
        if of.kind == "Secret" {
            return Err(wrong(format!("{of}: its original would have to be recorded in the open")));
        }
        let holds_others = matches!(of.kind.as_str(), "Namespace" | "CustomResourceDefinition");
        if holds_others && matches!(edit, Edit::Remove { .. }) {
            return Err(wrong(format!("{of}: what is in it cannot be put back")));
        }
    }
    if sabotage.blueprint.is_empty() && !sabotage.tenants.is_empty() {
        return Err(wrong("it names tenants and edits no blueprint".to_owned()));
    }
    if sabotage.cluster.is_empty() && !sabotage.effective.is_empty() {
        return Err(wrong("it names signs and edits nothing of the cluster".to_owned()));
    }
    Ok(sabotage)
}

/// The sabotages that are built in, by name.
pub fn embedded() -> Result<Vec<Sabotage>, SabotageError> {
    let files = EMBEDDED.files().filter_map(|file| {
        let name = file.path().to_str().filter(|name| is_yaml(name))?;
        Some((format!("scenarios/sabotage/{name}"), file.contents_utf8()?.to_owned()))
    });
    read(files)
}

/// The sabotages of a folder, by name.
pub fn folder(directory: &Path) -> Result<Vec<Sabotage>, SabotageError> {
    let place = directory.display().to_string();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(SabotageError::file(format!("read {place}")))? {
        let path = entry.map_err(SabotageError::file(format!("read {place}")))?.path();
        let name = path.display().to_string();
        if is_yaml(&name) {
            let text = std::fs::read_to_string(&path).map_err(SabotageError::file(format!("read {name}")))?;
            files.push((name, text));
        }
    }
    read(files)
}

fn is_yaml(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn read(files: impl IntoIterator<Item = (String, String)>) -> Result<Vec<Sabotage>, SabotageError> {
    let mut all: Vec<Sabotage> = Vec::new();
    for (file, text) in files {
        let sabotage = parse(&file, &text)?;
        if all.iter().any(|known| known.name == sabotage.name) {
            return Err(SabotageError::Data {
                file,
                why: format!("the name `{}` is taken already", sabotage.name),
            });
        }
        all.push(sabotage);
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn every_scenario_has_a_sabotage_and_every_sabotage_real_scenarios() {
        let catalog = Catalog::load(&[]).unwrap();
        let known: BTreeSet<String> = catalog
            .features()
            .iter()
            .flat_map(|feature| &feature.scenarios)
            .map(|scenario| scenario.planned.id.0.clone())
            .collect();
        let sabotages = embedded().unwrap();
        let named: BTreeSet<String> = sabotages.iter().flat_map(|one| one.scenarios.clone()).collect();
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "no such scenarios: {unknown:#?}");
        // These cannot be seen red on the lab, since there is nothing there that they apply to: its pods have no IPv6.
        let beyond_the_lab = ["network/dual-stack/"];
        let spared: Vec<_> = known
            .difference(&named)
            .filter(|id| !beyond_the_lab.iter().any(|feature| id.starts_with(feature)))
            .collect();
        assert!(spared.is_empty(), "never seen red: {spared:#?}");
    }

    #[test]
    fn what_is_wrong_with_a_sabotage_is_said() {
        let head = "apiVersion: plimsoll.dev/v1alpha1\nkind: Sabotage\nmetadata: {name: x}\n";
        let nobody = format!("{head}spec: {{breaks: a, requirements: [], scenarios: [], reason: a}}\n");
        insta::assert_snapshot!(parse("x.yaml", &nobody).unwrap_err(), @"cannot read the sabotage x.yaml: it names nobody who must notice");
        let with = |edits: &str| {
            let text =
                format!("{head}spec: {{breaks: a, requirements: [A], scenarios: [a], reason: a, {edits}}}\n");
            parse("x.yaml", &text).unwrap_err()
        };
        insta::assert_snapshot!(with("cluster: [{remove: {of: {apiVersion: v1, kind: Namespace, name: n}}}]"), @"cannot read the sabotage x.yaml: v1/Namespace n: what is in it cannot be put back");
        insta::assert_snapshot!(with("cluster: [{patch: {of: {apiVersion: v1, kind: Secret, name: n}, with: {a: 1}}}]"), @"cannot read the sabotage x.yaml: v1/Secret n: its original would have to be recorded in the open");
        let nothing = format!("{head}spec: {{breaks: a, requirements: [A], scenarios: [a], reason: a}}\n");
        insta::assert_snapshot!(parse("x.yaml", &nothing).unwrap_err(), @"cannot read the sabotage x.yaml: it breaks nothing");
    }
}
