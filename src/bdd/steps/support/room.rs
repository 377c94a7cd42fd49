//! Room on nodes: what they have, who has it, and pods that ask for a part of it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, Pod, ResourceQuota},
    apimachinery::pkg::api::resource::Quantity as Amount,
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

use super::api::typed;
use crate::{
    bdd::{StepError, World},
    cluster::{Cluster, ClusterError, TENANT_LABEL, wait_for, wait_pods_ready},
    oracle::Quantity,
    profile::LoadedPlatform,
    tenant::{TIER_LABEL, Tenant, TenantPool, Tier, agent_pod},
};

/// What a node has of the processor.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its name.
    pub name: String,
    hostname: String,
    /// All that pods may have.
    pub whole: Quantity,
    /// What no pod has asked for.
    pub free: Quantity,
}

/// A pod that asks for a part of it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Whose it is.
    pub tenant: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it shall be.
    pub node: Room,
    /// What it asks for.
    pub request: Quantity,
    /// What it may use at the most.
    pub limit: Quantity,
    /// Its address, once it is Ready.
    pub address: String,
}

impl Part {
    /// `namespace/pod`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What reports call it: `steady/web`.
    pub fn place(&self) -> String {
        format!("{}/{}", self.tenant, self.name)
    }
}

/// A quantity in cores.
pub fn cores(amount: Quantity) -> f64 {
    amount.holds(Quantity::milli(1)).unwrap_or_default() as f64 / 1000.0
}

/// One of `count` parts of whole thousandths that add up to the whole.
pub fn part(whole: Quantity, count: u64, index: usize) -> Quantity {
    let milli = Quantity::milli(1);
    let each = milli * (whole.holds(milli).unwrap_or_default() / count.max(1));
    if index == 0 { whole - each * (count.max(1) - 1) } else { each }
}

/// The hard limits of a tenant's quota as the cluster has them: what the tenant can really use.
pub async fn quota(world: &World, tenant: &Tenant) -> Result<BTreeMap<String, Quantity>, StepError> {
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let Some(promise) = &profile.platform.spec.quota else {
        return Err(StepError::capability("nothing limits a tenant: the profile has no `spec.quota`"));
    };
    let api: Api<ResourceQuota> = Api::namespaced(cluster.client(), tenant.namespace());
    let found = api.get(&promise.name).await;
    let quota =
        found.map_err(|error| cluster.error(format!("read the quota of {}", tenant.name()), error))?;
    quota
        .spec
        .and_then(|spec| spec.hard)
        .unwrap_or_default()
        .into_iter()
        .map(|(key, amount)| Ok((key, read(&amount)?)))
        .collect()
}

fn read(amount: &Amount) -> Result<Quantity, StepError> {
    amount.0.parse().map_err(|error| StepError::trouble_from("read a quantity", &error))
}

/// What the containers of a pod ask for together.
fn asked(pod: &Pod) -> Quantity {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .filter_map(|container| {
            container.resources.as_ref()?.requests.as_ref()?.get("cpu")?.0.parse::<Quantity>().ok()
        })
        .sum()
}

impl Room {
    /// Two nodes that take ordinary pods, or the only one.
    pub async fn of_two_nodes(world: &World) -> Result<Vec<Self>, StepError> {
        let cluster = world.service::<Cluster>()?;
        let known = cluster.nodes().await.map_err(StepError::from)?;
        let mut rooms = Vec::new();
        for node in known.into_iter().filter(|node| node.schedulable).take(2) {
            let doing = || format!("read what node {} has", node.name);
            let found = Api::<Node>::all(cluster.client()).get(&node.name).await;
            let found = found.map_err(|error| cluster.error(doing(), error))?;
            let on_it = ListParams::default()
                .fields(&format!("spec.nodeName={},status.phase!=Succeeded,status.phase!=Failed", node.name));
            let pods = Api::<Pod>::all(cluster.client()).list(&on_it).await;
            let pods = pods.map_err(|error| cluster.error(doing(), error))?;
            let allocatable = found.status.and_then(|status| status.allocatable).unwrap_or_default();
            let whole = allocatable.get("cpu").map(read).transpose()?.unwrap_or_default();
            let taken = pods.items.iter().map(asked).sum();
            rooms.push(Self { name: node.name, hostname: node.hostname, whole, free: whole - taken });
        }
        if rooms.is_empty() {
            return Err(StepError::trouble("no node takes pods"));
        }
        Ok(rooms)
    }

    /// So many threads keep all its processors busy.
    pub fn processors(&self) -> u32 {
        u32::try_from(self.whole.holds(Quantity::milli(1)).unwrap_or_default().div_ceil(1000))
            .unwrap_or(u32::MAX)
            .max(1)
    }
}

