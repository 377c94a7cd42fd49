//! Edits of objects, wherever they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SabotageError;
use crate::{cluster::merge, oracle::Quantity};

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
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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

    /// The same with values for its placeholders.
    pub(super) fn filled(&self, values: &BTreeMap<String, String>) -> Result<Self, SabotageError> {
        let wrong = |error: serde_json::Error| SabotageError::Edit {
            what: "the blueprint".to_owned(),
            why: error.to_string(),
        };
        let text = serde_json::to_string(self).map_err(wrong)?;
        let filled =
            values.iter().fold(text, |text, (key, value)| text.replace(&format!("${{{key}}}"), value));
        serde_json::from_str(&filled).map_err(wrong)
    }

    /// Whether an object, as it was read back, shows the edit.
    pub fn shows(&self, seen: Option<&Value>) -> bool {
        match (self, seen) {
            (Self::Remove { .. }, seen) => seen.is_none(),
            (_, None) => false,
            (Self::Patch { with, .. }, seen) => says(with, seen),
            (Self::Add { object }, seen) => says(object, seen),
            (Self::Append { at, value, .. }, Some(seen)) => seen
                .pointer(at)
                .and_then(Value::as_array)
                .is_some_and(|list| list.iter().any(|element| says(value, Some(element)))),
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

/// Whether an object says what was wanted of it. The server fills in defaults, writes quantities in its own way, and
/// leaves out what is empty; nothing of that is a difference. In a patch, null stands for what must not be there.
pub(super) fn says(wanted: &Value, seen: Option<&Value>) -> bool {
    let empty = match wanted {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(Value::is_null),
    };
    match (wanted, seen) {
        (_, None | Some(Value::Null)) => empty,
        (Value::Null, Some(_)) => false,
        (Value::Object(wanted), Some(Value::Object(seen))) => {
            wanted.iter().all(|(key, value)| says(value, seen.get(key)))
        }
        (Value::Array(wanted), Some(Value::Array(seen))) => {
            wanted.len() == seen.len() && wanted.iter().zip(seen).all(|(a, b)| says(a, Some(b)))
        }
        (wanted, Some(seen)) => wanted == seen || same_quantity(wanted, seen),
    }
}

fn same_quantity(a: &Value, b: &Value) -> bool {
    let parse = |value: &Value| match value {
        Value::String(text) => text.parse::<Quantity>().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    };
    parse(a).is_some_and(|a| parse(b) == Some(a))
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
    fn what_is_read_back_may_hold_defaults_and_nothing_else_may_differ() {
        let wanted = json!({"a": {"cpu": "1000m"}, "gone": null, "empty": [], "list": [{"x": 1}]});
        let seen = json!({"a": {"cpu": "1", "more": 1}, "list": [{"x": 1, "protocol": "TCP"}]});
        assert!(says(&wanted, Some(&seen)));
        for other in [
            json!({"a": {"cpu": "2"}, "list": [{"x": 1}]}),
            json!({"a": {"cpu": "1"}, "list": [{"x": 1}], "gone": 1}),
            json!({"a": {"cpu": "1"}, "list": [{"x": 1}, {"x": 1}]}),
            json!({"a": {"cpu": "1"}}),
        ] {
            assert!(!says(&wanted, Some(&other)), "{other}");
        }
        let append = Edit::Append { of: of(), at: "/list".into(), value: json!({"x": 2}) };
        assert!(append.shows(Some(&json!({"list": [{"x": 1}, {"x": 2, "y": 1}]}))));
        assert!(!append.shows(Some(&json!({"list": [{"x": 1}]}))));
        assert!(Edit::Remove { of: of() }.shows(None) && !Edit::Remove { of: of() }.shows(Some(&seen)));
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
