//! TEN-04 and TEN-06: what admission adds to a pod, and what it refuses.

use std::collections::BTreeMap;

use cucumber::{then, when};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::api::resource::Quantity};
use kube::Api;
use serde_json::Value;

use super::support::{
    api::{Tries, dry, shown, typed},
    denials::{self, Sandwich, Tried},
    pods::{self, Violation},
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{ComparisonRow, Evidence, EvidenceBody},
    oracle::compare_limits,
    probe::{Admitter, Attempt, Open, Verdict},
    profile::{LoadedPlatform, Resources},
    tenant::Actor,
};

/// The resources of the first container of a pod.
#[derive(Clone, Debug, Default)]
struct Sized {
    requests: Resources,
    limits: Resources,
}

/// What the two pods of TEN-04 came back with.
#[derive(Debug, Default)]
struct Admitted {
    nameless: Sized,
    own: Sized,
    asked: Sized,
}

/// Tries a pod by a dry run, which passes every admission and stores nothing.
async fn ask(actor: &Actor, namespace: &str, manifest: Value) -> Result<(Attempt, Option<Pod>), StepError> {
    let (api, object): (Api<Pod>, Pod) = (actor.api(namespace), typed(manifest)?);
    let mut admitted = None;
    let attempt = actor
        .tries(&format!("create a pod in {namespace}"), async {
            let pod = api.create(&dry(), &object).await?;
            admitted = Some(pod);
            Ok(())
        })
        .await;
    Ok((attempt, admitted))
}

/// As [`ask`], of a pod that has to be admitted.
async fn admitted(
    world: &World,
    actor: &Actor,
    namespace: &str,
    manifest: Value,
    title: &str,
) -> Result<Sized, StepError> {
    let (attempt, pod) = ask(actor, namespace, manifest).await?;
    Open::try_from(attempt).map_err(|no| StepError::from(crate::engine::Reason::from(no)))?;
    let pod = pod.ok_or_else(|| StepError::trouble("the API server admitted a pod and did not show it"))?;
    world.record(Evidence {
        title: title.to_owned(),
        body: EvidenceBody::Object { reference: format!("v1/Pod in {namespace}"), object: shown(&pod) },
    });
    Ok(sizes(&pod))
}

fn sizes(pod: &Pod) -> Sized {
    let resources = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.containers.first())
        .and_then(|container| container.resources.clone())
        .unwrap_or_default();
    let plain = |amounts: Option<BTreeMap<String, Quantity>>| {
        amounts.unwrap_or_default().into_iter().map(|(key, amount)| (key, amount.0)).collect()
    };
    Sized { requests: plain(resources.requests), limits: plain(resources.limits) }
}

#[when("its administrator asks for a pod that names no resources")]
async fn nameless(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let mut manifest = pods::compliant("plimsoll-nameless", &tenants::image(world)?);
    if let Some(container) = manifest["spec"]["containers"][0].as_object_mut() {
        container.remove("resources");
    }
    let sized =
        admitted(world, &actor, tenant.namespace(), manifest, "the pod that names none, as admitted").await?;
    world.slots.entry::<Admitted>().nameless = sized;
    Ok(())
}

#[when("its administrator asks for a pod that names its own resources")]
async fn own(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let manifest = pods::compliant("plimsoll-own", &tenants::image(world)?);
    let asked = sizes(&typed::<Pod>(manifest.clone())?);
    let sized =
        admitted(world, &actor, tenant.namespace(), manifest, "the pod that names its own, as admitted")
            .await?;
    let both = world.slots.entry::<Admitted>();
    both.own = sized;
    both.asked = asked;
    Ok(())
}

#[then("the first shows exactly the requests and limits that the profile promises")]
async fn defaults(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let Some(promise) = &profile.platform.spec.limit_range else {
        return Err(StepError::requirement("expected the profile to promise defaults, saw none in it")
            .hint("name them under `spec.limitRange` of the profile")
            .into());
    };
    let seen = &world.slots.require::<Admitted>("an admitted pod")?.nameless;
    let rows = named("default request of ", &promise.default_requests, &seen.requests)
        .into_iter()
        .chain(named("default limit of ", &promise.default_limits, &seen.limits))
        .collect();
    tenants::all_hold(world, "defaults, promised and given", rows)
}

#[then("the second keeps its own")]
async fn kept(world: &mut World) -> StepResult {
    let Admitted { own, asked, .. } = world.slots.require::<Admitted>("an admitted pod")?;
    let rows = named("request of ", &asked.requests, &own.requests)
        .into_iter()
        .chain(named("limit of ", &asked.limits, &own.limits))
        .collect();
    tenants::all_hold(world, "resources, asked for and given", rows)
}

fn named(prefix: &str, promised: &Resources, seen: &Resources) -> Vec<ComparisonRow> {
    let mut rows = compare_limits(promised, seen);
    for row in &mut rows {
        row.name.insert_str(0, prefix);
    }
    rows
}

#[when(expr = "its administrator asks for a pod that {violation}")]
async fn violate(world: &mut World, violation: Violation) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let compliant = pods::compliant("plimsoll-guest", &tenants::image(world)?);
    let namespace = tenant.namespace();
    let (before, _) = ask(&actor, namespace, compliant.clone()).await?;
    let (attempt, _) = ask(&actor, namespace, violation.applied_to(&compliant)).await?;
    let (after, _) = ask(&actor, namespace, compliant).await?;
    let attempt = attempt.variant(violation.words());
    world.slots.insert(Tried::of(vec![Sandwich { before, attempt, after }]));
    Ok(())
}

/// Pod security may be guarded by Pod Security admission, a policy or a webhook; each names itself. A refusal by quota
/// or by somebody unknown says nothing about pod security.
#[then("the attempt is ADMISSION_DENIED, naming what guards pod security")]
async fn refused_by_name(world: &mut World) -> StepResult {
    denials::each_is(world, &super::words::accepted("ADMISSION_DENIED")?)?;
    let guards = |by: &Admitter| {
        matches!(
            by,
            Admitter::PodSecurity { .. } | Admitter::ValidatingPolicy { .. } | Admitter::Webhook { .. }
        )
    };
    for attempt in denials::attempts(world)? {
        if let Verdict::AdmissionDenied { by } = &attempt.verdict
            && !guards(by)
        {
            return Err(StepError::requirement(format!(
                "expected {attempt} to be refused by a guard of pod security, saw it refused by {by}"
            ))
            .into());
        }
    }
    Ok(())
}

#[then("the compliant pod was OPEN for the same administrator just before and just after")]
async fn compliant_was_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
