//! TEN-02 and TEN-03: the share that a tenant has of the cluster, and what happens at its end.

use std::collections::BTreeMap;

use cucumber::{then, when};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ListParams},
};

use super::support::{
    api::{Tries, dry, typed},
    consumption::{self, Consumable, Consumption},
    denials::{self, Sandwich, Tried, summarised},
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{ComparisonRow, Evidence, EvidenceBody, Reason, ReasonKind},
    oracle::{QuotaFamily, compare_limits},
    probe::{Accepted, Open, Verdict, VerdictKind},
    profile::LoadedPlatform,
};

/// The quotas of each namespace of the scenario's tenants.
#[derive(Debug, Default)]
struct Quotas(Vec<(String, Vec<ResourceQuota>)>);

fn hard(quota: &ResourceQuota) -> BTreeMap<String, String> {
    let spec = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
    spec.into_iter().map(|(key, amount)| (key, amount.0)).collect()
}

/// A quota with scopes limits only the objects that the scopes select.
fn scopes(quota: &ResourceQuota) -> Vec<String> {
    let Some(spec) = &quota.spec else { return Vec::new() };
    let plain = spec.scopes.iter().flatten().cloned();
    let selected = spec
        .scope_selector
        .iter()
        .flat_map(|selector| selector.match_expressions.iter().flatten())
        .map(|expression| expression.scope_name.clone());
    plain.chain(selected).collect()
}

#[when("the quotas of each tenant are read")]
async fn read(world: &mut World) -> StepResult {
    let cluster = world.service::<Cluster>()?;
    let mut quotas = Quotas::default();
    for tenant in tenants::all(world)? {
        for namespace in tenant.namespaces() {
            let api: Api<ResourceQuota> = Api::namespaced(cluster.client(), namespace);
            let list = api
                .list(&ListParams::default())
                .await
                .map_err(|error| cluster.error(format!("list the quotas of {namespace}"), error))?;
            for quota in &list.items {
                world.record(Evidence {
                    title: format!("quota of {namespace}"),
                    body: EvidenceBody::Object {
                        reference: format!(
                            "v1/ResourceQuota {namespace}/{}",
                            quota.metadata.name.as_deref().unwrap_or_default()
                        ),
                        object: super::support::api::shown(quota),
                    },
                });
            }
            quotas.0.push((namespace.clone(), list.items));
        }
    }
    world.slots.insert(quotas);
    Ok(())
}

#[then("cpu, memory, pods, storage, services, load balancers and node ports are each limited")]
async fn each_limited(world: &mut World) -> StepResult {
    let quotas = world.slots.require::<Quotas>("quotas")?;
    let mut missing = Vec::new();
    for (namespace, of_namespace) in &quotas.0 {
        for family in QuotaFamily::ALL {
            let limited = of_namespace
                .iter()
                .filter(|quota| scopes(quota).is_empty())
                .any(|quota| family.keys().iter().any(|key| hard(quota).contains_key(*key)));
            if !limited {
                missing.push(format!(
                    "expected {} to be limited in {namespace}, saw no limit on it",
                    family.word()
                ));
            }
        }
    }
    if quotas.0.is_empty() {
        return Err(StepError::trouble("no tenant has a namespace whose quota could be read").into());
    }
    if missing.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, missing).into()) }
}

#[then("every limit equals the profile's, resource by resource")]
async fn equal(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let Some(promise) = &profile.platform.spec.quota else {
        return Err(StepError::requirement("expected the profile to promise a quota, saw none in it")
            .hint("name it under `spec.quota` of the profile")
            .into());
    };
    let quotas = world.slots.require::<Quotas>("quotas")?;
    let mut rows = Vec::new();
    for (namespace, of_namespace) in &quotas.0 {
        let found = of_namespace.iter().find(|quota| quota.metadata.name.as_deref() == Some(&promise.name));
        let seen = found.map(hard).unwrap_or_default();
        rows.extend(compare_limits(&promise.hard, &seen).into_iter().map(|mut row| {
            row.name = format!("{namespace}: {}", row.name);
            row
        }));
        // What the controller acts upon is the status.
        let acted: BTreeMap<_, _> = found
            .and_then(|quota| quota.status.as_ref()?.hard.clone())
            .unwrap_or_default()
            .into_iter()
            .map(|(key, amount)| (key, amount.0))
            .collect();
        rows.extend(compare_limits(&seen, &acted).into_iter().filter(|row| !row.holds).map(|mut row| {
            row.name = format!("{namespace}: {} as the cluster acts upon it", row.name);
            row
        }));
    }
    tenants::all_hold(world, "limits, promised and real", rows)
}

