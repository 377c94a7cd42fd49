//! Edits of the configuration of a lab: of what no object of the cluster says.

use std::collections::{BTreeMap, btree_map::Entry};

use plimsoll_lab::ConfigurationFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Sabotage, SabotageError};
use crate::cluster::{Cluster, merge};

/// A file of a lab's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabFile {
    /// Whose tokens the API server accepts.
    Authentication,
    /// What the API server records.
    AuditPolicy,
    /// Settings that are arguments of the API server.
    Apiserver,
    /// Settings of the identity provider.
    Issuer,
}

impl LabFile {
    /// Whether the API server is started anew when it changes.
    pub(super) const fn is_of_apiserver(self) -> bool {
        !matches!(self, Self::Issuer)
    }

    const fn configuration(self) -> ConfigurationFile {
        match self {
            Self::Authentication => ConfigurationFile::Authentication,
            Self::AuditPolicy => ConfigurationFile::AuditPolicy,
            Self::Apiserver => ConfigurationFile::ApiServer,
            Self::Issuer => ConfigurationFile::Issuer,
        }
    }
}

impl std::fmt::Display for LabFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authentication => "authentication.yaml",
            Self::AuditPolicy => "audit-policy.yaml",
            Self::Apiserver => "apiserver.yaml",
            Self::Issuer => "issuer.yaml",
        })
    }
}

/// One edit of a file of a lab's configuration.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabEdit {
    /// Which file.
    pub file: LabFile,
    /// In which lab, by the name of a peer in the profile; by default in the one that is broken anyway.
    #[serde(default)]
    pub peer: Option<String>,
    /// The place in the file, as a JSON pointer: `/jwt/0/issuer/audiences`.
    pub at: String,
    /// What happens there.
    pub change: Change,
}

/// What happens at a place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Change {
    /// The value becomes this one.
    Set(Value),
    /// This is added to the list.
    Append(Value),
    /// A copy of another place of the file is added to the list, with fields merged in.
    AppendCopy {
        /// The place that is copied.
        of: String,
        /// The fields.
        with: Value,
    },
    /// The value is taken away.
    Remove,
}

impl LabEdit {
    /// The file's text as it is afterwards.
    pub(super) fn apply(&self, text: &str) -> Result<String, SabotageError> {
        let fail = |why: String| SabotageError::Edit { what: format!("{} at {}", self.file, self.at), why };
        let mut document: Value = serde_yaml::from_str(text).map_err(|error| fail(error.to_string()))?;
        let before = document.clone();
        let (parent, key) =
            self.at.rsplit_once('/').ok_or_else(|| fail("it is no pointer: /...".to_owned()))?;
        match &self.change {
            Change::Append(value) => {
                let list = document.pointer_mut(&self.at).and_then(Value::as_array_mut);
                list.ok_or_else(|| fail("there is no list".to_owned()))?.push(value.clone());
            }
            Change::AppendCopy { of, with } => {
                let mut copy =
                    before.pointer(of).cloned().ok_or_else(|| fail(format!("there is nothing at {of}")))?;
                merge(&mut copy, with);
                let list = document.pointer_mut(&self.at).and_then(Value::as_array_mut);
                list.ok_or_else(|| fail("there is no list".to_owned()))?.push(copy);
            }
            change => match (document.pointer_mut(parent), change) {
                (Some(Value::Object(fields)), Change::Set(value)) => {
                    fields.insert(key.to_owned(), value.clone());
                }
                (Some(Value::Object(fields)), _) => {
                    fields.remove(key);
                }
                (Some(Value::Array(items)), change) => {
                    let index = key.parse().ok().filter(|index| *index < items.len());
                    let index: usize = index.ok_or_else(|| fail("the list is shorter".to_owned()))?;
                    match change {
                        Change::Set(value) => value.clone_into(&mut items[index]),
                        _ => drop(items.remove(index)),
                    }
                }
                _ => return Err(fail("there is no such place".to_owned())),
            },
        }
        if document == before {
            return Err(fail("it changes nothing".to_owned()));
        }
        serde_yaml::to_string(&document).map_err(|error| fail(error.to_string()))
    }
}

/// Files by name, with their text.
pub(super) type Files = BTreeMap<LabFile, String>;

/// The lab that a cluster is. The configuration of anything else is not ours to edit.
fn lab_of(cluster: &Cluster) -> Result<plimsoll_lab::Lab, SabotageError> {
    cluster
        .provider()
        .lab()
        .cloned()
        .ok_or_else(|| SabotageError::NotALab { context: cluster.context().to_owned() })
}

fn trouble(what: &str, error: &plimsoll_lab::LabError) -> SabotageError {
    SabotageError::Lab { what: what.to_owned(), why: error.to_string() }
}

