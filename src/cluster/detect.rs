//! Which parts a platform really has, each with the probe that showed it.
//!
//! Everything is tried in one throwaway namespace by requests that are dry runs, so that nothing but the namespace
//! and two small objects in it is ever made.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ResourceQuota, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    Cluster, ClusterError, Ownership, detect_identity, wait_all, wait_for, wait_namespaces_gone,
    wide_policy_kind,
};
use crate::engine::Event;
use crate::probe::{VerdictKind, api::verdict};
use crate::profile::{Capability, ClusterPolicyDialect, Impersonation, LoadedPlatform, Platform};

/// A capability, claimed and detected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilityCheck {
    /// Which.
    pub capability: Capability,
    /// Whether the profile claims it.
    pub claimed: bool,
    /// Whether the cluster shows it; none where it could not be told.
    pub detected: Option<bool>,
    /// What showed it.
    pub probe: String,
}

impl CapabilityCheck {
    /// What is wrong, if claim and cluster disagree.
    pub fn disagreement(&self) -> Option<String> {
        match (self.claimed, self.detected) {
            (true, Some(false)) => Some(format!(
                "the profile claims `{}`, but the cluster lacks it: {}",
                self.capability, self.probe
            )),
            (false, Some(true)) => Some(format!(
                "the cluster has `{}`, which the profile does not claim: {}",
                self.capability, self.probe
            )),
            _ => None,
        }
    }

    /// As it goes into the journal.
    pub fn event(&self) -> Event {
        Event::CapabilityChecked {
            name: self.capability.name().to_owned(),
            claimed: self.claimed,
            detected: self.detected,
            probe: self.probe.clone(),
        }
    }
}

/// Looks at every capability. What cannot be told apart without running pods (whether network policies are
/// enforced) is left open here: the positive and negative controls of the features tell it.
pub async fn detect(
    cluster: &Cluster,
    profile: &LoadedPlatform,
    ownership: &Ownership,
) -> Result<Vec<CapabilityCheck>, ClusterError> {
    let platform = &profile.platform;
    let namespace = format!("plim-{}-detect", ownership.run);
    make_namespace(cluster, ownership, &namespace).await?;
    let found = look(cluster, profile, ownership, &namespace).await;
    // Removed in any case; what has happened before counts more than what happens now.
    let removed =
        remove_namespace(cluster, &namespace, platform.spec.deadlines.namespace_removed.get()).await;
    let mut found = found?;
    removed?;

    Ok(Capability::ALL
        .into_iter()
        .map(|capability| {
            let (detected, probe) = found
                .remove(&capability)
                .unwrap_or_else(|| (None, "nothing probes it without pods".to_owned()));
            CapabilityCheck { capability, claimed: platform.claims(capability), detected, probe }
        })
        .collect())
}

type Found = BTreeMap<Capability, (Option<bool>, String)>;

async fn look(
    cluster: &Cluster,
    profile: &LoadedPlatform,
    ownership: &Ownership,
    namespace: &str,
) -> Result<Found, ClusterError> {
    let platform = &profile.platform;
    let mut found = Found::new();
    let (limits, quota, pods) = (limit_range(ownership), quota(ownership), async {
        let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
        let what = format!("the default service account of {namespace}");
        let within = platform.spec.deadlines.tenant_ready.get();
        wait_for(
            cluster,
            accounts,
            "default",
            &what,
            within,
            |account| account.is_some(),
            |_| "it is not there".to_owned(),
        )
        .await
    });
    create(cluster, namespace, &limits).await?;
    create(cluster, namespace, &quota).await?;
    pods.await?;

    found.insert(Capability::PodSecurity, pod_security(cluster, namespace).await?);
    found.insert(Capability::LimitRange, limit_defaults(cluster, namespace).await?);
    found.insert(Capability::ResourceQuota, quota_refuses(cluster, platform, namespace).await?);
    found.insert(Capability::AdmissionPolicy, admission_policy(cluster).await?);
    found.insert(Capability::Dns, dns(cluster, platform).await?);
    found.insert(Capability::MultiNode, multi_node(cluster).await?);
    found.insert(Capability::Impersonation, impersonation(cluster).await?);
    found.insert(Capability::Oidc, detect_identity::oidc(cluster, profile).await?);
    found.insert(Capability::Audit, detect_identity::audit(cluster, profile).await);
    found.insert(Capability::ClusterPolicy, cluster_policy(cluster, platform).await?);
    found.insert(
        Capability::NetworkPolicy,
        (None, "only traffic shows it: the controls of the network features do".to_owned()),
    );
    Ok(found)
}

