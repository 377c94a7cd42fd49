//! The rights that a run needs: data, asked about one by one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use serde::Deserialize;

use super::{Cluster, ClusterError};
use crate::profile::{Capability, Identity, Onboarding, Platform, Rule};

const DATA: &str = include_str!("rights.yaml");
const LAB_BLUEPRINT: &str = "@lab/tenant";

/// Rights that belong together.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Set {
    #[serde(default)]
    when: When,
    why: String,
    rules: Vec<Rule>,
}

/// Under which profile a set is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    #[default]
    Always,
    /// Tenants come by manifests.
    Manifests,
    /// Tenants come by the lab's own manifests.
    LabBlueprint,
    /// Tenants are acted for by impersonation.
    Impersonation,
    /// The platform has policies of the whole cluster.
    ClusterPolicy,
}

impl When {
    fn holds(self, platform: &Platform) -> bool {
        let tenancy = &platform.spec.tenancy;
        let impersonates = |identity: &Identity| matches!(identity, Identity::Impersonate(_));
        match (self, &tenancy.onboarding) {
            (Self::Always, _) | (Self::Manifests, Onboarding::Manifests(_)) => true,
            (Self::LabBlueprint, Onboarding::Manifests(adapter)) => adapter.directory == LAB_BLUEPRINT,
            (Self::Manifests | Self::LabBlueprint, _) => false,
            (Self::ClusterPolicy, _) => platform.claims(Capability::ClusterPolicy),
            (Self::Impersonation, _) => {
                impersonates(&tenancy.identities.admin)
                    || tenancy.identities.viewer.as_ref().is_some_and(impersonates)
            }
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Data {
    sets: BTreeMap<String, Set>,
    suites: BTreeMap<String, Vec<String>>,
}

impl Data {
    fn read() -> Result<Self, ClusterError> {
        serde_saphyr::from_str(DATA).map_err(|error| ClusterError::Api {
            doing: "read the list of rights".to_owned(),
            code: 0,
            message: error.to_string(),
        })
    }

    fn of_suite(&self, suite: &str) -> impl Iterator<Item = (&String, &Set)> {
        let names = self.suites.get(suite).cloned().unwrap_or_default();
        self.sets.iter().filter(move |(name, _)| names.contains(name))
    }
}

/// The suites whose rights are known.
pub fn suites() -> Result<Vec<String>, ClusterError> {
    Ok(Data::read()?.suites.into_keys().collect())
}

/// One right, and whether we have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightsCheck {
    /// `create namespaces`, `bind clusterroles.rbac.authorization.k8s.io`.
    pub right: String,
    /// What it is needed for.
    pub why: String,
    /// The suites that need it.
    pub suites: Vec<String>,
    /// Whether we have it, in every namespace.
    pub allowed: bool,
    /// The authorizer's words, where it has some.
    pub reason: Option<String>,
}

/// One thing to ask the authorizer about: group, resource, subresource, verb.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    group: String,
    resource: String,
    verb: String,
}

impl Question {
    fn text(&self) -> String {
        match (self.group.as_str(), self.resource.as_str()) {
            ("*", "*") => format!("{} every kind", self.verb),
            ("", resource) => format!("{} {resource}", self.verb),
            (group, resource) => format!("{} {resource}.{group}", self.verb),
        }
    }
}

/// Asks the API server about each right that the given suites (all, if none is given) need under this profile.
pub async fn check(
    cluster: &Cluster,
    platform: &Platform,
    suites: &[String],
) -> Result<Vec<RightsCheck>, ClusterError> {
    let data = Data::read()?;
    let mut wanted: BTreeMap<Question, (String, Vec<String>)> = BTreeMap::new();
    for suite in data.suites.keys().filter(|suite| suites.is_empty() || suites.contains(suite)) {
        for (_, set) in data.of_suite(suite).filter(|(_, set)| set.when.holds(platform)) {
            for question in set.rules.iter().flat_map(questions) {
                let (_, suites) = wanted.entry(question).or_insert_with(|| (set.why.clone(), Vec::new()));
                if !suites.contains(suite) {
                    suites.push(suite.clone());
                }
            }
        }
    }
    let mut answers = futures::stream::iter(wanted)
        .map(|(question, (why, suites))| async move {
            let (allowed, reason) = ask(cluster, &question).await?;
            Ok::<_, ClusterError>(RightsCheck { right: question.text(), why, suites, allowed, reason })
        })
        .buffered(8);
    let mut checks = Vec::new();
    while let Some(check) = answers.next().await {
        checks.push(check?);
    }
    Ok(checks)
}

fn questions(rule: &Rule) -> Vec<Question> {
    let mut questions = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                questions.push(Question {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                });
            }
        }
    }
    questions
}