/// The files of one lab that a sabotage touches, as they are and as they shall be. `peer` names the lab, where it is not
/// the one that is broken anyway.
pub(super) fn edited(
    cluster: &Cluster,
    sabotage: &Sabotage,
    peer: Option<&str>,
) -> Result<(Files, Files), SabotageError> {
    let edits: Vec<_> = sabotage.lab.iter().filter(|edit| edit.peer.as_deref() == peer).collect();
    let (mut originals, mut broken) = (Files::new(), Files::new());
    if edits.is_empty() {
        return Ok((originals, broken));
    }
    let lab = lab_of(cluster)?;
    for edit in edits {
        if let Entry::Vacant(original) = originals.entry(edit.file) {
            let text = text_of(&lab, edit.file)?;
            original.insert(text.clone());
            broken.insert(edit.file, text);
        }
        if let Some(text) = broken.get_mut(&edit.file) {
            *text = edit.apply(text)?;
        }
    }
    Ok((originals, broken))
}

/// Brings files to a state, and waits until it is in force. Those that have it already are left alone. Says what showed
/// it.
pub(super) async fn put(cluster: &Cluster, files: &Files) -> Result<Vec<String>, SabotageError> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let lab = lab_of(cluster)?;
    let differing: Vec<_> = differing(&lab, files)?
        .into_iter()
        .map(|(file, text)| (file.configuration(), text.to_owned()))
        .collect();
    let mut shown = Vec::new();
    if !differing.is_empty() {
        lab.configure(&differing).await.map_err(|error| trouble("change its configuration", &error))?;
        let names: Vec<_> = files.keys().map(ToString::to_string).collect();
        shown.push(format!("in force: {} of {}", names.join(", "), cluster.context()));
    }
    Ok(shown)
}

/// The first file that is not as it shall be.
pub(super) fn first_differing(cluster: &Cluster, files: &Files) -> Result<Option<LabFile>, SabotageError> {
    if files.is_empty() {
        return Ok(None);
    }
    Ok(differing(&lab_of(cluster)?, files)?.first().map(|(file, _)| *file))
}

/// The files that are not as they shall be, each with what it shall say.
fn differing<'f>(
    lab: &plimsoll_lab::Lab,
    files: &'f Files,
) -> Result<Vec<(LabFile, &'f str)>, SabotageError> {
    let mut differing = Vec::new();
    for (file, text) in files {
        if text_of(lab, *file)? != *text {
            differing.push((*file, text.as_str()));
        }
    }
    Ok(differing)
}

fn text_of(lab: &plimsoll_lab::Lab, file: LabFile) -> Result<String, SabotageError> {
    lab.configuration(file.configuration()).map_err(|error| trouble(&format!("read {file}"), &error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edit(at: &str, change: Change) -> LabEdit {
        LabEdit { file: LabFile::Authentication, peer: None, at: at.to_owned(), change }
    }

    #[test]
    fn edits_say_when_they_do_not_fit() {
        let text = "jwt:\n- audiences: [a]\n  rules: []\n";
        let after = |at: &str, change: Change| {
            let text = edit(at, change).apply(text)?;
            Ok::<Value, SabotageError>(serde_yaml::from_str(&text).unwrap())
        };
        let set = after("/jwt/0/audiences/0", Change::Set(json!("b"))).unwrap();
        assert_eq!(set["jwt"][0]["audiences"], json!(["b"]));
        let added = after("/jwt/0/new", Change::Set(json!(1))).unwrap();
        assert_eq!(added["jwt"][0]["new"], 1);
        let more = after("/jwt", Change::Append(json!({"x": 1}))).unwrap();
        assert_eq!(more["jwt"][1]["x"], 1);
        let copy = Change::AppendCopy { of: "/jwt/0".to_owned(), with: json!({"rules": null}) };
        assert_eq!(after("/jwt", copy).unwrap()["jwt"][1], json!({"audiences": ["a"]}));
        assert_eq!(after("/jwt/0", Change::Remove).unwrap(), json!({"jwt": []}));
        assert_eq!(after("/jwt/0/rules", Change::Remove).unwrap()["jwt"][0].get("rules"), None);
        let wrong = [
            after("/jwt/0/audiences/0", Change::Set(json!("a"))),
            after("/jwt/7", Change::Remove),
            after("/none/x", Change::Set(json!(1))),
            after("/jwt/0", Change::Append(json!(1))),
            after("jwt", Change::Remove),
        ];
        let texts: Vec<_> = wrong.into_iter().map(|one| one.unwrap_err().to_string()).collect();
        insta::assert_snapshot!(texts.join("\n"), @"
        cannot edit authentication.yaml at /jwt/0/audiences/0: it changes nothing
        cannot edit authentication.yaml at /jwt/7: the list is shorter
        cannot edit authentication.yaml at /none/x: there is no such place
        cannot edit authentication.yaml at /jwt/0: there is no list
        cannot edit authentication.yaml at jwt: it is no pointer: /...
        ");
    }
}
