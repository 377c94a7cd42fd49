//! TEN-01: whose a namespace is, and what lies in it.

use cucumber::{then, when};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Namespace, Pod},
};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::support::{
    api::{Tries, dry, typed},
    denials::{Sandwich, Tried, summarised},
    pods,
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{ComparisonRow, Evidence, EvidenceBody, ReasonKind},
    probe::Attempt,
    profile::LoadedPlatform,
    tenant::Actor,
};

/// Kinds that run something, or make something that does.
const WORKLOADS: [&str; 8] = [
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
];

/// What lies in a tenant's namespaces, by reference.
struct Listing(Vec<String>);

#[when(expr = "everything in the namespaces of {string} is listed")]
async fn list(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let inventory = tenant.inventory().await.map_err(StepError::from)?;
    if let Some(unseen) = inventory.unseen.first() {
        return Err(StepError::trouble(format!("not everything could be listed: {unseen}")).into());
    }
    let lines: Vec<_> = inventory
        .items
        .into_iter()
        .filter(|item| item.tie != "names it")
        .map(|item| item.reference)
        .collect();
    world.record(Evidence {
        title: format!("the namespaces of {name} and what they hold"),
        body: EvidenceBody::Text { lines: lines.clone() },
    });
    world.slots.insert(Listing(lines));
    Ok(())
}

#[then("each of its namespaces is labelled with its owner as the profile promises")]
async fn labelled(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let profile = world.service::<LoadedPlatform>()?;
    let cluster = world.service::<Cluster>()?;
    let label = &profile.platform.spec.tenancy.owner_label;
    let expected = tenant.fill(&label.value);
    let api: Api<Namespace> = Api::all(cluster.client());
    let mut rows = Vec::new();
    for name in tenant.namespaces() {
        let namespace = api
            .get_opt(name)
            .await
            .map_err(|error| cluster.error(format!("read namespace {name}"), error))?;
        let seen = match &namespace {
            Some(namespace) => namespace.labels().get(&label.key).map_or("no such label", String::as_str),
            None => "no such namespace",
        };
        rows.push(ComparisonRow {
            name: format!("{name}: {}", label.key),
            expected: expected.clone(),
            seen: seen.to_owned(),
            holds: seen == expected,
        });
    }
    tenants::all_hold(world, "owner labels", rows)
}

#[then(expr = "it shares no namespace with {string}")]
async fn disjoint(world: &mut World, other: String) -> StepResult {
    let (tenant, other) = (tenants::its(world)?, tenants::named(world, &other)?);
    let shared: Vec<_> =
        tenant.namespaces().iter().filter(|name| other.namespaces().contains(name)).cloned().collect();
    if shared.is_empty() {
        return Ok(());
    }
    Err(StepError::requirement(format!(
        "expected {} and {} to have no namespace in common, saw {}",
        tenant.name(),
        other.name(),
        shared.join(", ")
    ))
    .into())
}

#[then("no workload is there yet")]
async fn no_workload(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let listing = world.slots.require::<Listing>("a listing")?;
    let found: Vec<_> = listing
        .0
        .iter()
        .filter(|reference| WORKLOADS.contains(&kind(reference)))
        .map(|reference| {
            format!("expected no workload in the new namespaces of {}, saw {reference}", tenant.name())
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, found).into()) }
}

/// The kind in a reference: `Pod` of `v1/Pod plim-x7k2-alpha/web`.
fn kind(reference: &str) -> &str {
    let types = reference.split(' ').next().unwrap_or_default();
    types.rsplit('/').next().unwrap_or_default()
}

/// The workloads that a tenant tries to place: each as small as can be, and compliant, so that nothing but the place
/// can be wrong with it.
async fn place(actor: &Actor, namespace: &str, workload: &str, image: &str) -> Result<Attempt, StepError> {
    let target = format!("create a {workload} in {namespace}");
    let pod = pods::compliant("plimsoll-guest", image);
    let template = |restart: &str| {
        let mut spec = pod["spec"].clone();
        spec["restartPolicy"] = json!(restart);
        json!({"metadata": {"labels": {"app": "plimsoll-guest"}}, "spec": spec})
    };
    let manifest = |api: &str, kind: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "plimsoll-guest"}, "spec": spec});
    Ok(match workload {
        "pod" => {
            let (api, object): (Api<Pod>, Pod) = (actor.api(namespace), typed(pod)?);
            actor.tries(&target, api.create(&dry(), &object)).await
        }
        "deployment" => {
            let spec = json!({
                "selector": {"matchLabels": {"app": "plimsoll-guest"}}, "template": template("Always"),
            });
            let (api, object): (Api<Deployment>, Deployment) =
                (actor.api(namespace), typed(manifest("apps/v1", "Deployment", spec))?);
            actor.tries(&target, api.create(&dry(), &object)).await
        }
        "job" => {
            let spec = json!({"template": template("Never")});
            let (api, object): (Api<Job>, Job) =
                (actor.api(namespace), typed(manifest("batch/v1", "Job", spec))?);
            actor.tries(&target, api.create(&dry(), &object)).await
        }
        other => return Err(StepError::trouble(format!("no workload is called `{other}`"))),
    })
}

#[when(
    regex = r#"^the administrator of "([^"]+)" creates a (pod|deployment|job) in the namespace of "([^"]+)"$"#
)]
async fn place_elsewhere(world: &mut World, guest: String, workload: String, host: String) -> StepResult {
    let (guest, host) = (tenants::named(world, &guest)?, tenants::named(world, &host)?);
    let guest = tenants::actor(&guest, Role::Administrator)?;
    let owner = tenants::actor(&host, Role::Administrator)?;
    let image = tenants::image(world)?;
    let namespace = host.namespace();
    let before = place(&owner, namespace, &workload, &image).await?;
    let attempt = place(&guest, namespace, &workload, &image).await?;
    let after = place(&owner, namespace, &workload, &image).await?;
    world.slots.insert(Tried::of(vec![Sandwich { before, attempt, after }]));
    Ok(())
}
