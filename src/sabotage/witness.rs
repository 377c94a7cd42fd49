//! Proof that whoever acts upon objects of a kind has taken in a change.
//!
//! The authorizer and the admission plugins of the API server see objects by watches, some time after they are stored.
//! A watch brings the changes of one kind in the order in which they were stored. So a witness that is stored after a
//! change and is seen to act shows that the change acts, too.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};

use super::condition::{Access, until};
use super::ledger::{RECORD_NAMESPACE, put, read};
use super::{Of, SabotageError};
use crate::cluster::Cluster;

const NAME: &str = "plimsoll-witness";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
/// The made-up user whose made-up right is a witness.
const USER: &str = "plimsoll:witness";
/// The label of the config map that no one ever stores, whose refusal, or what it is changed into, is a witness.
const LABEL: &str = "plimsoll.dev/witness";

/// Whether the rollout of a changed workload has to end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// No pod of the former kind is left; those of the new one may be broken.
    Replaced,
    /// All pods are there and Ready.
    Available,
}

/// Who is asked whether it has taken a change in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    ClusterRights,
    NamespacedRights,
    ValidatingPolicies,
    MutatingPolicies,
    ValidatingWebhooks,
    MutatingWebhooks,
}

impl Actor {
    fn of(of: &Of) -> Option<Self> {
        let group = of.api_version.split_once('/').map_or("", |(group, _)| group);
        Some(match (group, of.kind.as_str()) {
            (RBAC, "ClusterRole" | "ClusterRoleBinding") => Self::ClusterRights,
            (RBAC, "Role" | "RoleBinding") => Self::NamespacedRights,
            (ADMISSION, "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding") => {
                Self::ValidatingPolicies
            }
            (ADMISSION, "MutatingAdmissionPolicy" | "MutatingAdmissionPolicyBinding") => {
                Self::MutatingPolicies
            }
            (ADMISSION, "ValidatingWebhookConfiguration") => Self::ValidatingWebhooks,
            (ADMISSION, "MutatingWebhookConfiguration") => Self::MutatingWebhooks,
            _ => return None,
        })
    }

    fn all(kinds: &[Of]) -> Vec<Self> {
        let mut all: Vec<_> = kinds.iter().filter_map(Self::of).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    const fn word(self) -> &'static str {
        match self {
            Self::ClusterRights | Self::NamespacedRights => "the authorizer acts upon what was stored later",
            Self::ValidatingPolicies | Self::MutatingPolicies => {
                "admission policies act that were stored later"
            }
            Self::ValidatingWebhooks | Self::MutatingWebhooks => {
                "admission calls webhooks that were stored later"
            }
        }
    }

