//! NET-10: policies mean what the standard says.

use std::collections::BTreeMap;

use cucumber::{given, then, when};

use super::network::convergence;
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{Evidence, EvidenceBody, waiting_for},
    fuzz::{Equipment, Order, Report, classic, clean_up},
    oracle::network_policy::Protocol,
    profile::LoadedPlatform,
    tenant::TenantPool,
};

/// How many cases are made at random besides the classic ones.
const AT_RANDOM: usize = 3;

/// With what the cases are tried.
#[derive(Debug)]
struct Bench(Equipment);

#[given("two throwaway namespaces with three pods each")]
async fn throwaway(world: &mut World) -> StepResult {
    let pool = world.service::<TenantPool>()?;
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let delivery = pool.delivery().await.map_err(StepError::from)?;
    let ownership = pool.ownership().of_scenario(world.scenario().id().0.clone());
    let image = pool.settings().image.reference.clone();
    let deadlines = &profile.platform.spec.deadlines;
    let equipment = Equipment::new((*cluster).clone(), ownership, image, delivery, deadlines)
        .await
        .map_err(StepError::from)?;
    world.slots.insert(Bench(equipment));
    Ok(())
}

#[when("policies of every kind are applied one after the other, and some that are made at random")]
async fn apply(world: &mut World) -> StepResult {
    let equipment = world.slots.require::<Bench>("throwaway namespaces")?.0.clone();
    let pool = world.service::<TenantPool>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let source = classic(world.run().seed, AT_RANDOM).map_err(StepError::trouble)?;
    let order = Order {
        equipment,
        prefix: format!("plim-{}-standard", pool.settings().run),
        source,
        from: 0,
        parallel: 1,
        convergence: convergence(world)?,
        bounds: None,
    };
    let waiting = waiting_for("policies to be compared with the standard");
    let report = crate::fuzz::run(&order, true, &|_| {}).await;
    drop(waiting);
    // The next scenario shall not pay for these pods; whatever stays is the run's to sweep and to tell.
    let within = profile.platform.spec.deadlines.namespace_removed.get();
    let stays = clean_up(&order.equipment, within).await;
    let report = report.map_err(|trouble| StepError::trouble(trouble.to_string()))?;
    for (name, why) in stays.map_err(StepError::from)? {
        world.run().events.warn(format!("namespace {name} is still there: {why}"));
    }
    let rows = report
        .measured
        .iter()
        .map(|(case, stage, measured)| measured.compared(format!("{}, stage {}", case.name, stage + 1)));
    world.record(Evidence {
        title: "the cases, and the paths that the standard opens and closes in each".to_owned(),
        body: EvidenceBody::Comparison { rows: rows.collect() },
    });
    world.slots.insert(report);
    Ok(())
}

#[then("every path is open or closed as the standard says")]
async fn compare(world: &mut World) -> StepResult {
    let report = world.slots.require::<Report>("cases that were compared")?;
    if let Some(one) = report.disagreements.first() {
        let lines = one.shrunk.deviations.iter().map(ToString::to_string);
        let policies = one.original.stages.iter().flat_map(|stage| &stage.policies);
        let policies = policies.filter_map(|policy| serde_json::to_string(policy).ok());
        let message = format!("the case `{}` is not as the standard says", one.original.name);
        return Err(StepError::requirement(message)
            .details(lines.chain(policies))
            .hint("`plimsoll fuzz network` finds the smallest such case")
            .into());
    }
    match report.troubles.first() {
        Some(trouble) => Err(StepError::trouble(trouble.clone()).into()),
        None => Ok(()),
    }
}

#[then("every path was OPEN without policies just before and just after")]
async fn open_around(world: &mut World) -> StepResult {
    let report = world.slots.require::<Report>("cases that were compared")?;
    let controls =
        report.measured.iter().filter(|(case, ..)| case.stages.iter().all(|it| it.policies.is_empty()));
    let open: Vec<bool> = controls
        .map(|(_, _, measured)| {
            measured.cells > 0 && measured.open == measured.cells && measured.is_as_expected()
        })
        .collect();
    if open.len() == 2 && open.iter().all(|open| *open) {
        return Ok(());
    }
    Err(StepError::no_control("the paths were not all open without policies").into())
}

#[then("each kind of path was seen both open and closed")]
async fn each_kind(world: &mut World) -> StepResult {
    let report = world.slots.require::<Report>("cases that were compared")?;
    let mut kinds: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (case, _, measured) in &report.measured {
        if case.stages.iter().all(|stage| stage.policies.is_empty()) {
            continue;
        }
        for ((from, to, _, protocol), open) in &measured.expected {
            let inside = from.split('/').next() == to.split('/').next();
            let place = if inside { "inside a namespace" } else { "between namespaces" };
            kinds.entry(format!("{protocol} {place}")).or_default()[usize::from(*open)] += 1;
        }
    }
    let missing: Vec<String> = [Protocol::Tcp, Protocol::Udp]
        .iter()
        .flat_map(|protocol| {
            ["inside a namespace", "between namespaces"].map(|place| format!("{protocol} {place}"))
        })
        .filter(|kind| kinds.get(kind).is_none_or(|[closed, open]| *closed == 0 || *open == 0))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(StepError::trouble("the cases do not open and close every kind of path").details(missing).into())
}