async fn ask(cluster: &Cluster, question: &Question) -> Result<(bool, Option<String>), ClusterError> {
    let (resource, subresource) = match question.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (question.resource.as_str(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(question.group.clone()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(question.verb.clone()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client());
    let answer = reviews
        .create(&PostParams::default(), &review)
        .await
        .map_err(|error| cluster.error("ask the API server about our rights", error))?;
    let status = answer.status.unwrap_or_default();
    Ok((status.allowed, status.reason.filter(|reason| !reason.is_empty())))
}

/// The manifest that grants a suite's rights to the service account `plimsoll` in the namespace `plimsoll`.
pub fn cluster_role(suite: &str) -> Result<String, ClusterError> {
    let data = Data::read()?;
    let mut text = format!(
        "# The rights that the suite `{suite}` needs. Generated from src/cluster/rights.yaml:\n\
         # UPDATE_REFERENCE=1 cargo test --lib cluster::rights\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: plimsoll\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: plimsoll\n  namespace: plimsoll\n---\n\
         apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: plimsoll-{suite}\nrules:\n"
    );
    for (_, set) in data.of_suite(suite) {
        let only = match set.when {
            When::Always => "",
            When::Manifests => " (only where tenants come by manifests)",
            When::LabBlueprint => " (only where tenants come by the lab's blueprint)",
            When::ClusterPolicy => " (only where the platform has such policies)",
            When::Impersonation => " (only where tenants are acted for by impersonation)",
        };
        let _ = writeln!(text, "  # To {}{only}.", set.why);
        for rule in &set.rules {
            let list = |items: &[String]| {
                items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ")
            };
            let _ = writeln!(text, "  - apiGroups: [{}]", list(&rule.api_groups));
            let _ = writeln!(text, "    resources: [{}]", list(&rule.resources));
            let _ = writeln!(text, "    verbs: [{}]", list(&rule.verbs));
        }
    }
    let _ = write!(
        text,
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: plimsoll-{suite}\n\
         roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: plimsoll-{suite}\n\
         subjects:\n  - kind: ServiceAccount\n    name: plimsoll\n    namespace: plimsoll\n"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_manifests_are_what_the_data_says() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/rbac");
        for suite in suites().unwrap() {
            let text = cluster_role(&suite).unwrap();
            let file = directory.join(format!("{suite}.yaml"));
            if std::env::var_os("UPDATE_REFERENCE").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            let stored = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(stored == text, "{} is stale: UPDATE_REFERENCE=1 cargo test", file.display());
            for document in serde_yaml::Deserializer::from_str(&text) {
                serde_json::Value::deserialize(document).unwrap();
            }
        }
    }

    #[test]
    fn every_set_is_used_and_every_name_is_known() {
        let data = Data::read().unwrap();
        for (suite, names) in &data.suites {
            for name in names {
                assert!(data.sets.contains_key(name), "{suite} names {name}");
            }
        }
        for name in data.sets.keys() {
            assert!(data.suites.values().any(|names| names.contains(name)), "{name} is used by no suite");
        }
    }

    #[test]
    fn a_profile_needs_only_what_it_uses() {
        let mut platform = crate::profile::load_lab().unwrap().platform;
        assert!(When::Impersonation.holds(&platform) && When::LabBlueprint.holds(&platform));
        platform.spec.tenancy.onboarding =
            Onboarding::Existing(crate::profile::ExistingAdapter { tenants: Vec::new() });
        assert!(!When::Manifests.holds(&platform) && !When::LabBlueprint.holds(&platform));
    }
}