    /// The witnesses, with something in them that was never there before.
    fn witnesses(self, nonce: &str) -> Vec<Value> {
        let rights = |role: &str, binding: &str, namespace: Option<&str>| {
            let metadata = json!({"name": NAME, "namespace": namespace});
            vec![
                json!({
                    "apiVersion": format!("{RBAC}/v1"), "kind": role, "metadata": metadata,
                    "rules": [{"apiGroups": ["plimsoll.dev"], "resources": ["witnesses"], "verbs": [nonce]}],
                }),
                json!({
                    "apiVersion": format!("{RBAC}/v1"), "kind": binding, "metadata": metadata,
                    "roleRef": {"apiGroup": RBAC, "kind": role, "name": NAME},
                    "subjects": [{"apiGroup": RBAC, "kind": "User", "name": USER}],
                }),
            ]
        };
        let selector = json!({"matchLabels": {LABEL: nonce}});
        let rule = json!({
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
        });
        let webhook = |kind: &str| {
            vec![json!({
                "apiVersion": format!("{ADMISSION}/v1"), "kind": kind, "metadata": {"name": NAME},
                "webhooks": [{
                    "name": "witness.plimsoll.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                    // Nobody answers there: that it is asked at all is what shows.
                    "clientConfig": {"url": "https://127.0.0.1:1/"}, "timeoutSeconds": 1,
                    "failurePolicy": "Fail", "objectSelector": selector, "rules": [rule],
                }],
            })]
        };
        match self {
            Self::ClusterRights => rights("ClusterRole", "ClusterRoleBinding", None),
            Self::NamespacedRights => rights("Role", "RoleBinding", Some(RECORD_NAMESPACE)),
            Self::ValidatingPolicies => vec![
                json!({
                    "apiVersion": format!("{ADMISSION}/v1"), "kind": "ValidatingAdmissionPolicy",
                    "metadata": {"name": NAME},
                    "spec": {
                        "failurePolicy": "Fail",
                        "matchConstraints": {"objectSelector": selector, "resourceRules": [rule]},
                        "validations": [{"expression": "false", "message": format!("witness {nonce}")}],
                    },
                }),
                json!({
                    "apiVersion": format!("{ADMISSION}/v1"), "kind": "ValidatingAdmissionPolicyBinding",
                    "metadata": {"name": NAME},
                    "spec": {"policyName": NAME, "validationActions": ["Deny"]},
                }),
            ],
            Self::MutatingPolicies => vec![
                json!({
                    "apiVersion": format!("{ADMISSION}/v1"), "kind": "MutatingAdmissionPolicy",
                    "metadata": {"name": NAME},
                    "spec": {
                        "failurePolicy": "Fail",
                        "reinvocationPolicy": "Never",
                        "matchConstraints": {"objectSelector": selector, "resourceRules": [rule]},
                        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!(
                            "[JSONPatch{{op: 'add', path: '/data', value: {{'witness': '{nonce}'}}}}]"
                        )}}],
                    },
                }),
                json!({
                    "apiVersion": format!("{ADMISSION}/v1"), "kind": "MutatingAdmissionPolicyBinding",
                    "metadata": {"name": NAME},
                    "spec": {"policyName": NAME},
                }),
            ],
            Self::ValidatingWebhooks => webhook("ValidatingWebhookConfiguration"),
            Self::MutatingWebhooks => webhook("MutatingWebhookConfiguration"),
        }
    }

    /// Whether it acts upon its witnesses.
    async fn acts(self, cluster: &Cluster, nonce: &str) -> Result<bool, SabotageError> {
        match self {
            Self::ClusterRights | Self::NamespacedRights => {
                let namespace = (self == Self::NamespacedRights).then(|| RECORD_NAMESPACE.to_owned());
                let access = Access {
                    user: USER.to_owned(),
                    groups: Vec::new(),
                    verb: nonce.to_owned(),
                    group: "plimsoll.dev".to_owned(),
                    resource: "witnesses".to_owned(),
                    namespace,
                    name: None,
                };
                access.is_allowed(cluster).await
            }
            _ => {
                let map = ConfigMap {
                    metadata: ObjectMeta {
                        name: Some(NAME.to_owned()),
                        labels: Some([(LABEL.to_owned(), nonce.to_owned())].into()),
                        ..ObjectMeta::default()
                    },
                    ..ConfigMap::default()
                };
                let dry = PostParams { dry_run: true, field_manager: None };
                match Api::<ConfigMap>::namespaced(cluster.raw(), RECORD_NAMESPACE).create(&dry, &map).await {
                    Ok(made) => Ok(made.data.is_some_and(|data| data.values().any(|value| value == nonce))),
                    // Any other refusal would be a sign of nothing.
                    Err(kube::Error::Api(status))
                        if status.message.contains(nonce)
                            || status.message.contains("witness.plimsoll.dev") =>
                    {
                        Ok(true)
                    }
                    Err(error) => Err(cluster.error("try a config map that is never stored", error).into()),
                }
            }
        }
    }
}

/// The witnesses that [`act`] will make for changes of these objects.
pub(super) fn objects(kinds: &[Of]) -> Vec<Of> {
    Actor::all(kinds)
        .into_iter()
        .flat_map(|actor| actor.witnesses("none"))
        .filter_map(|object| super::edit::identify(&object))
        .collect()
}

