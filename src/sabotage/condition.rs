//! Conditions that a sabotage names as signs of its effect, where reading the object back does not show it.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::{Of, SabotageError, edit::says, ledger::read};
use crate::cluster::Cluster;

/// How long a change may take until it acts: informers take well under a second, rollouts some.
pub(super) const EFFECT_WITHIN: Duration = Duration::from_secs(60);

/// A sign that a sabotage of the cluster is in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Condition {
    /// An object of the cluster says this, status included.
    Reads {
        /// The object.
        of: Of,
        /// Where in it, as a JSON pointer: `/status/readyReplicas`.
        at: String,
        /// What is to stand there; null where nothing is.
        is: Value,
    },
    /// The cluster's authorization lets somebody do something.
    Allows(Access),
    /// The cluster's authorization does not let somebody do something.
    Refuses(Access),
}

/// A question to the cluster's authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// The user.
    #[serde(default)]
    pub user: String,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The verb.
    pub verb: String,
    /// The API group; none for the core.
    #[serde(default)]
    pub group: String,
    /// The resource, with its subresource after a slash.
    pub resource: String,
    /// The namespace; none for all of them, or for what has none.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The name; none for all of them.
    #[serde(default)]
    pub name: Option<String>,
}

impl Access {
    /// Asks.
    pub(super) async fn is_allowed(&self, cluster: &Cluster) -> Result<bool, SabotageError> {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource.to_owned(), Some(sub.to_owned())),
            None => (self.resource.clone(), None),
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.user.clone()),
                groups: Some(self.groups.clone()),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(self.verb.clone()),
                    group: Some(self.group.clone()),
                    resource: Some(resource),
                    subresource,
                    namespace: self.namespace.clone(),
                    name: self.name.clone(),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = Api::<SubjectAccessReview>::all(cluster.client())
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| cluster.error("ask about access", error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let who = if self.user.is_empty() { self.groups.join(", ") } else { self.user.clone() };
        write!(f, "{who} may {} {}", self.verb, self.resource)
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reads { of, at, is } => write!(f, "{of} says {is} at {at}"),
            Self::Allows(access) => write!(f, "the authorizer says that {access}"),
            Self::Refuses(access) => write!(f, "the authorizer says no to: {access}"),
        }
    }
}

impl Condition {
    async fn holds(&self, cluster: &Cluster) -> Result<bool, SabotageError> {
        match self {
            Self::Reads { of, at, is } => {
                let object = read(cluster, of).await?;
                Ok(says(is, object.as_ref().and_then(|object| object.pointer(at))))
            }
            Self::Allows(access) => access.is_allowed(cluster).await,
            Self::Refuses(access) => Ok(!access.is_allowed(cluster).await?),
        }
    }
}

/// Waits until each holds.
pub(super) async fn wait_for_all(
    cluster: &Cluster,
    conditions: &[Condition],
) -> Result<Vec<String>, SabotageError> {
    let mut shown = Vec::new();
    for condition in conditions {
        until(&condition.to_string(), async || {
            Ok(if condition.holds(cluster).await? { Ok(()) } else { Err("it does not hold".to_owned()) })
        })
        .await?;
        shown.push(condition.to_string());
    }
    Ok(shown)
}

/// Asks again, ever more slowly, until the answer is yes; `ask` says why it is not.
pub(super) async fn until<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Result<T, String>, SabotageError>,
) -> Result<T, SabotageError> {
    let deadline = Instant::now() + EFFECT_WITHIN;
    let mut pause = Duration::from_millis(10);
    loop {
        match ask().await? {
            Ok(value) => return Ok(value),
            Err(why) if Instant::now() >= deadline => {
                return Err(SabotageError::NotEffective {
                    what: what.to_owned(),
                    within: EFFECT_WITHIN,
                    why,
                });
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
