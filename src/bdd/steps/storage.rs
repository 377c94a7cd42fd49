//! TEN-08: volumes and what is on them.

use std::{collections::BTreeMap, sync::Arc};

use cucumber::{given, then, when};
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use plimsoll_agent::protocol::Found;
use serde_json::{Value, json};

use super::support::{
    agents,
    api::{Tries, dry, typed},
    denials::{Sandwich, Tried},
    pointers,
    tenants::{self, Role},
    volumes::{self, By, Foreign, Yard},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, ClusterError, wait_for, wait_pods_gone, wait_pods_ready},
    engine::{ComparisonRow, Evidence, EvidenceBody},
    probe::{AgentError, Attempt},
    profile::{LoadedPlatform, Reclaim},
    tenant::{Actor, Tenant, TenantPool, agent_pod},
};

#[given(expr = "volumes that {string} holds, has given up, and is yet to claim")]
async fn foreign(world: &mut World, owner: String) -> StepResult {
    let owner = tenants::named(world, &owner)?;
    let all = Yard::new(world)?.foreign(&owner).await?;
    world.slots.insert(all);
    Ok(())
}

#[when(expr = "the administrator of {string} claims each of them, by its name and by its labels")]
async fn claim_each(world: &mut World, claimant: String) -> StepResult {
    let claimant = tenants::named(world, &claimant)?;
    let yard = Yard::new(world)?;
    let all = world.slots.require::<Vec<Foreign>>("volumes of another tenant")?.clone();
    let mut sandwiches = Vec::new();
    for by in By::ALL {
        for one in &all {
            sandwiches.push(yard.claimed(world, &claimant, one, by, sandwiches.len()).await?);
        }
    }
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[then(expr = "the volumes of {string} are as they were")]
async fn as_they_were(world: &mut World, owner: String) -> StepResult {
    let owner = tenants::named(world, &owner)?;
    let yard = Yard::new(world)?;
    let all = world.slots.require::<Vec<Foreign>>("volumes of another tenant")?.clone();
    let mut rows = Vec::new();
    for one in &all {
        let seen = yard.state_of(&one.name).await?;
        rows.push(ComparisonRow {
            name: format!("the volume that is {}", one.state),
            holds: seen == one.before,
            expected: one.before.clone(),
            seen,
        });
    }
    yard.clear(&owner, &all).await?;
    tenants::all_hold(world, "volumes of another tenant, before and after", rows)
}

/// What a tenant tries with what is the cluster's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(
    name = "undertaking",
    regex = "make a volume of its own|hand a volume over to a claim of its own|make a class of volumes of its own"
)]
pub enum Undertaking {
    /// Any path, any share, any disk that it can name.
    Make,
    /// One that is there, and is not its own.
    HandOver,
    /// A way to all of that.
    MakeClass,
}

impl std::str::FromStr for Undertaking {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "make a volume of its own" => Self::Make,
            "hand a volume over to a claim of its own" => Self::HandOver,
            "make a class of volumes of its own" => Self::MakeClass,
            other => return Err(format!("`{other}` is nothing that can be tried with volumes")),
        })
    }
}

#[when(expr = "its administrator tries to {undertaking}")]
async fn undertake(world: &mut World, what: Undertaking) -> StepResult {
    let tenant = tenants::its(world)?;
    let cluster = world.service::<Cluster>()?;
    let administrator = tenants::actor(&tenant, Role::Administrator)?;
    let platform = pointers::platform(&cluster);
    let name = format!("plim-undertaking-{:04x}", world.scenario().seed() & 0xffff);
    if what == Undertaking::HandOver {
        let mut object: PersistentVolume = typed(volumes::volume(&name, ("default", "somebody-elses")))?;
        tenant.ownership().stamp(&mut object.metadata);
        let all: Api<PersistentVolume> = Api::all(cluster.client());
        all.create(&PostParams::default(), &object)
            .await
            .map_err(|error| cluster.error(format!("create volume {name}"), error))?;
    }
    let attempt = async |actor: &Actor| undertaken(what, actor, &tenant, &name).await;
    let sandwich = Sandwich {
        before: attempt(&platform).await?,
        attempt: attempt(&administrator).await?,
        after: attempt(&platform).await?,
    };
    if what == Undertaking::HandOver {
        let all: Api<PersistentVolume> = Api::all(cluster.client());
        all.delete(&name, &DeleteParams::default())
            .await
            .map_err(|error| cluster.error(format!("remove volume {name}"), error))?;
    }
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

/// A dry run each time, so that one that gets through changes nothing.
async fn undertaken(
    what: Undertaking,
    actor: &Actor,
    tenant: &Tenant,
    name: &str,
) -> Result<Attempt, StepError> {
    let volumes: Api<PersistentVolume> = Api::all(actor.client.clone());
    Ok(match what {
        Undertaking::Make => {
            let object = typed(volumes::volume("plim-undertaking-new", (tenant.namespace(), "data")))?;
            actor.tries("create a volume", volumes.create(&dry(), &object)).await
        }
        Undertaking::HandOver => {
            let own = json!({"spec": {"claimRef": {"namespace": tenant.namespace(), "name": "data"}}});
            let params = PatchParams { dry_run: true, ..PatchParams::default() };
            actor.tries("patch a volume", volumes.patch(name, &params, &Patch::Merge(own))).await
        }
        Undertaking::MakeClass => {
            let object: StorageClass = typed(json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {"name": name}, "provisioner": "nowhere.plimsoll.dev",
            }))?;
            let classes: Api<StorageClass> = Api::all(actor.client.clone());
            actor.tries("create a storage class", classes.create(&dry(), &object)).await
        }
    })
}

