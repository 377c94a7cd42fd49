//! Policies that a scenario makes for itself, in the name of the tenant's administrator, as a tenant would.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::api::typed;
use crate::{
    bdd::{StepError, World},
    tenant::{TIER_LABEL, Tenant, Tier},
};

/// A policy that opens one port over TCP from a tier to others, in both directions and inside the namespace alone.
pub fn opens(name: &str, from: Tier, to: &[Tier], port: u16) -> Value {
    let tiers = |list: &[Tier]| {
        let names: Vec<_> = list.iter().map(|tier| tier.name()).collect();
        json!({"matchExpressions": [{"key": TIER_LABEL, "operator": "In", "values": names}]})
    };
    let concerned: Vec<_> = to.iter().copied().chain([from]).collect();
    let ports = json!([{"protocol": "TCP", "port": port}]);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": tiers(&concerned),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": tiers(&[from])}], "ports": ports}],
            "egress": [{"to": [{"podSelector": tiers(to)}], "ports": ports}],
        },
    })
}

fn api(tenant: &Tenant) -> Api<NetworkPolicy> {
    Api::namespaced(tenant.admin().client.clone(), tenant.namespace())
}

/// Makes a policy.
pub async fn create(world: &World, tenant: &Tenant, policy: Value) -> Result<(), StepError> {
    let mut policy: NetworkPolicy = typed(policy)?;
    tenant.ownership().of_scenario(world.scenario().id().0.clone()).stamp(&mut policy.metadata);
    let doing = format!("create the policy {}", policy.metadata.name.clone().unwrap_or_default());
    api(tenant)
        .create(&PostParams::default(), &policy)
        .await
        .map(drop)
        .map_err(|error| tenant.cluster().error(doing, error).into())
}

/// Gives a policy another specification.
pub async fn change(tenant: &Tenant, policy: &Value) -> Result<(), StepError> {
    let name = policy["metadata"]["name"].as_str().unwrap_or_default();
    let patch = Patch::Merge(json!({"spec": policy["spec"]}));
    api(tenant)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .map(drop)
        .map_err(|error| tenant.cluster().error(format!("change the policy {name}"), error).into())
}

/// Takes a policy away.
pub async fn delete(tenant: &Tenant, name: &str) -> Result<(), StepError> {
    api(tenant)
        .delete(name, &DeleteParams::default())
        .await
        .map(drop)
        .map_err(|error| tenant.cluster().error(format!("delete the policy {name}"), error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_opens_one_port_and_stays_inside_its_namespace() {
        let tiers = |names: Value| json!({"matchExpressions": [{"key": TIER_LABEL, "operator": "In", "values": names}]});
        let ports = json!([{"protocol": "TCP", "port": 9090}]);
        assert_eq!(
            opens("held", Tier::Web, &[Tier::Db], 9090)["spec"],
            json!({
                "podSelector": tiers(json!(["db", "web"])),
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": tiers(json!(["web"]))}], "ports": ports}],
                "egress": [{"to": [{"podSelector": tiers(json!(["db"]))}], "ports": ports}],
            })
        );
    }
}
