//! Label selectors: all requirements must hold; without any, everything is selected.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::read::Nonsense;

type Labels = BTreeMap<String, String>;

/// One thing that labels must meet.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Demand {
    /// The key is there with one of these values.
    OneOf(String, Vec<String>),
    /// The key is not there, or its value is none of these.
    NoneOf(String, Vec<String>),
    /// The key is there.
    Has(String),
    /// The key is not there.
    Lacks(String),
}

/// A label selector that makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Demand>);

impl Selector {
    /// Reads a selector; `place` is where it stands in the object.
    pub(super) fn read(object: &LabelSelector, place: &str) -> Result<Self, Nonsense> {
        let equal = object
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Ok(Demand::OneOf(key.clone(), vec![value.clone()])));
        let expressions = object
            .match_expressions
            .iter()
            .flatten()
            .enumerate()
            .map(|(index, expression)| demand(expression, &format!("{place}.matchExpressions[{index}]")));
        equal.chain(expressions).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|demand| match demand {
            Demand::OneOf(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Demand::NoneOf(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Demand::Has(key) => labels.contains_key(key),
            Demand::Lacks(key) => !labels.contains_key(key),
        })
    }
}

fn demand(expression: &LabelSelectorRequirement, place: &str) -> Result<Demand, Nonsense> {
    let key = expression.key.clone();
    let values: Vec<String> = expression.values.iter().flatten().cloned().collect();
    let wrong = |why: &str| Err(Nonsense::new(place, why));
    match (expression.operator.as_str(), values.is_empty()) {
        ("In", false) => Ok(Demand::OneOf(key, values)),
        ("NotIn", false) => Ok(Demand::NoneOf(key, values)),
        ("Exists", true) => Ok(Demand::Has(key)),
        ("DoesNotExist", true) => Ok(Demand::Lacks(key)),
        ("In" | "NotIn", true) => wrong("`In` and `NotIn` need values"),
        ("Exists" | "DoesNotExist", false) => wrong("`Exists` and `DoesNotExist` take no values"),
        (other, _) => wrong(&format!("there is no operator `{other}`")),
    }
}