#[then(regex = r#"^the same claim to a volume set aside for "[^"]+" was OPEN just before and just after$"#)]
async fn own_claims_open(world: &mut World) -> StepResult {
    Ok(super::support::denials::each_was_open(world)?)
}

/// Where a volume is mounted in the pod.
const MOUNT: &str = "/data";
/// The label of the pod and the claim.
const LABEL: &str = "plimsoll.dev/keeper";

/// A pod of a tenant with a volume of its own.
#[derive(Clone, Debug)]
struct Keeper {
    tenant: Arc<Tenant>,
    /// `namespace/pod`.
    agent: String,
    node: String,
    volume: String,
}

/// What is left of a volume that was given up.
#[derive(Clone, Debug)]
enum Remains {
    /// Nothing.
    Gone,
    /// The volume, in this state.
    Stands(String),
}

/// What was written, and by whom it is kept.
#[derive(Debug, Default)]
struct Keeping {
    mark: String,
    first: Option<Keeper>,
    second: Option<Keeper>,
    /// What became of the first volume once it was given up.
    left: Option<Remains>,
}

/// Pod and claim have the same name, in every tenant.
fn keeper_name(world: &World) -> String {
    format!("keeper-{:04x}", world.scenario().seed() & 0xffff)
}

fn files(error: AgentError) -> StepError {
    StepError::trouble_from("look at a volume through its pod", &error)
}

/// Starts a pod with a volume of its own, acting as the tenant's administrator, on a node if one is named.
async fn keep(world: &World, tenant: &Arc<Tenant>, node: Option<&str>) -> Result<Keeper, StepError> {
    let profile = world.service::<LoadedPlatform>()?;
    let Some(storage) = &profile.platform.spec.storage else {
        return Err(StepError::capability(
            "nothing is promised about storage: the profile has no `spec.storage`",
        ));
    };
    let cluster = world.service::<Cluster>()?;
    let pool = world.service::<TenantPool>()?;
    let name = keeper_name(world);
    let namespace = tenant.namespace();
    clear(world, tenant).await?;

    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}});
    if let Some(class) = &storage.class {
        spec["storageClassName"] = json!(class);
    }
    let mut claim: PersistentVolumeClaim = typed(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": {LABEL: "true"}}, "spec": spec,
    }))?;
    let delivery = pool.delivery().await.map_err(StepError::from)?;
    let labels = BTreeMap::from([(LABEL.to_owned(), "true".to_owned())]);
    let image = &pool.settings().image.reference;
    let mut manifest = agent_pod(&name, tenant.id(), &labels, &[8080], node, image, delivery);
    mount(&mut manifest, &name);
    let mut pod: Pod = typed(manifest)?;
    let ownership = tenant.ownership().of_scenario(world.scenario().id().0.clone());
    ownership.stamp(&mut claim.metadata);
    ownership.stamp(&mut pod.metadata);

    let client = &tenant.admin().client;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    claims
        .create(&PostParams::default(), &claim)
        .await
        .map_err(|error| cluster.error(format!("create claim {namespace}/{name}"), error))?;
    Api::<Pod>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &pod)
        .await
        .map_err(|error| cluster.error(format!("create pod {namespace}/{name}"), error))?;
    let within = profile.platform.spec.deadlines.pod_ready.get();
    let names = [name.clone()];
    let ready = wait_pods_ready(&cluster, cluster.client(), namespace, &selector(), &names, within).await?;
    let node = ready.first().and_then(|pod| pod.spec.as_ref()?.node_name.clone());
    let claim = claims
        .get(&name)
        .await
        .map_err(|error| cluster.error(format!("read claim {namespace}/{name}"), error))?;
    let volume = claim.spec.and_then(|spec| spec.volume_name);
    let (Some(node), Some(volume)) = (node, volume) else {
        return Err(StepError::trouble(format!(
            "pod {namespace}/{name} is Ready without a node or a volume"
        )));
    };
    Ok(Keeper { tenant: Arc::clone(tenant), agent: format!("{namespace}/{name}"), node, volume })
}

