//! Using up a quota: as fast as the API server admits, without loading a node.

use std::{
    collections::BTreeMap,
    str::FromStr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    api::{Tries, typed},
    books::{Books, amount},
    pods, tenants,
};
use crate::{
    bdd::{StepError, World},
    cluster::Cluster,
    oracle::{Limit, Quantity},
    probe::{Attempt, VerdictKind},
    profile::LoadedPlatform,
    tenant::{Actor, Tenant},
};

/// In so many pieces an amount is used up, so that a limit on single objects is not what stops it.
const PIECES: u64 = 4;

/// What a tenant can use up. Load balancers and node ports are not among them: where the promise is that there are
/// none, there is nothing that could be admitted up to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(
    name = "consumable",
    regex = "pods|cpu|cpu limits|memory|memory limits|services|volume claims|storage"
)]
pub enum Consumable {
    /// Pods.
    Pods,
    /// Requests of processor time.
    Cpu,
    /// Limits of processor time.
    CpuLimits,
    /// Requests of memory.
    Memory,
    /// Limits of memory.
    MemoryLimits,
    /// Services.
    Services,
    /// Volume claims.
    Claims,
    /// The storage that they ask for.
    Storage,
}

impl FromStr for Consumable {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "pods" => Self::Pods,
            "cpu" => Self::Cpu,
            "cpu limits" => Self::CpuLimits,
            "memory" => Self::Memory,
            "memory limits" => Self::MemoryLimits,
            "services" => Self::Services,
            "volume claims" => Self::Claims,
            "storage" => Self::Storage,
            other => return Err(format!("`{other}` is nothing that a quota limits")),
        })
    }
}

impl Consumable {
    /// The key of the quota.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::Cpu => "requests.cpu",
            Self::CpuLimits => "limits.cpu",
            Self::Memory => "requests.memory",
            Self::MemoryLimits => "limits.memory",
            Self::Services => "services",
            Self::Claims => "persistentvolumeclaims",
            Self::Storage => "requests.storage",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Claims | Self::Storage => "volume claims",
            _ => "pods",
        }
    }

    /// The amounts that use up exactly what is left, and the least that goes beyond it.
    fn pieces(self, left: Quantity) -> (Vec<Quantity>, Quantity) {
        let one = Quantity::whole(1);
        match self {
            Self::Pods | Self::Services | Self::Claims => {
                let count = left.holds(one).unwrap_or_default();
                ((0..count).map(|_| one).collect(), one)
            }
            // One claim, so that their number is not what stops it.
            Self::Storage => (vec![left], one),
            Self::Cpu | Self::CpuLimits => split(left, Quantity::milli(1)),
            Self::Memory | Self::MemoryLimits => split(left, Quantity::whole(1024)),
        }
    }

    fn manifest(self, name: &str, amount: Quantity, image: &str) -> Value {
        match self {
            Self::Services => json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"clusterIP": "None", "selector": {"plimsoll.dev/never": "true"}},
            }),
            Self::Claims => claim(name, "1Mi"),
            Self::Storage => claim(name, &amount.to_string()),
            Self::Pods => pods::never_scheduled(pods::compliant(name, image)),
            Self::Cpu => {
                sized(name, image, json!({"cpu": amount.to_string()}), json!({"cpu": amount.to_string()}))
            }
            Self::CpuLimits => sized(name, image, json!({"cpu": "1m"}), json!({"cpu": amount.to_string()})),
            Self::Memory => sized(
                name,
                image,
                json!({"memory": amount.to_string()}),
                json!({"memory": amount.to_string()}),
            ),
            Self::MemoryLimits => {
                sized(name, image, json!({"memory": "1Ki"}), json!({"memory": amount.to_string()}))
            }
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::Services => ApiResource::erase::<Service>(&()),
            Self::Claims | Self::Storage => ApiResource::erase::<PersistentVolumeClaim>(&()),
            _ => ApiResource::erase::<Pod>(&()),
        }
    }
}

/// Splits an amount into pieces that are multiples of a grain, but for the last, and adds up to it exactly.
fn split(left: Quantity, grain: Quantity) -> (Vec<Quantity>, Quantity) {
    let grains = left.holds(grain).unwrap_or_default();
    let each = grain * (grains / PIECES);
    let mut pieces = vec![each; usize::try_from(PIECES - 1).unwrap_or_default()];
    pieces.push(left - each * (PIECES - 1));
    pieces.retain(|piece| *piece > Quantity::ZERO);
    (pieces, grain)
}

