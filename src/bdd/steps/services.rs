//! TEN-07: services that reach past their namespace.

use cucumber::{then, when};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::support::{
    api::{Tries, dry, shown, typed},
    denials::{self, Sandwich, Tried},
    paths,
    pointers::{self, Means, Pointing},
    reaches::{self, Reach},
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{Evidence, EvidenceBody},
    probe::Attempt,
    profile::{LoadedPlatform, Permission},
    tenant::{Actor, DeployedPod, Tenant, Tier},
};

/// Where tenants may have something, there is nothing to be refused.
fn refused_is_promised(permission: Permission, what: &str) -> Result<(), StepError> {
    match permission {
        Permission::Refused => Ok(()),
        Permission::Allowed => Err(StepError::capability(format!(
            "{what} is the tenants' to have on this platform: `spec.services` of the profile allows it"
        ))),
    }
}

#[when(expr = "its administrator asks for a service that {reach}")]
async fn ask(world: &mut World, reach: Reach) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    refused_is_promised(reach.permission(&profile.platform.spec.services), "such a service")?;
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let namespace = tenant.namespace();
    let plain = reaches::plain("plimsoll-reach");
    let sandwich = Sandwich {
        before: create(&actor, namespace, plain.clone()).await?,
        attempt: create(&actor, namespace, reach.applied_to(&plain)).await?.variant(reach.words()),
        after: create(&actor, namespace, plain).await?,
    };
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

/// A dry run: admission is where it is refused, and one that got through would take a port or draw traffic.
async fn create(actor: &Actor, namespace: &str, manifest: Value) -> Result<Attempt, StepError> {
    let (api, object): (Api<Service>, Service) = (actor.api(namespace), typed(manifest)?);
    Ok(actor.tries(&format!("create a service in {namespace}"), api.create(&dry(), &object)).await)
}

#[when(expr = "its administrator turns a service of its own into one that {reach}")]
async fn turn(world: &mut World, reach: Reach) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    refused_is_promised(reach.permission(&profile.platform.spec.services), "such a service")?;
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let name = &paths::workload(&tenant)?
        .service(Tier::Web)
        .ok_or_else(|| StepError::trouble("the workload has no service for its web server"))?
        .name;
    let target = format!("patch service {name} in {}", tenant.namespace());
    let api: Api<Service> = actor.api(tenant.namespace());
    let change = async |patch: Value| {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        actor.tries(&target, api.patch(name, &params, &Patch::Merge(patch))).await
    };
    let harmless = json!({"metadata": {"annotations": {"plimsoll.dev/tried": "change"}}});
    let sandwich = Sandwich {
        before: change(harmless.clone()).await,
        attempt: change(reach.patch()).await.variant(reach.words()),
        after: change(harmless).await,
    };
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

fn the_api(tenant: &Tenant) -> Result<&DeployedPod, StepError> {
    let api = paths::workload(tenant)?.pods.iter().find(|pod| pod.tier == Tier::Api);
    api.ok_or_else(|| StepError::trouble(format!("no api runs in {}", tenant.name())))
}

#[when(
    regex = r#"^the administrator of "([^"]+)" writes (endpoints|an endpoint slice) for a pod of "([^"]+)"$"#
)]
async fn write_by_hand(world: &mut World, guest: String, kind: String, host: String) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    refused_is_promised(profile.platform.spec.services.endpoints, "writing endpoints")?;
    let (guest, host) = (tenants::named(world, &guest)?, tenants::named(world, &host)?);
    let cluster = world.service::<Cluster>()?;
    let means: Means = kind.parse().map_err(StepError::trouble)?;
    let pod = the_api(&host)?;
    let namespace = guest.namespace();
    let (resource, manifest) = pointers::by_hand(means, "plimsoll-by-hand", &pod.address.to_string(), 8080);
    let object: DynamicObject = typed(manifest)?;
    let target = format!("create {} in {namespace}", resource.plural);
    let create = async |actor: &Actor, resource: &ApiResource| {
        let api: Api<DynamicObject> = Api::namespaced_with(actor.client.clone(), namespace, resource);
        actor.tries(&target, api.create(&dry(), &object)).await
    };
    let platform = pointers::platform(&cluster);
    let administrator = tenants::actor(&guest, Role::Administrator)?;
    let sandwich = Sandwich {
        before: create(&platform, &resource).await,
        attempt: create(&administrator, &resource).await.variant(format!("a pod of {}", host.name())),
        after: create(&platform, &resource).await,
    };
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

#[when(
    regex = r#"^a service of "([^"]+)" is pointed at the api of "([^"]+)" by (endpoints|an endpoint slice|an external name)$"#
)]
async fn point(world: &mut World, guest: String, host: String, means: String) -> StepResult {
    let (guest, host) = (tenants::named(world, &guest)?, tenants::named(world, &host)?);
    let means: Means = means.parse().map_err(StepError::trouble)?;
    let pointing = Pointing::made(world, means, guest, host).await?;
    world.record(Evidence {
        title: format!("what points there, as written by {}", pointing.writer()),
        body: EvidenceBody::Object { reference: pointing.reference(), object: shown(pointing.written()) },
    });
    world.slots.insert(pointing);
    Ok(())
}

#[when(regex = r#"^the web server of "[^"]+" tries it$"#)]
async fn try_pointed(world: &mut World) -> StepResult {
    let pointing = world
        .slots
        .take::<Pointing>()
        .ok_or_else(|| StepError::trouble("no earlier step points a service anywhere"))?;
    let (sandwich, alive) = pointing.tried(world).await?;
    world.slots.insert(alive);
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

#[then("a plain service was OPEN for the same administrator just before and just after")]
#[then("another change to the service was OPEN for the same administrator just before and just after")]
#[then("the same attempt was OPEN for the platform itself just before and just after")]
#[then(
    regex = r#"^the same service was OPEN just before and just after, pointed at the api of "[^"]+" itself$"#
)]
async fn controls_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}

/// A pod that has died carries nothing either.
#[then(regex = r#"^the api of "[^"]+" was OPEN for its own web server all the while$"#)]
async fn alive(world: &mut World) -> StepResult {
    let alive = world.slots.require::<pointers::Alive>("a look at the pod that was pointed at")?;
    Ok(alive.proven(world)?)
}