fn selector() -> String {
    format!("{LABEL}=true")
}

fn mount(pod: &mut Value, claim: &str) {
    pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": MOUNT}]);
    // Where a driver lets a pod's group write, this is the group.
    if let Some(group) = pod["spec"]["securityContext"]["runAsGroup"].as_i64() {
        pod["spec"]["securityContext"]["fsGroup"] = json!(group);
    }
}

/// Ends the pod and gives the volume up, and waits until both are gone: they count against the tenant's quota.
async fn clear(world: &World, tenant: &Tenant) -> Result<(), StepError> {
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let namespace = tenant.namespace();
    let doing = |error| cluster.error(format!("give the volume of {} up", tenant.name()), error);
    let (delete, ours) = (DeleteParams::default(), ListParams::default().labels(&selector()));
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(tenant.admin().client.clone(), namespace);
    pods.delete_collection(&delete, &ours).await.map_err(doing)?;
    claims.delete_collection(&delete, &ours).await.map_err(doing)?;
    let deadlines = &profile.platform.spec.deadlines;
    wait_pods_gone(&cluster, namespace, &selector(), deadlines.pod_ready.get()).await?;
    let name = keeper_name(world);
    let what = format!("claim {namespace}/{name} to be gone");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client(), namespace);
    let gone = wait_for(
        &cluster,
        claims,
        &name,
        &what,
        deadlines.volume_settled.get(),
        |claim| claim.is_none(),
        |_| "it is still there".to_owned(),
    );
    gone.await.map(drop).map_err(StepError::from)
}

#[given(expr = "{string} has written a mark on a volume of its own")]
async fn write_mark(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let keeper = keep(world, &tenant, None).await?;
    let mark = format!("plimsoll-mark-{:016x}", world.scenario().seed());
    write_and_find(world, &keeper, &mark).await?;
    world.slots.insert(Keeping { mark, first: Some(keeper), ..Keeping::default() });
    Ok(())
}

/// Writes the mark and looks for it: a search that does not find what is there proves nothing by finding nothing.
async fn write_and_find(world: &World, keeper: &Keeper, mark: &str) -> Result<(), StepError> {
    let fleet = agents::fleet(world, &[pod_of(keeper)])?;
    fleet.write(&keeper.agent, &format!("{MOUNT}/mark"), &format!("{mark}\n")).await.map_err(files)?;
    let found = fleet.search(&keeper.agent, MOUNT, mark).await.map_err(files)?;
    record(world, keeper, &found, "after it was written");
    if found.holding.is_empty() {
        return Err(StepError::no_control(format!(
            "{} wrote a mark on its volume and could not find it there, so that not finding it proves nothing",
            keeper.agent
        )));
    }
    Ok(())
}

fn pod_of(keeper: &Keeper) -> (String, String) {
    let (namespace, pod) = keeper.agent.split_once('/').unwrap_or_default();
    (namespace.to_owned(), pod.to_owned())
}

fn record(world: &World, keeper: &Keeper, found: &Found, when: &str) {
    let mut lines = vec![
        format!("volume {} on {}, through pod {}", keeper.volume, keeper.node, keeper.agent),
        format!("{} files, {} bytes looked at", found.files, found.bytes),
    ];
    lines.extend(found.names.iter().map(|name| format!("there is {name}")));
    lines.extend(found.holding.iter().map(|name| format!("the mark is in {name}")));
    world.record(Evidence {
        title: format!("what is on the volume of {}, {when}", keeper.tenant.name()),
        body: EvidenceBody::Text { lines },
    });
}