/// A pod of small resources but for those that are given.
fn sized(name: &str, image: &str, requests: Value, limits: Value) -> Value {
    let mut pod = pods::never_scheduled(pods::compliant(name, image));
    let resources = &mut pod["spec"]["containers"][0]["resources"];
    for (into, amounts) in [("requests", requests), ("limits", limits)] {
        if let Value::Object(amounts) = amounts {
            for (key, amount) in amounts {
                resources[into][key] = amount;
            }
        }
    }
    pod
}

/// A claim that no volume and no provisioner ever serves: it counts, and costs nothing.
pub fn claim(name: &str, storage: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "selector": {"matchLabels": {"plimsoll.dev/never": "true"}},
            "resources": {"requests": {"storage": storage}},
        },
    })
}

/// What came of using up a quota.
#[derive(Clone, Debug)]
pub struct Consumption {
    /// The namespace.
    pub namespace: String,
    /// The key of the quota.
    pub key: &'static str,
    /// The limit.
    pub hard: Quantity,
    /// Creates that fit.
    pub within: Vec<Attempt>,
    /// Creates beyond the limit; of a burst, all of them.
    pub over: Vec<Attempt>,
    /// Whether they were all sent at once.
    pub burst: bool,
    /// How many of a burst fit.
    pub fit: usize,
    /// A create once there was room again.
    pub again: Option<Attempt>,
    /// What was used of the key when it was full.
    pub used_full: Quantity,
    /// What was used of each key before.
    pub used_before: BTreeMap<String, String>,
    /// And after everything was deleted again.
    pub used_after: BTreeMap<String, String>,
    /// The pods that ran before, with what would change if they were harmed.
    pub running: BTreeMap<String, String>,
}

/// What the steps need to create and delete objects of one kind.
struct Maker<'a> {
    actor: &'a Actor,
    consumable: Consumable,
    namespace: &'a str,
    image: String,
    target: String,
}

