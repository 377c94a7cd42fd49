//! Edits of objects, wherever they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SabotageError;
use crate::cluster::merge;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Of {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name; in a blueprint with its placeholders.
    pub name: String,
    /// Namespace, for objects of the cluster that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl std::fmt::Display for Of {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} {}", self.api_version, self.kind, self.name)
    }
}

/// One edit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Edit {
    /// Merges fields in, as a JSON merge patch does.
    Patch {
        /// The object.
        of: Of,
        /// The fields.
        with: Value,
    },
    /// Adds to a list.
    Append {
        /// The object.
        of: Of,
        /// The list, as a JSON pointer: `/rules`.
        at: String,
        /// What is added.
        value: Value,
    },
    /// Takes the object away.
    Remove {
        /// The object.
        of: Of,
    },
    /// Adds an object.
    Add {
        /// The object.
        object: Value,
    },
}

impl Edit {
    /// Which object it edits.
    pub fn of(&self) -> Result<Of, SabotageError> {
        match self {
            Self::Patch { of, .. } | Self::Append { of, .. } | Self::Remove { of } => Ok(of.clone()),
            Self::Add { object } => identify(object).ok_or_else(|| SabotageError::Edit {
                what: "an added object".to_owned(),
                why: "it lacks apiVersion, kind or name".to_owned(),
            }),
        }
    }

    /// The object as it is afterwards; none where it is gone.
    pub fn apply(&self, object: Option<&Value>) -> Result<Option<Value>, SabotageError> {
        let of = self.of()?;
        let fail = |why: &str| SabotageError::Edit { what: of.to_string(), why: why.to_owned() };
        match (self, object) {
            (Self::Add { object }, None) => Ok(Some(object.clone())),
            (Self::Add { .. }, Some(_)) => Err(fail("it is there already")),
            (_, None) => Err(fail("it is not there")),
            (Self::Remove { .. }, Some(_)) => Ok(None),
            (Self::Patch { with, .. }, Some(before)) => {
                let mut after = before.clone();
                merge(&mut after, with);
                if after == *before { Err(fail("the patch changes nothing")) } else { Ok(Some(after)) }
            }
            (Self::Append { at, value, .. }, Some(before)) => {
                let mut after = before.clone();
                let list = after.pointer_mut(at).and_then(Value::as_array_mut);
                list.ok_or_else(|| fail(&format!("there is no list at {at}")))?.push(value.clone());
                Ok(Some(after))
            }
        }
    }
}

/// Who an object is.
pub(super) fn identify(object: &Value) -> Option<Of> {
    let text = |pointer: &str| object.pointer(pointer)?.as_str().map(str::to_owned);
    Some(Of {
        api_version: text("/apiVersion")?,
        kind: text("/kind")?,
        name: text("/metadata/name")?,
        namespace: text("/metadata/namespace"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of() -> Of {
        Of { api_version: "v1".into(), kind: "ConfigMap".into(), name: "a".into(), namespace: None }
    }

    #[test]
    fn edits_say_when_they_do_not_fit() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "list": [1]});
        let patch = Edit::Patch { of: of(), with: json!({"list": null, "new": 1}) };
        let after = patch.apply(Some(&object)).unwrap().unwrap();
        assert_eq!(after.get("list"), None);
        assert!(patch.apply(None).is_err());
        let idle = Edit::Patch { of: of(), with: json!({"list": [1]}) };
        insta::assert_snapshot!(idle.apply(Some(&object)).unwrap_err(), @"cannot edit v1/ConfigMap a: the patch changes nothing");
        let append = Edit::Append { of: of(), at: "/list".into(), value: json!(2) };
        assert_eq!(append.apply(Some(&object)).unwrap().unwrap()["list"], json!([1, 2]));
        assert!(Edit::Append { of: of(), at: "/none".into(), value: json!(2) }.apply(Some(&object)).is_err());
        assert_eq!(Edit::Remove { of: of() }.apply(Some(&object)).unwrap(), None);
        let add = Edit::Add { object: object.clone() };
        assert_eq!(add.of().unwrap(), of());
        assert!(add.apply(Some(&object)).is_err());
    }
}
