//! Whose an object is: labels and annotations by which leftovers are found, whoever died.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::ObjectMeta;
use rand::RngExt as _;

/// The label that everything of ours carries.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGED_BY_VALUE: &str = "plimsoll";
/// The run's id.
pub const RUN_LABEL: &str = "plimsoll.dev/run";
/// The tenant's id.
pub const TENANT_LABEL: &str = "plimsoll.dev/tenant";
/// The scenario's id; an annotation, since ids hold slashes and are long.
pub const SCENARIO_ANNOTATION: &str = "plimsoll.dev/scenario";
/// When anybody may remove the object, whether its run still lives or not.
pub const EXPIRES_AT: &str = "plimsoll.dev/expires-at";

/// The id of a run: short, unique, part of names and labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// A new one: five signs without vowels, so that it never spells a word, and without signs that look alike.
    pub fn random() -> Self {
        const SIGNS: &[u8] = b"bcdfghjkmnpqrstvwxz23456789";
        let mut random = rand::rng();
        Self((0..5).map(|_| char::from(SIGNS[random.random_range(0..SIGNS.len())])).collect())
    }

    /// One that is known already. `None` if it cannot be part of a name.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=12).contains(&text.len())
            && text.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit());
        fits.then(|| Self(text.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The run.
    pub run: RunId,
    /// The tenant's id.
    pub tenant: Option<String>,
    /// The scenario's id.
    pub scenario: Option<String>,
    /// When anybody may remove it.
    pub expires: Timestamp,
}

impl Ownership {
    /// Of a run whose objects expire after that long.
    pub fn of_run(run: RunId, lifetime: Duration) -> Self {
        let expires = jiff::SignedDuration::try_from(lifetime)
            .ok()
            .and_then(|lifetime| Timestamp::now().checked_add(lifetime).ok())
            .unwrap_or(Timestamp::MAX);
        Self { run, tenant: None, scenario: None, expires }
    }

    /// The same, for a tenant.
    #[must_use]
    pub fn of_tenant(&self, tenant: impl Into<String>) -> Self {
        Self { tenant: Some(tenant.into()), ..self.clone() }
    }

    /// The same, for a scenario.
    #[must_use]
    pub fn of_scenario(&self, scenario: impl Into<String>) -> Self {
        Self { scenario: Some(scenario.into()), ..self.clone() }
    }

    /// The labels.
    pub fn labels(&self) -> Vec<(&'static str, String)> {
        let mut labels =
            vec![(MANAGED_BY, MANAGED_BY_VALUE.to_owned()), (RUN_LABEL, self.run.as_str().to_owned())];
        if let Some(tenant) = &self.tenant {
            labels.push((TENANT_LABEL, tenant.clone()));
        }
        labels
    }

    /// Puts labels and annotations on an object; those that it has stay.
    pub fn stamp(&self, metadata: &mut ObjectMeta) {
        let labels = metadata.labels.get_or_insert_default();
        for (key, value) in self.labels() {
            labels.insert(key.to_owned(), value);
        }
        let annotations = metadata.annotations.get_or_insert_default();
        // Whole seconds: people read it, and some tools parse nothing finer.
        let expires = Timestamp::from_second(self.expires.as_second()).unwrap_or(self.expires);
        annotations.insert(EXPIRES_AT.to_owned(), expires.to_string());
        if let Some(scenario) = &self.scenario {
            annotations.insert(SCENARIO_ANNOTATION.to_owned(), scenario.clone());
        }
    }

    /// The selector of everything that a run owns.
    pub fn selector(run: &RunId) -> String {
        format!("{MANAGED_BY}={MANAGED_BY_VALUE},{RUN_LABEL}={run}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_fits_into_names() {
        for _ in 0..100 {
            let id = RunId::random();
            assert_eq!(RunId::parse(id.as_str()), Some(id.clone()));
            assert_eq!(id.as_str().len(), 5);
        }
        for wrong in ["", "UPPER", "a_b", "a-b", "thirteensigns"] {
            assert_eq!(RunId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stamp_keeps_what_is_there() {
        let own = Ownership {
            run: RunId::parse("x7k2").unwrap(),
            tenant: None,
            scenario: None,
            expires: "2026-11-23T10:00:00.75Z".parse().unwrap(),
        };
        let mut metadata = ObjectMeta {
            labels: Some([("app".to_owned(), "web".to_owned())].into()),
            ..ObjectMeta::default()
        };
        own.of_tenant("plim-x7k2-alpha").of_scenario("network/a/b").stamp(&mut metadata);
        insta::assert_yaml_snapshot!(metadata, @r#"
        annotations:
          plimsoll.dev/expires-at: "2026-11-23T10:00:00Z"
          plimsoll.dev/scenario: network/a/b
        labels:
          app: web
          app.kubernetes.io/managed-by: plimsoll
          plimsoll.dev/run: x7k2
          plimsoll.dev/tenant: plim-x7k2-alpha
        "#);
    }
}