/// Makes a pod that asks for so much of a node, and may use so much.
pub async fn start(
    world: &World,
    tenant: &Tenant,
    name: &str,
    port: u16,
    tier: Option<Tier>,
    node: &Room,
    (request, limit): (Quantity, Quantity),
) -> Result<Part, StepError> {
    let cluster = world.service::<Cluster>()?;
    let pool = world.service::<TenantPool>()?;
    let delivery = pool.delivery().await.map_err(StepError::from)?;
    let image = &pool.settings().image.reference;
    let labels = tier.map(|tier| (TIER_LABEL.to_owned(), tier.name().to_owned())).into_iter().collect();
    let mut manifest = agent_pod(name, tenant.id(), &labels, &[port], Some(&node.hostname), image, delivery);
    manifest["spec"]["containers"][0]["resources"] = json!({
        "requests": {"cpu": request.to_string(), "memory": "32Mi"},
        "limits": {"cpu": limit.to_string(), "memory": "64Mi"},
    });
    let mut pod: Pod = typed(manifest)?;
    tenant.ownership().of_scenario(world.scenario().id().0.clone()).stamp(&mut pod.metadata);
    let namespace = tenant.namespace().to_owned();
    Api::<Pod>::namespaced(tenant.admin().client.clone(), &namespace)
        .create(&PostParams::default(), &pod)
        .await
        .map_err(|error| cluster.error(format!("create pod {namespace}/{name}"), error))?;
    Ok(Part {
        tenant: tenant.name().to_owned(),
        namespace,
        name: name.to_owned(),
        node: node.clone(),
        request,
        limit,
        address: String::new(),
    })
}

fn placed(pod: Option<&Pod>) -> bool {
    pod.and_then(|pod| pod.spec.as_ref()?.node_name.as_ref()).is_some()
}

/// What the scheduler says of a pod that it has not placed.
fn unplaced(pod: Option<&Pod>) -> String {
    let condition = pod.and_then(|pod| {
        pod.status.as_ref()?.conditions.as_ref()?.iter().find(|one| one.type_ == "PodScheduled")
    });
    let said = condition.map(|one| {
        [one.reason.as_deref(), one.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ")
    });
    said.filter(|said| !said.is_empty()).unwrap_or_else(|| "nothing from the scheduler".to_owned())
}

/// Waits until the scheduler has placed a pod; what it last said of it, where it did not within the time that a pod has
/// to be Ready.
pub async fn scheduled(world: &World, part: &Part) -> Result<Option<String>, StepError> {
    let cluster = world.service::<Cluster>()?;
    let within = world.service::<LoadedPlatform>()?.platform.spec.deadlines.pod_ready.get();
    let api = Api::<Pod>::namespaced(cluster.client(), &part.namespace);
    let what = format!("pod {} to be placed on a node", part.full_name());
    match wait_for(&cluster, api, &part.name, &what, within, placed, unplaced).await {
        Ok(_) => Ok(None),
        Err(ClusterError::Wait(wait)) if wait.last.starts_with("Unschedulable") => Ok(Some(wait.last)),
        Err(error) => Err(error.into()),
    }
}

/// Waits until a pod is Ready, and notes its address.
pub async fn ready(world: &World, part: &mut Part) -> Result<(), StepError> {
    let cluster = world.service::<Cluster>()?;
    let within = world.service::<LoadedPlatform>()?.platform.spec.deadlines.pod_ready.get();
    let (names, namespace) = ([part.name.clone()], part.namespace.clone());
    let ready = wait_pods_ready(&cluster, cluster.client(), &namespace, TENANT_LABEL, &names, within)
        .await
        .map_err(StepError::from)?;
    let pod = ready.iter().find(|pod| pod.metadata.name.as_ref() == Some(&part.name));
    part.address = pod
        .and_then(|pod| pod.status.as_ref()?.pod_ip.clone())
        .ok_or_else(|| StepError::trouble(format!("pod {} is Ready and has no address", part.full_name())))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_thousandths_and_add_up() {
        for (whole, count) in [(Quantity::whole(1), 2), (Quantity::milli(1001), 3), (Quantity::milli(1), 2)] {
            let parts: Vec<_> =
                (0..usize::try_from(count).unwrap()).map(|index| part(whole, count, index)).collect();
            assert_eq!(parts.iter().copied().sum::<Quantity>(), whole, "{parts:?}");
        }
        assert_eq!(part(Quantity::milli(1001), 2, 1), Quantity::milli(500));
    }

    #[test]
    fn a_pod_asks_for_what_its_containers_ask_for() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [
            {"name": "a", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "b"},
            {"name": "c", "resources": {"requests": {"cpu": "1"}}},
        ]}}))
        .unwrap();
        assert_eq!(asked(&pod), Quantity::milli(1100));
        assert_eq!(unplaced(Some(&pod)), "nothing from the scheduler");
    }
}