async fn make_namespace(cluster: &Cluster, ownership: &Ownership, name: &str) -> Result<(), ClusterError> {
    let mut namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(
                "pod-security.kubernetes.io/enforce".to_owned(),
                "restricted".to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    ownership.stamp(&mut namespace.metadata);
    Api::<Namespace>::all(cluster.client())
        .create(&PostParams::default(), &namespace)
        .await
        .map(drop)
        .map_err(|error| cluster.error(format!("create namespace {name}"), error))
}

async fn remove_namespace(cluster: &Cluster, name: &str, within: Duration) -> Result<(), ClusterError> {
    match Api::<Namespace>::all(cluster.client()).delete(name, &DeleteParams::background()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => return Err(cluster.error(format!("delete namespace {name}"), error)),
    }
    let stuck = wait_namespaces_gone(cluster, &[name.to_owned()], None, within).await?;
    match stuck.first() {
        None => Ok(()),
        Some(stuck) => Err(ClusterError::Api {
            doing: format!("remove namespace {name}"),
            code: 0,
            message: stuck.why.clone(),
        }),
    }
}

async fn create<K>(cluster: &Cluster, namespace: &str, object: &K) -> Result<(), ClusterError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    Api::<K>::namespaced(cluster.client(), namespace)
        .create(&PostParams::default(), object)
        .await
        .map(drop)
        .map_err(|error| cluster.error(format!("create a {} in {namespace}", K::kind(&())), error))
}

fn limit_range(ownership: &Ownership) -> LimitRange {
    let mut object = LimitRange {
        metadata: ObjectMeta { name: Some("detect".to_owned()), ..ObjectMeta::default() },
        spec: serde_json::from_value(json!({"limits": [
            {"type": "Container", "defaultRequest": {"cpu": "7m"}, "default": {"cpu": "77m"}}
        ]}))
        .ok(),
    };
    ownership.stamp(&mut object.metadata);
    object
}

fn quota(ownership: &Ownership) -> ResourceQuota {
    let mut object = ResourceQuota {
        metadata: ObjectMeta { name: Some("detect".to_owned()), ..ObjectMeta::default() },
        spec: serde_json::from_value(json!({"hard": {"services": "0"}})).ok(),
        status: None,
    };
    ownership.stamp(&mut object.metadata);
    object
}

