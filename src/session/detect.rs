//! Which capabilities the cluster shows, cheaply: by what it serves and by dry runs. Whether a promise holds is
//! for scenarios to show, so what only they could tell stays open here.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Namespace,
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Error,
    api::{ListParams, ObjectMeta, PostParams},
};

use super::Detected;
use crate::{
    cluster::{Cluster, ClusterError, NodeInfo},
    profile::{Capability, Platform},
};

/// Looks for each capability. What could not be told says why; it is no error.
pub async fn detect(
    cluster: &Cluster,
    platform: &Platform,
    nodes: &[NodeInfo],
    capabilities: impl IntoIterator<Item = Capability>,
) -> Vec<Detected> {
    let each = capabilities.into_iter().map(|capability| async move {
        let (detected, probe) = match look(cluster, platform, nodes, capability).await {
            Ok(found) => found,
            Err(error) => (None, error.to_string()),
        };
        Detected { name: capability.name().to_owned(), detected, probe }
    });
    futures::future::join_all(each).await
}

type Found = (Option<bool>, String);

async fn look(
    cluster: &Cluster,
    platform: &Platform,
    nodes: &[NodeInfo],
    capability: Capability,
) -> Result<Found, ClusterError> {
    match capability {
        Capability::NetworkPolicy => {
            served_only(cluster, "networking.k8s.io", "NetworkPolicy", "whether it is enforced").await
        }
        Capability::ResourceQuota => {
            served_only(cluster, "", "ResourceQuota", "whether it is enforced").await
        }
        Capability::LimitRange => served_only(cluster, "", "LimitRange", "whether it is applied").await,
        Capability::AdmissionPolicy => {
            let served = serves(cluster, "admissionregistration.k8s.io", "ValidatingAdmissionPolicy").await?;
            let verb = if served { "serves" } else { "does not serve" };
            Ok((Some(served), format!("the API server {verb} ValidatingAdmissionPolicy")))
        }
        Capability::PodSecurity => pod_security(cluster).await,
        Capability::Dns => dns(cluster, platform).await,
        Capability::MultiNode => {
            let count = nodes.iter().filter(|node| node.schedulable).count();
            Ok((Some(count > 1), format!("{count} of {} nodes take pods", nodes.len())))
        }
        Capability::Impersonation => impersonation(cluster).await,
    }
}

async fn serves(cluster: &Cluster, group: &str, kind: &str) -> Result<bool, ClusterError> {
    let discovery = cluster.discovery().await?;
    let mut resources = discovery
        .groups()
        .filter(|found| found.name() == group)
        .flat_map(kube::discovery::ApiGroup::recommended_resources);
    Ok(resources.any(|(resource, _)| resource.kind == kind))
}

/// What is stored may still not be acted upon, so that it is served says little; that it is not says all.
async fn served_only(cluster: &Cluster, group: &str, kind: &str, open: &str) -> Result<Found, ClusterError> {
    Ok(if serves(cluster, group, kind).await? {
        (None, format!("{kind} is served; {open} is what the scenarios measure"))
    } else {
        (Some(false), format!("the API server does not serve {kind}"))
    })
}

/// The admission plugin refuses a namespace whose level is no level, so a dry run shows whether it is there.
async fn pod_security(cluster: &Cluster) -> Result<Found, ClusterError> {
    let label = "pod-security.kubernetes.io/enforce";
    let namespace = Namespace {
        metadata: ObjectMeta {
            generate_name: Some("plim-probe-".to_owned()),
            labels: Some(BTreeMap::from([(label.to_owned(), "no-level".to_owned())])),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let doing = "try a namespace with an impossible pod security level (dry run)";
    match Api::<Namespace>::all(cluster.raw()).create(&dry, &namespace).await {
        Ok(_) => {
            Ok((Some(false), "a namespace with an impossible pod security level was admitted".to_owned()))
        }
        Err(Error::Api(status)) if status.message.contains(label) => {
            Ok((Some(true), "a namespace with an impossible pod security level was refused".to_owned()))
        }
        Err(error) => Err(cluster.error(doing, error)),
    }
}

async fn dns(cluster: &Cluster, platform: &Platform) -> Result<Found, ClusterError> {
    let dns = &platform.spec.network.dns;
    let name = format!("{}/{}", dns.namespace, dns.service);
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client(), &dns.namespace);
    let selector = ListParams::default().labels(&format!("kubernetes.io/service-name={}", dns.service));
    let slices = slices
        .list(&selector)
        .await
        .map_err(|error| cluster.error(format!("list the endpoints of service {name}"), error))?;
    let ready = slices
        .iter()
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| {
            endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
        })
        .count();
    Ok((Some(ready > 0), format!("service {name} has {ready} ready endpoints")))
}

async fn impersonation(cluster: &Cluster) -> Result<Found, ClusterError> {
    let mut missing = Vec::new();
    for resource in ["users", "groups"] {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some("impersonate".to_owned()),
                    resource: Some(resource.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = Api::<SelfSubjectAccessReview>::all(cluster.client())
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| cluster.error("ask for our own right to impersonate", error))?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(resource);
        }
    }
    Ok(if missing.is_empty() {
        (Some(true), "the caller may impersonate users and groups".to_owned())
    } else {
        (Some(false), format!("the caller may not impersonate {}", missing.join(" and ")))
    })
}