/// Whether this is a witness, and no part of the platform.
pub(super) fn is_one(of: &Of) -> bool {
    of.name == NAME
}

/// Waits until whoever acts upon these objects has taken in what was stored so far. Says what showed it.
pub(super) async fn act(cluster: &Cluster, changed: &[Of]) -> Result<Vec<String>, SabotageError> {
    let mut shown = Vec::new();
    for actor in Actor::all(changed) {
        let nonce = format!("w{:016x}", rand::random::<u64>());
        let witnesses: Vec<(Of, Value)> = actor
            .witnesses(&nonce)
            .into_iter()
            .filter_map(|object| Some((super::edit::identify(&object)?, object)))
            .collect();
        for (of, object) in &witnesses {
            put(cluster, of, Some(object)).await?;
        }
        until(actor.word(), async || {
            Ok(if actor.acts(cluster, &nonce).await? { Ok(()) } else { Err("not yet".to_owned()) })
        })
        .await?;
        // The binding goes first: without it nothing acts.
        for (of, _) in witnesses.iter().rev() {
            put(cluster, of, None).await?;
        }
        shown.push(actor.word().to_owned());
    }
    Ok(shown)
}

/// Waits until changed workloads run as they are written. Says what showed it.
pub(super) async fn rolled_out(
    cluster: &Cluster,
    changed: &[Of],
    how: Rollout,
) -> Result<Vec<String>, SabotageError> {
    let mut shown = Vec::new();
    for of in changed.iter().filter(|of| {
        of.api_version == "apps/v1" && matches!(of.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet")
    }) {
        until(&format!("the rollout of {of}"), async || {
            Ok(match read(cluster, of).await? {
                Some(object) if !is_rolled_out(&object, how) => Err(format!("{}", object["status"])),
                _ => Ok(()),
            })
        })
        .await?;
        shown.push(format!("rolled out: {of}"));
    }
    Ok(shown)
}

fn is_rolled_out(object: &Value, how: Rollout) -> bool {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or_default();
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return false;
    }
    let (wanted, there, new, available) = if object["kind"] == "DaemonSet" {
        let wanted = status("desiredNumberScheduled");
        (
            wanted,
            status("currentNumberScheduled"),
            status("updatedNumberScheduled"),
            status("numberAvailable"),
        )
    } else {
        let wanted = number("/spec/replicas").unwrap_or(1);
        (wanted, status("replicas"), status("updatedReplicas"), status("availableReplicas"))
    };
    there == wanted && new == wanted && (how == Rollout::Replaced || available == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_rights_and_of_admission_has_witnesses() {
        let of = |api: &str, kind: &str| Of {
            api_version: api.into(),
            kind: kind.into(),
            name: "x".into(),
            namespace: None,
        };
        let changed = [
            of("rbac.authorization.k8s.io/v1", "ClusterRole"),
            of("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
            of("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
            of("v1", "ConfigMap"),
        ];
        let kinds: Vec<_> = objects(&changed).into_iter().map(|of| of.kind).collect();
        assert_eq!(
            kinds,
            [
                "ClusterRole",
                "ClusterRoleBinding",
                "ValidatingAdmissionPolicy",
                "ValidatingAdmissionPolicyBinding"
            ]
        );
        assert!(objects(&changed).iter().all(is_one));
    }

    #[test]
    fn a_rollout_is_over_when_nothing_of_the_former_is_left() {
        let object = |generation: i64, replicas: i64, updated: i64, available: i64| {
            json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
                "status": {"observedGeneration": generation, "replicas": replicas, "updatedReplicas": updated,
                    "availableReplicas": available}})
        };
        assert!(is_rolled_out(&object(2, 2, 2, 2), Rollout::Available));
        assert!(is_rolled_out(&object(2, 2, 2, 0), Rollout::Replaced));
        for unfinished in [object(1, 2, 2, 2), object(2, 3, 2, 2), object(2, 2, 1, 2), object(2, 2, 2, 1)] {
            assert!(!is_rolled_out(&unfinished, Rollout::Available));
        }
    }
}
