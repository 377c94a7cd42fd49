//! TEN-10: what is left of a tenant that has gone.

use cucumber::{given, then, when};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, PostParams},
};
use serde_json::{Value, json};

use super::support::{
    api::typed,
    consumption::claim,
    denials::summarised,
    pods,
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{Evidence, EvidenceBody, ReasonKind, micros},
    tenant::{Inventory, Tenant, TenantPool},
};

/// The inventories before and after.
#[derive(Debug)]
struct Listings {
    tenant: std::sync::Arc<Tenant>,
    before: Inventory,
    after: Option<Inventory>,
    leftovers: Vec<(String, String)>,
}

/// What the tenant is given to hold, so that there is something to remove.
const HELD: &str = "plimsoll-held";

/// References of what it holds: a listing is good only if it finds them.
#[derive(Debug, Default)]
struct Held(Vec<String>);

fn small_things(image: &str) -> Vec<(ApiResource, Value)> {
    let named = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": HELD}});
    let mut service = named("Service");
    service["spec"] = json!({"clusterIP": "None", "selector": {"plimsoll.dev/never": "true"}});
    vec![
        (ApiResource::erase::<ConfigMap>(&()), named("ConfigMap")),
        (ApiResource::erase::<Secret>(&()), named("Secret")),
        (ApiResource::erase::<Service>(&()), service),
        (ApiResource::erase::<Pod>(&()), pods::never_scheduled(pods::compliant(HELD, image))),
    ]
}

#[given("it holds a config map, a secret, a service and a waiting pod")]
async fn hold_small_things(world: &mut World) -> StepResult {
    let things = small_things(&tenants::image(world)?);
    hold(world, things).await
}

#[given("it holds a volume claim")]
async fn hold_volume_claim(world: &mut World) -> StepResult {
    hold(world, vec![(ApiResource::erase::<PersistentVolumeClaim>(&()), claim(HELD, "1Mi"))]).await
}

async fn hold(world: &mut World, things: Vec<(ApiResource, Value)>) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    for (resource, manifest) in things {
        let object: DynamicObject = typed(manifest)?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(actor.client.clone(), tenant.namespace(), &resource);
        api.create(&PostParams::default(), &object).await.map_err(|error| {
            tenant.cluster().error(format!("create a {} for {}", resource.kind, tenant.name()), error)
        })?;
        let reference = format!("v1/{} {}/{HELD}", resource.kind, tenant.namespace());
        world.slots.entry::<Held>().0.push(reference);
    }
    Ok(())
}

async fn list(world: &World, tenant: &Tenant, when: &str) -> Result<Inventory, StepError> {
    let inventory = tenant.inventory().await.map_err(StepError::from)?;
    if let Some(unseen) = inventory.unseen.first() {
        return Err(StepError::trouble(format!("not everything could be listed: {unseen}")));
    }
    world.record(Evidence {
        title: format!("what belongs to {} or names it, {when} offboarding", tenant.name()),
        body: EvidenceBody::Text {
            lines: inventory.items.iter().map(|item| format!("{}: {}", item.reference, item.tie)).collect(),
        },
    });
    Ok(inventory)
}

#[when("everything on the cluster that belongs to it or names it is listed")]
async fn before(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let before = list(world, &tenant, "before").await?;
    world.slots.insert(Listings { tenant, before, after: None, leftovers: Vec::new() });
    Ok(())
}

#[when("it is offboarded the platform's way")]
async fn offboard(world: &mut World) -> StepResult {
    let lease = tenants::surrender(world)?;
    let pool = world.service::<TenantPool>()?;
    let removal = pool.offboard(lease).await.map_err(StepError::from)?;
    let tenant = std::sync::Arc::clone(&world.slots.require::<Listings>("a listing")?.tenant);
    let after = list(world, &tenant, "after").await?;
    world.record(Evidence {
        title: format!("offboarding of {}", tenant.name()),
        body: EvidenceBody::Timing {
            values_us: vec![("took".to_owned(), micros(removal.took))],
            bound_us: None,
        },
    });
    let listings = world.slots.require_mut::<Listings>("a listing")?;
    listings.after = Some(after);
    listings.leftovers = removal.leftovers;
    Ok(())
}

/// The control: a listing that finds nothing afterwards proves something only if it found everything before.
#[then("the listing had found its namespaces and what they hold")]
async fn found(world: &mut World) -> StepResult {
    let Held(held) = world.slots.require::<Held>("what it holds")?;
    let Listings { tenant, before, .. } = world.slots.require::<Listings>("a listing")?;
    let seen = before.references();
    let namespaces = tenant.namespaces().iter().map(|name| format!("v1/Namespace {name}"));
    let missing: Vec<_> = namespaces
        .chain(held.iter().cloned())
        .filter(|reference| !seen.contains(reference.as_str()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(StepError::no_control(format!(
        "the listing before offboarding had not found {}, so that finding nothing afterwards proves nothing",
        missing.join(", ")
    ))
    .into())
}

#[then("nothing on the cluster belongs to it or names it any more")]
async fn nothing(world: &mut World) -> StepResult {
    let Listings { tenant, after, leftovers, .. } = world.slots.require::<Listings>("a listing")?;
    let after = after.as_ref().ok_or_else(|| StepError::trouble("nothing was listed after offboarding"))?;
    let why = |reference: &str| {
        leftovers
            .iter()
            .find(|(left, _)| left == reference)
            .map_or(String::new(), |(_, why)| format!(" ({why})"))
    };
    let left: Vec<_> = after
        .items
        .iter()
        .map(|item| {
            format!(
                "expected nothing to be left of {}, saw {}, which {}{}",
                tenant.name(),
                item.reference,
                item.tie,
                why(&item.reference)
            )
        })
        .collect();
    if left.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, left).into()) }
}
