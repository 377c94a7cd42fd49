//! The control tenant: a namespace without the platform's boundary.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::TenantError;
use crate::cluster::{Cluster, Ownership};

/// Makes a namespace that carries nothing of the platform: no owner label, no quota, no limits, no policies, and no
/// pod security level of its own. What is open here and closed for a subject is closed by the boundary.
pub(super) async fn create(
    cluster: &Cluster,
    ownership: &Ownership,
    namespace: &str,
) -> Result<(), TenantError> {
    let mut object = Namespace {
        metadata: ObjectMeta {
            name: Some(namespace.to_owned()),
            labels: Some(BTreeMap::new()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    ownership.stamp(&mut object.metadata);
    Api::<Namespace>::all(cluster.client())
        .create(&PostParams::default(), &object)
        .await
        .map(drop)
        .map_err(|error| cluster.error(format!("create namespace {namespace}"), error))
        .map_err(TenantError::cluster("make the control tenant"))
}