/// A pod that the restricted standard admits.
fn compliant_pod() -> serde_json::Value {
    json!({
        "metadata": {"name": "detect"},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "detect", "image": "detect.invalid/none",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

async fn dry_run_pod(
    cluster: &Cluster,
    namespace: &str,
    pod: serde_json::Value,
) -> Result<Result<Pod, kube::Error>, ClusterError> {
    let pod: Pod = serde_json::from_value(pod).map_err(|error| ClusterError::Api {
        doing: "build a pod".to_owned(),
        code: 0,
        message: error.to_string(),
    })?;
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    Ok(Api::<Pod>::namespaced(cluster.raw(), namespace).create(&parameters, &pod).await)
}

async fn pod_security(cluster: &Cluster, namespace: &str) -> Result<(Option<bool>, String), ClusterError> {
    let mut privileged = compliant_pod();
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    let admitted = dry_run_pod(cluster, namespace, compliant_pod()).await?;
    let refused = dry_run_pod(cluster, namespace, privileged).await?;
    let (control, tried) = (verdict(&admitted), verdict(&refused));
    Ok(match (control.kind(), tried.kind()) {
        (VerdictKind::Open, VerdictKind::AdmissionDenied) => (
            Some(true),
            format!("a privileged pod in a restricted namespace: {tried}; a compliant one is admitted"),
        ),
        (VerdictKind::Open, VerdictKind::Open) => {
            (Some(false), "a privileged pod is admitted to a namespace labelled restricted".to_owned())
        }
        _ => (None, format!("a compliant pod: {control}; a privileged one: {tried}")),
    })
}

async fn limit_defaults(cluster: &Cluster, namespace: &str) -> Result<(Option<bool>, String), ClusterError> {
    Ok(match dry_run_pod(cluster, namespace, compliant_pod()).await? {
        Ok(pod) => {
            let given = pod
                .spec
                .and_then(|spec| spec.containers.into_iter().next())
                .and_then(|container| container.resources?.requests?.get("cpu").cloned())
                .map(|quantity| quantity.0);
            match given.as_deref() {
                Some("7m") => {
                    (Some(true), "a pod without resources gets the limit range's default".to_owned())
                }
                other => {
                    let seen = other.unwrap_or("nothing");
                    (Some(false), format!("a pod without resources gets {seen} in place of a default of 7m"))
                }
            }
        }
        Err(error) => (None, format!("a compliant pod: {}", verdict(&Err::<(), _>(error)))),
    })
}

async fn quota_refuses(
    cluster: &Cluster,
    platform: &Platform,
    namespace: &str,
) -> Result<(Option<bool>, String), ClusterError> {
    let quotas: Api<ResourceQuota> = Api::namespaced(cluster.client(), namespace);
    let what = format!("the quota of {namespace} to be counted");
    let counted = wait_all(
        cluster,
        quotas,
        &what,
        platform.spec.deadlines.quota_settled.get(),
        |quota| quota.status.as_ref().is_some_and(|status| status.used.is_some()),
        |_| "it has not been counted".to_owned(),
    );
    match counted.await {
        Ok(()) => {}
        // Admission may refuse all the same, but nothing that depends on the count would be right.
        Err(ClusterError::Wait(wait)) => return Ok((Some(false), wait.to_string())),
        Err(error) => return Err(error),
    }
    let service = Service {
        metadata: ObjectMeta { name: Some("detect".to_owned()), ..ObjectMeta::default() },
        spec: serde_json::from_value(json!({"ports": [{"port": 80}]})).ok(),
        status: None,
    };
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let tried =
        verdict(&Api::<Service>::namespaced(cluster.raw(), namespace).create(&parameters, &service).await);
    Ok(match tried.kind() {
        VerdictKind::QuotaExceeded => (Some(true), format!("one service where none is allowed: {tried}")),
        VerdictKind::Open => (Some(false), "a service is admitted where the quota allows none".to_owned()),
        _ => (None, format!("one service where none is allowed: {tried}")),
    })
}

async fn admission_policy(cluster: &Cluster) -> Result<(Option<bool>, String), ClusterError> {
    let discovery = cluster.discovery().await?;
    let served = discovery.get("admissionregistration.k8s.io").is_some_and(|group| {
        group
            .versioned_resources("v1")
            .iter()
            .any(|(resource, _)| resource.kind == "ValidatingAdmissionPolicy")
    });
    let words = if served { "is served" } else { "is not served" };
    Ok((Some(served), format!("admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy {words}")))
}

/// Which dialects of cluster-wide policy are served. Whether anybody acts upon them only traffic shows.
pub(super) async fn cluster_policy(
    cluster: &Cluster,
    platform: &Platform,
) -> Result<(Option<bool>, String), ClusterError> {
    let discovery = cluster.discovery().await?;
    let promised = platform.spec.network.cluster_policy.as_ref().map(|promise| promise.dialect);
    let served = |dialect: ClusterPolicyDialect| {
        let wanted = wide_policy_kind(dialect);
        discovery.get(&wanted.group).is_some_and(|group| {
            group.versioned_resources(&wanted.version).iter().any(|(kind, _)| kind.kind == wanted.kind)
        })
    };
    let asked = promised.map_or_else(|| ClusterPolicyDialect::ALL.to_vec(), |dialect| vec![dialect]);
    let words: Vec<_> = asked
        .iter()
        .map(|dialect| {
            let kind = wide_policy_kind(*dialect);
            let word = if served(*dialect) { "is served" } else { "is not served" };
            format!("{} {} {word}", kind.api_version, kind.kind)
        })
        .collect();
    if asked.iter().any(|dialect| served(*dialect)) {
        return Ok((None, format!("{}; whether it is acted upon, only traffic shows", words.join(", "))));
    }
    Ok((Some(false), words.join(", ")))
}

async fn dns(cluster: &Cluster, platform: &Platform) -> Result<(Option<bool>, String), ClusterError> {
    let dns = &platform.spec.network.dns;
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client(), &dns.namespace);
    let parameters = ListParams::default().labels(&format!("kubernetes.io/service-name={}", dns.service));
    let list = slices.list(&parameters).await.map_err(|error| {
        cluster.error(format!("list the endpoints of {}/{}", dns.namespace, dns.service), error)
    })?;
    let ready = list
        .items
        .iter()
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| {
            endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready.unwrap_or(true))
        })
        .count();
    Ok((Some(ready > 0), format!("service {}/{} has {ready} ready endpoints", dns.namespace, dns.service)))
}

async fn multi_node(cluster: &Cluster) -> Result<(Option<bool>, String), ClusterError> {
    let nodes = cluster.nodes().await?;
    let usable = nodes.iter().filter(|node| node.schedulable).count();
    Ok((Some(usable >= 2), format!("{usable} of {} nodes take pods", nodes.len())))
}

async fn impersonation(cluster: &Cluster) -> Result<(Option<bool>, String), ClusterError> {
    let who =
        Impersonation { user: "plimsoll-detect".to_owned(), groups: vec!["plimsoll-detect".to_owned()] };
    let client: Client = cluster.impersonate(&who)?;
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    Ok(match reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => {
            let seen = review
                .status
                .and_then(|status| status.user_info)
                .and_then(|user| user.username)
                .unwrap_or_default();
            (Some(seen == who.user), format!("acting as `{}`, the API server sees `{seen}`", who.user))
        }
        Err(error) => {
            let tried = verdict(&Err::<(), _>(error));
            (
                Some(false).filter(|_| tried.kind() == VerdictKind::Forbidden),
                format!("acting as `{}`: {tried}", who.user),
            )
        }
    })
}