impl Maker<'_> {
    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.actor.client.clone(), self.namespace, &self.consumable.resource())
    }

    async fn create(&self, name: &str, amount: Quantity) -> Result<Attempt, StepError> {
        let mut object: DynamicObject = typed(self.consumable.manifest(name, amount, &self.image))?;
        object.labels_mut().insert(FILLER.to_owned(), "true".to_owned());
        let api = self.api();
        let attempt = self.actor.tries(&self.target, api.create(&PostParams::default(), &object)).await;
        Ok(attempt.variant(name.to_owned()))
    }

    /// Asks once more after everything was given back. Admission reads the books from a cache of its own, which may be a
    /// moment behind what was read of them here: only who is refused to the end of that time is refused.
    async fn create_again(&self, amount: Quantity, within: Duration) -> Result<Attempt, StepError> {
        let begun = Instant::now();
        loop {
            let attempt = self.create("plimsoll-again", amount).await?;
            if attempt.verdict.kind() != VerdictKind::QuotaExceeded || begun.elapsed() >= within {
                return Ok(attempt);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Removes what was created, one by one: each deletion is what gives back a share.
    async fn delete_all(&self, cluster: &Cluster) -> Result<(), StepError> {
        let api = self.api();
        let trouble =
            |error| StepError::from(cluster.error(format!("delete {}", self.consumable.plural()), error));
        let ours = api.list_metadata(&ListParams::default().labels(FILLER)).await.map_err(trouble)?;
        let deletions = ours.items.iter().map(|object| {
            let (api, name) = (api.clone(), object.name_any());
            async move { api.delete(&name, &DeleteParams::default()).await.map(drop) }
        });
        for result in join_all(deletions).await {
            match result {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => other.map_err(trouble)?,
            }
        }
        Ok(())
    }
}

/// The pause before it is asked again; nothing can be watched that would say when admission knows.
const AGAIN: Duration = Duration::from_millis(100);

/// The label of what only fills a quota.
const FILLER: &str = "plimsoll.dev/filler";

/// Uses up exactly what is left, asks for the least that goes beyond, deletes everything, and asks once more.
pub async fn up_to_the_limit(
    world: &World,
    tenant: &Tenant,
    actor: &Actor,
    consumable: Consumable,
) -> Result<Consumption, StepError> {
    fill(world, tenant, actor, consumable, None).await
}

/// Asks for twice as many pods as fit, all at the same time.
pub async fn all_at_once(world: &World, tenant: &Tenant, actor: &Actor) -> Result<Consumption, StepError> {
    fill(world, tenant, actor, Consumable::Pods, Some(2)).await
}

async fn fill(
    world: &World,
    tenant: &Tenant,
    actor: &Actor,
    consumable: Consumable,
    burst: Option<usize>,
) -> Result<Consumption, StepError> {
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let books = Books::new(world, &cluster, &profile, tenant, actor)?;
    let key = consumable.key();
    let running = running(world, tenant).await?;
    let used_before = books.right().await?;
    let limit = Limit { hard: books.limit(key)?, used: amount(&used_before, key)? };
    let maker = Maker {
        actor,
        consumable,
        namespace: tenant.namespace(),
        image: tenants::image(world)?,
        target: format!("create {} in {}", consumable.plural(), tenant.namespace()),
    };
    let (pieces, more) = consumable.pieces(limit.hard - limit.used);
    let mut within = Vec::new();
    let mut over = Vec::new();
    let mut fit = 0;
    if let Some(times) = burst {
        // The first alone, as the control before; then all the others at once.
        within.push(maker.create("plimsoll-fill-first", more).await?);
        fit = pieces.len().saturating_sub(1);
        let names: Vec<_> =
            (0..pieces.len() * times).map(|index| format!("plimsoll-burst-{index}")).collect();
        let all = names.iter().map(|name| maker.create(name, more));
        over = join_all(all).await.into_iter().collect::<Result<_, _>>()?;
    } else {
        for (index, piece) in pieces.iter().enumerate() {
            within.push(maker.create(&format!("plimsoll-fill-{index}"), *piece).await?);
        }
        over.push(maker.create("plimsoll-over", more).await?);
    }
    // The books are kept by admission itself when something comes in, so they are right at once.
    let used_full = amount(&books.used().await?, key)?;
    maker.delete_all(&cluster).await?;
    let (used_after, again) = match books.settled(&used_before).await? {
        Some(used) => {
            let again = maker.create_again(more, books.within).await?;
            maker.delete_all(&cluster).await?;
            if books.settled(&used_before).await?.is_none() {
                let message = format!("the quota of {} was not counted to its end", tenant.namespace());
                return Err(StepError::trouble(message));
            }
            (used, Some(again))
        }
        // Not as it was within the time that the profile gives: for the Then step to say.
        None => (books.used().await?, None),
    };
    Ok(Consumption {
        namespace: tenant.namespace().to_owned(),
        key,
        hard: limit.hard,
        within,
        over,
        burst: burst.is_some(),
        fit,
        again,
        used_full,
        used_before,
        used_after,
        running,
    })
}

/// The running pods of a tenant, each with what would change if it were harmed.
pub async fn running(world: &World, tenant: &Tenant) -> Result<BTreeMap<String, String>, StepError> {
    let cluster = world.service::<Cluster>()?;
    let api: Api<Pod> = Api::namespaced(cluster.client(), tenant.namespace());
    let pods = api
        .list(&ListParams::default())
        .await
        .map_err(|error| cluster.error(format!("list the pods of {}", tenant.namespace()), error))?;
    Ok(pods
        .items
        .iter()
        .filter(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()))
        .map(|pod| {
            let status = pod.status.as_ref();
            let restarts: i32 = status
                .iter()
                .flat_map(|status| status.container_statuses.iter().flatten())
                .map(|container| container.restart_count)
                .sum();
            let phase = status.and_then(|status| status.phase.clone()).unwrap_or_default();
            let leaving = if pod.metadata.deletion_timestamp.is_some() { ", being deleted" } else { "" };
            let state = format!("{phase}, {restarts} restarts, {}{leaving}", pod.uid().unwrap_or_default());
            (pod.name_any(), state)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_pieces_use_up_exactly_what_is_left(milli in 1_u64..1_000_000) {
            let left = Quantity::milli(1) * milli;
            let (pieces, more) = Consumable::Cpu.pieces(left);
            prop_assert_eq!(pieces.iter().copied().sum::<Quantity>(), left);
            prop_assert!(more > Quantity::ZERO && pieces.len() <= 4);
        }
    }
}