#[then("each limit counts every object of its namespace, not only some")]
async fn unscoped(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let name = profile.platform.spec.quota.as_ref().map(|promise| promise.name.clone());
    let quotas = world.slots.require::<Quotas>("quotas")?;
    let rows = quotas
        .0
        .iter()
        .flat_map(|(namespace, quotas)| quotas.iter().map(move |quota| (namespace, quota)))
        .filter(|(_, quota)| quota.metadata.name == name)
        .map(|(namespace, quota)| {
            let scopes = scopes(quota);
            ComparisonRow {
                name: format!("scopes of the quota in {namespace}"),
                expected: "none".to_owned(),
                holds: scopes.is_empty(),
                seen: if scopes.is_empty() { "none".to_owned() } else { scopes.join(", ") },
            }
        })
        .collect();
    tenants::all_hold(world, "scopes of the quotas", rows)
}

/// Kinds of objects that a tenant could pile up, with the keys any of which limits their number, and how a small one
/// looks.
const PILES: [(&str, &str, &[&str]); 7] = [
    ("Pod", "pods", &["pods", "count/pods"]),
    ("Service", "services", &["services", "count/services"]),
    ("ConfigMap", "configmaps", &["configmaps", "count/configmaps"]),
    ("Secret", "secrets", &["secrets", "count/secrets"]),
    (
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        &["persistentvolumeclaims", "count/persistentvolumeclaims"],
    ),
    (
        "ReplicationController",
        "replicationcontrollers",
        &["replicationcontrollers", "count/replicationcontrollers"],
    ),
    ("ResourceQuota", "resourcequotas", &["resourcequotas", "count/resourcequotas"]),
];

fn small(kind: &str, image: &str) -> serde_json::Value {
    let mut object = serde_json::json!({
        "apiVersion": "v1", "kind": kind, "metadata": {"name": "plimsoll-pile"},
    });
    match kind {
        "Pod" => object = super::support::pods::compliant("plimsoll-pile", image),
        "Service" => object = super::support::reaches::plain("plimsoll-pile"),
        "PersistentVolumeClaim" => object = consumption::claim("plimsoll-pile", "1Mi"),
        "ReplicationController" => {
            let mark = serde_json::json!({"plimsoll.dev/never": "true"});
            let mut template = super::support::pods::compliant("plimsoll-pile", image);
            if let Some(template) = template.as_object_mut() {
                template.remove("apiVersion");
                template.remove("kind");
                template.insert("metadata".to_owned(), serde_json::json!({"labels": mark}));
            }
            object["spec"] = serde_json::json!({"replicas": 0, "selector": mark, "template": template});
        }
        _ => {}
    }
    object
}

/// Either their number is limited, or the tenant cannot make any: one of the two is enough.
#[then("every kind of object that its administrator can make has a limit on its number")]
async fn piles_limited(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let image = tenants::image(world)?;
    let namespace = tenant.namespace();
    let quotas = world.slots.require::<Quotas>("quotas")?;
    let keys: Vec<String> = quotas
        .0
        .iter()
        .filter(|(of, _)| of == namespace)
        .flat_map(|(_, quotas)| quotas)
        .filter(|quota| scopes(quota).is_empty())
        .flat_map(|quota| hard(quota).into_keys())
        .collect();
    let mut rows = Vec::new();
    for (kind, plural, limits) in PILES {
        let limit = keys.iter().find(|key| limits.contains(&key.as_str()));
        let attempt = {
            let gvk = kube::core::GroupVersionKind::gvk("", "v1", kind);
            let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
            let api: Api<DynamicObject> = Api::namespaced_with(actor.client.clone(), namespace, &resource);
            let object: DynamicObject = typed(small(kind, &image))?;
            actor.tries(&format!("create {plural} in {namespace}"), api.create(&dry(), &object)).await
        };
        world.record(attempt.to_evidence(&Accepted::only(VerdictKind::Open), None));
        if attempt.verdict.kind().is_unclear() {
            return Err(StepError::trouble(format!("{attempt} cannot be judged: {}", attempt.verdict)).into());
        }
        let refused = matches!(attempt.verdict, Verdict::Forbidden { .. });
        rows.push(ComparisonRow {
            name: format!("the number of {plural}"),
            expected: "limited, or nothing that the tenant can make".to_owned(),
            holds: limit.is_some() || refused,
            seen: match limit {
                Some(key) => format!("limited by {key}"),
                None => format!("no limit, and {} for its administrator", attempt.verdict),
            },
        });
    }
    tenants::all_hold(world, "kinds of objects that could be piled up", rows)
}

#[when(expr = "its administrator uses up all of the {consumable} that it has left, and then asks for more")]
async fn use_up(world: &mut World, consumable: Consumable) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let consumption = consumption::up_to_the_limit(world, &tenant, &actor, consumable).await?;
    world.slots.insert(consumption);
    Ok(())
}

#[when("its administrator asks for twice as many pods as fit, all at the same time")]
async fn all_at_once(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let consumption = consumption::all_at_once(world, &tenant, &actor).await?;
    world.slots.insert(consumption);
    Ok(())
}