#[when(expr = "{string} gives its volume up")]
async fn give_up(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let profile = world.service::<LoadedPlatform>()?;
    let cluster = world.service::<Cluster>()?;
    let keeper = world.slots.require::<Keeping>("a mark on a volume")?.first.clone();
    let keeper = keeper.ok_or_else(|| StepError::trouble(format!("{name} has no volume to give up")))?;
    clear(world, &tenant).await?;
    let spec = &profile.platform.spec;
    let goes = spec.storage.as_ref().is_none_or(|storage| storage.reclaim == Reclaim::Delete);
    let seen = |volume: Option<&PersistentVolume>| {
        let text = |part: Option<String>| part.unwrap_or_else(|| "unknown".to_owned());
        volume.map_or_else(
            || "it is gone".to_owned(),
            |volume| {
                let policy =
                    volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.clone());
                let phase = volume.status.as_ref().and_then(|status| status.phase.clone());
                format!("it is {}, with the reclaim policy {}", text(phase), text(policy))
            },
        )
    };
    let settled = wait_for(
        &cluster,
        Api::<PersistentVolume>::all(cluster.client()),
        &keeper.volume,
        &format!("volume {} to be given back", keeper.volume),
        spec.deadlines.volume_settled.get(),
        |volume| match volume {
            None => true,
            Some(volume) => {
                let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
                !goes && phase == Some("Released")
            }
        },
        seen,
    )
    .await;
    let left = match settled {
        Ok(None) => Remains::Gone,
        Ok(Some(volume)) => Remains::Stands(seen(Some(&volume))),
        // Still there when its time was up: for the Then step to say.
        Err(ClusterError::Wait(wait)) => Remains::Stands(wait.last),
        Err(error) => return Err(error.into()),
    };
    world.slots.require_mut::<Keeping>("a mark on a volume")?.left = Some(left);
    Ok(())
}

#[when(expr = "{string} gets a volume by a claim of the same name, on the same node")]
async fn get_another(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let node =
        world.slots.require::<Keeping>("a mark on a volume")?.first.as_ref().map(|one| one.node.clone());
    let keeper = keep(world, &tenant, node.as_deref()).await?;
    world.slots.require_mut::<Keeping>("a mark on a volume")?.second = Some(keeper);
    Ok(())
}

#[then(expr = "what became of the volume of {string} is what the profile promises")]
async fn became(world: &mut World, name: String) -> StepResult {
    tenants::named(world, &name)?;
    let profile = world.service::<LoadedPlatform>()?;
    let keeping = world.slots.require::<Keeping>("a volume that was given up")?;
    let left = keeping.left.as_ref().ok_or_else(|| StepError::trouble("no volume was given up"))?;
    let reclaim = profile.platform.spec.storage.as_ref().map(|storage| storage.reclaim).unwrap_or_default();
    let expected = match reclaim {
        Reclaim::Delete => "it is gone",
        Reclaim::Retain => "it is Released, with the reclaim policy Retain",
    };
    let seen = match left {
        Remains::Gone => "it is gone".to_owned(),
        Remains::Stands(state) => state.clone(),
    };
    let row = ComparisonRow {
        name: "the volume that was given up".to_owned(),
        expected: expected.to_owned(),
        holds: seen == expected,
        seen,
    };
    tenants::all_hold(world, "what became of the volume", vec![row])
}

#[then(expr = "nothing is on the volume of {string}")]
async fn nothing(world: &mut World, name: String) -> StepResult {
    let keeping = world.slots.require::<Keeping>("a mark on a volume")?;
    let (mark, keeper) = (keeping.mark.clone(), second(keeping)?);
    let fleet = agents::fleet(world, &[pod_of(&keeper)])?;
    let found = fleet.search(&keeper.agent, MOUNT, &mark).await.map_err(files)?;
    record(world, &keeper, &found, "as it came");
    if !found.complete {
        return Err(StepError::trouble(format!("not all of the volume of {name} could be looked at")).into());
    }
    if let Some(file) = found.holding.first() {
        return Err(StepError::requirement(format!(
            "expected nothing on the volume of {name}, saw what another tenant had written, in {file}"
        ))
        .into());
    }
    if let Some(file) = found.names.first() {
        return Err(StepError::requirement(format!(
            "expected nothing on the volume of {name}, saw {} files, the first of them {file}",
            found.files
        ))
        .into());
    }
    Ok(())
}

fn second(keeping: &Keeping) -> Result<Keeper, StepError> {
    keeping.second.clone().ok_or_else(|| StepError::trouble("no second volume was claimed"))
}

#[then(expr = "the mark is found there once {string} has written it")]
async fn found_there(world: &mut World, name: String) -> StepResult {
    tenants::named(world, &name)?;
    let keeping = world.slots.require::<Keeping>("a mark on a volume")?;
    let (mark, keeper) = (keeping.mark.clone(), second(keeping)?);
    write_and_find(world, &keeper, &mark).await?;
    for tenant in tenants::all(world)? {
        clear(world, &tenant).await?;
    }
    Ok(())
}