#[then("everything up to the limit is admitted")]
async fn admitted(world: &mut World) -> StepResult {
    let consumption = world.slots.require::<Consumption>("a quota that was used up")?;
    let open = Accepted::only(VerdictKind::Open);
    for attempt in &consumption.within {
        world.record(attempt.to_evidence(&open, None));
        Open::try_from(attempt.clone()).map_err(|no| StepError::from(Reason::from(no)))?;
    }
    full(world, consumption)
}

#[then("exactly as many as fit are admitted")]
async fn exactly_admitted(world: &mut World) -> StepResult {
    let consumption = world.slots.require::<Consumption>("a quota that was used up")?;
    let count = |kind| consumption.over.iter().filter(|attempt| attempt.verdict.kind() == kind).count();
    let (open, refused) = (count(VerdictKind::Open), count(VerdictKind::QuotaExceeded));
    let unclear = consumption.over.iter().find(|attempt| attempt.verdict.kind().is_unclear());
    if let Some(attempt) = unclear {
        return Err(StepError::trouble(format!("{attempt} cannot be judged: {}", attempt.verdict)).into());
    }
    world.record(Evidence {
        title: format!("{} creates at the same time", consumption.over.len()),
        body: EvidenceBody::Comparison {
            rows: vec![ComparisonRow {
                name: "admitted".to_owned(),
                expected: consumption.fit.to_string(),
                seen: open.to_string(),
                holds: open == consumption.fit,
            }],
        },
    });
    if open != consumption.fit {
        return Err(StepError::requirement(format!(
            "expected exactly {} of {} pods to be admitted in {}, saw {open} admitted and {refused} refused",
            consumption.fit,
            consumption.over.len(),
            consumption.namespace,
        ))
        .into());
    }
    full(world, consumption)
}

/// What is used equals the limit: neither less, for then the limit was not reached, nor more.
fn full(world: &World, consumption: &Consumption) -> StepResult {
    let rows = vec![ComparisonRow {
        name: format!("{} used in {} when full", consumption.key, consumption.namespace),
        expected: consumption.hard.to_string(),
        seen: consumption.used_full.to_string(),
        holds: consumption.hard == consumption.used_full,
    }];
    tenants::all_hold(world, "usage when full", rows)
}

#[then("what goes beyond it is QUOTA_EXCEEDED, naming the tenant's quota")]
async fn beyond(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let consumption = world.slots.require::<Consumption>("a quota that was used up")?;
    let Some(before) = consumption.within.last().cloned() else {
        return Err(StepError::no_control("nothing was admitted before the limit").into());
    };
    let Some(after) = consumption.again.clone() else {
        usage_returned(world, consumption)?;
        return Err(StepError::no_control("nothing was tried once there was room again").into());
    };
    let sandwiches: Vec<_> = consumption
        .over
        .iter()
        // Of a burst, those that fit are rightly admitted.
        .filter(|attempt| !(consumption.burst && attempt.verdict == Verdict::Open))
        .map(|attempt| Sandwich { before: before.clone(), attempt: attempt.clone(), after: after.clone() })
        .collect();
    world.slots.insert(Tried::of(sandwiches));
    denials::each_is(world, &Accepted::only(VerdictKind::QuotaExceeded))?;
    let name = profile.platform.spec.quota.as_ref().map(|promise| promise.name.as_str());
    for attempt in denials::attempts(world)? {
        if let Verdict::QuotaExceeded { quota } = &attempt.verdict
            && Some(quota.as_str()) != name
        {
            return Err(StepError::requirement(format!(
                "expected {attempt} to be refused by the quota {}, saw it refused by {quota}",
                name.unwrap_or("of the profile")
            ))
            .into());
        }
    }
    Ok(())
}

#[then("the running workload is unharmed")]
async fn unharmed(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let consumption = world.slots.require::<Consumption>("a quota that was used up")?;
    let now = consumption::running(world, &tenant).await?;
    let rows = consumption
        .running
        .iter()
        .map(|(pod, before)| {
            let seen = now.get(pod).cloned().unwrap_or_else(|| "gone".to_owned());
            ComparisonRow {
                name: format!("pod {pod}"),
                expected: before.clone(),
                holds: seen == *before,
                seen,
            }
        })
        .collect::<Vec<_>>();
    if rows.is_empty() {
        return Err(StepError::no_control("no workload was running while the quota was used up").into());
    }
    tenants::all_hold(world, "the running workload, before and after", rows)
}

#[then("after deletion the usage is exactly what it was, and there is room again")]
async fn room_again(world: &mut World) -> StepResult {
    usage_returned(world, world.slots.require::<Consumption>("a quota that was used up")?)?;
    Ok(denials::each_was_open(world)?)
}

fn usage_returned(world: &World, consumption: &Consumption) -> StepResult {
    let rows = consumption
        .used_before
        .iter()
        .map(|(key, before)| {
            let seen = consumption.used_after.get(key).cloned().unwrap_or_else(|| "nothing".to_owned());
            ComparisonRow {
                name: format!("{key} used"),
                expected: before.clone(),
                holds: seen == *before,
                seen,
            }
        })
        .collect();
    tenants::all_hold(world, "usage before and after", rows)
}
