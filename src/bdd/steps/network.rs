//! NET-01 to NET-05: who reaches whom.

use std::sync::Arc;

use cucumber::{given, then, when};

use super::{
    support::{
        agents::{self, Stray},
        denials::{self, Tried, summarised},
        paths::{self, ADDRESSES},
        tenants,
    },
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{ControlPhase, ReasonKind},
    oracle::PathExpectation,
    probe::{AddressKind, Fleet, MatrixPlan, MatrixResult, Source, Target, Transport, VerdictKind},
    profile::LoadedPlatform,
    tenant::{Tenant, TenantSpec, Tier, Workload},
};

/// What the tenants' workloads tried among themselves.
#[derive(Debug)]
pub(super) struct Measured(pub MatrixResult);

/// The pod that a scenario started for itself.
#[derive(Debug)]
pub(super) struct Fresh(pub Stray);

#[given("each runs the three-tier workload")]
#[given("it runs the three-tier workload")]
async fn run_workload(world: &mut World) -> StepResult {
    let specs = tenants::all(world)?
        .iter()
        .map(|tenant| TenantSpec::subject(tenant.name()).with(Workload::ThreeTier))
        .collect();
    Ok(tenants::take_again(world, specs).await?)
}

#[given("a control tenant without network policy")]
async fn control(world: &mut World) -> StepResult {
    Ok(tenants::take_controls(world, &["control"]).await?)
}

#[given("two control tenants without network policy")]
async fn controls(world: &mut World) -> StepResult {
    Ok(tenants::take_controls(world, &["control", "control-too"]).await?)
}

pub(super) fn convergence(world: &World) -> Result<std::time::Duration, StepError> {
    Ok(world.service::<LoadedPlatform>()?.platform.spec.deadlines.policy_convergence.get())
}

/// Tries paths between their controls, as [`paths::between_controls`] does, and keeps what came of it for the Then steps.
pub(super) async fn between_controls(
    world: &mut World,
    fleet: &Fleet,
    tried: MatrixPlan,
    twins: MatrixPlan,
    key: impl Fn(&Source, &Target) -> String + Copy,
    vouches: &str,
) -> Result<(), StepError> {
    let (result, sandwiches) =
        paths::between_controls(world, fleet, tried, twins, convergence(world)?, key, vouches).await?;
    world.slots.insert(Measured(result));
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

pub(super) fn fleet_of<'a>(
    world: &World,
    tenants: impl IntoIterator<Item = &'a Arc<Tenant>>,
    further: &[(String, String)],
) -> Result<Fleet, StepError> {
    let mut pods = further.to_vec();
    for tenant in tenants {
        pods.extend(paths::pods(paths::workload(tenant)?));
    }
    agents::fleet(world, &pods)
}

fn everybody(tenants: &[Arc<Tenant>]) -> Result<(Vec<Source>, Vec<Target>), StepError> {
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    for tenant in tenants {
        sources.extend(paths::sources(tenant)?);
        targets.extend(paths::targets(tenant, &ADDRESSES)?);
    }
    Ok((sources, targets))
}

fn same_tenant(source: &Source, target: &Target) -> bool {
    let tenant = |place: &str| place.split('/').next().unwrap_or_default().to_owned();
    tenant(&source.place) == tenant(&target.place)
}

#[when(
    "every workload tries every one of the other tenant, by pod address, service address, service name and headless name, over TCP and UDP"
)]
async fn try_the_other(world: &mut World) -> StepResult {
    let (subjects, controls) = (tenants::all(world)?, tenants::controls(world)?);
    let [one, other] = controls.as_slice() else {
        return Err(StepError::trouble("paths between tenants need two control tenants").into());
    };
    let fleet = fleet_of(world, subjects.iter().chain(&controls), &[])?;
    let (sources, targets) = everybody(&subjects)?;
    let between = |source: &Source, target: &Target| !same_tenant(source, target);
    let tried = MatrixPlan::all_pairs(sources, targets).keep(between);
    let (sources, targets) = everybody(&controls)?;
    let twins = MatrixPlan::all_pairs(sources, targets).keep(between);
    let first = |tenant: &str| subjects.first().is_some_and(|it| it.name() == tenant) || one.name() == tenant;
    let key = |source: &Source, target: &Target| paths::by_tiers_and_direction(source, target, first);
    let vouches = format!(
        "a path is vouched for by that of the same tiers, on the same nodes, in the same direction between {} and {}, \
         by the same kind of address, port and protocol",
        one.name(),
        other.name()
    );
    Ok(between_controls(world, &fleet, tried, twins, key, &vouches).await?)
}

/// Of two guards in a row one hides that the other is missing: so each end of a path is a control tenant once.
#[when("every workload tries the control tenants, and these try every workload, over TCP and UDP")]
async fn try_the_unguarded(world: &mut World) -> StepResult {
    let (subjects, controls) = (tenants::all(world)?, tenants::controls(world)?);
    let fleet = fleet_of(world, subjects.iter().chain(&controls), &[])?;
    let everybody: Vec<_> = subjects.iter().chain(&controls).collect();
    let (mut sources, mut targets) = (Vec::new(), Vec::new());
    for tenant in &everybody {
        sources.extend(paths::sources(tenant)?);
        targets.extend(paths::targets(tenant, &[AddressKind::PodAddress])?);
    }
    let unguarded = |place: &str| controls.iter().any(|it| place.split('/').next() == Some(it.name()));
    let ends = |source: &Source, target: &Target| (unguarded(&source.place), unguarded(&target.place));
    let plan = MatrixPlan::all_pairs(sources, targets);
    let tried =
        plan.clone().keep(|source, target| matches!(ends(source, target), (true, false) | (false, true)));
    let twins =
        plan.keep(|source, target| ends(source, target) == (true, true) && !same_tenant(source, target));
    let vouches = "a path to or from a control tenant is vouched for by those of the same tiers, on the same nodes, between \
                   the control tenants: one control for the same path of every tenant in both directions";
    Ok(between_controls(world, &fleet, tried, twins, paths::by_tiers, vouches).await?)
}

#[then(regex = r"^between tenants every path is ([A-Z_]+(?: or [A-Z_]+)*)$")]
#[then(regex = r"^inside each tenant every other path is ([A-Z_]+(?: or [A-Z_]+)*)$")]
async fn closed(world: &mut World, words: String) -> StepResult {
    let accepted = words::closed_as(world, &words)?;
    let result = &world.slots.require::<Measured>("a matrix")?.0;
    paths::record(world, result, |_, _| paths::words(&accepted), None);
    Ok(denials::each_is_without_evidence(world, &accepted)?)
}

#[then("each denied path was OPEN for the control tenants just before and just after")]
#[then("each denied path was OPEN for the control tenant just before and just after")]
async fn twins_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open_without_evidence(world)?)
}

/// The paths inside each tenant of which this is promised.
fn inside(subjects: &[Arc<Tenant>], wanted: PathExpectation) -> Result<MatrixPlan, StepError> {
    let (sources, targets) = everybody(subjects)?;
    let tenants: Vec<&Tenant> = subjects.iter().map(AsRef::as_ref).collect();
    Ok(MatrixPlan::all_pairs(sources, targets)
        .keep(|source, target| paths::expectation(&tenants, source, target) == wanted))
}

#[when(
    "every workload tries the paths that its tenant declares, by pod address, service address, service name and headless name"
)]
async fn try_declared(world: &mut World) -> StepResult {
    let subjects = tenants::all(world)?;
    let fleet = fleet_of(world, &subjects, &[])?;
    let plan = inside(&subjects, PathExpectation::Declared)?;
    // Names and services take effect a moment after they are made.
    let result = agents::until_open(&fleet, &plan, convergence(world)?).await;
    world.slots.insert(Measured(result));
    Ok(())
}

#[then("inside each tenant every declared path is OPEN")]
async fn declared_open(world: &mut World) -> StepResult {
    let result = &world.slots.require::<Measured>("a matrix")?.0;
    paths::record(world, result, |_, _| "OPEN".to_owned(), None);
    all_open(result)
}

fn all_open(result: &MatrixResult) -> StepResult {
    if result.probes() == 0 {
        return Err(StepError::trouble("nothing was tried").into());
    }
    let shut: Vec<_> = result.iter().filter(|entry| entry.cell.verdict.kind() != VerdictKind::Open).collect();
    let unclear = |kind: VerdictKind| kind == VerdictKind::ProbeError;
    let kind = if shut.iter().all(|entry| unclear(entry.cell.verdict.kind())) {
        ReasonKind::Trouble
    } else {
        ReasonKind::Requirement
    };
    let mut lines: Vec<_> = shut
        .iter()
        .map(|entry| {
            let line = format!("expected OPEN from {}, saw {}", entry.attempt(), entry.cell.verdict);
            (unclear(entry.cell.verdict.kind()), line)
        })
        .collect();
    lines.sort();
    if lines.is_empty() {
        return Ok(());
    }
    Err(summarised(kind, lines.into_iter().map(|(_, line)| line).collect()).into())
}

#[when(
    "every workload tries everything else in its tenant, by pod address, service address, service name and headless name, over TCP and UDP"
)]
async fn try_undeclared(world: &mut World) -> StepResult {
    let subjects = tenants::all(world)?;
    let control = tenants::control(world)?;
    let fleet = fleet_of(world, subjects.iter().chain([&control]), &[])?;
    let tried = inside(&subjects, PathExpectation::ClosedInside)?;
    let twins = MatrixPlan::all_pairs(paths::sources(&control)?, paths::targets(&control, &ADDRESSES)?)
        .keep(|source, target| source.place != target.place);
    let vouches = format!(
        "a path inside a tenant is vouched for by that of the same tiers, on the same nodes, inside {}, by the same kind \
         of address, port and protocol: one control for the same path of every tenant",
        control.name()
    );
    Ok(between_controls(world, &fleet, tried, twins, paths::by_tiers, &vouches).await?)
}

/// Where the pods that a scenario starts for itself listen.
const FRESH_PORT: u16 = 8080;

#[given(expr = "a fresh pod without labels in {string}")]
async fn fresh(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let stray = agents::stray(world, &tenant, "fresh", FRESH_PORT).await?;
    world.slots.insert(Fresh(stray));
    Ok(())
}

fn stray_targets(stray: &Stray) -> Vec<Target> {
    [Transport::Tcp, Transport::Udp].map(|transport| stray.target(transport)).into()
}

#[when("the control tenant tries it over TCP and UDP")]
async fn try_fresh(world: &mut World) -> StepResult {
    let stray = world.slots.require::<Fresh>("a fresh pod")?.0.clone();
    let control = tenants::control(world)?;
    let fleet = fleet_of(world, [&control], &[stray.pod()])?;
    let caller = paths::source(&control, Tier::Web)?;
    let twin = targets_of(&control, Tier::Api)?;
    listens(world, &fleet, &stray, ControlPhase::Before).await?;
    let tried = MatrixPlan::all_pairs(vec![caller.clone()], stray_targets(&stray));
    let twins = MatrixPlan::all_pairs(vec![caller], twin);
    let vouches = "each attempt at the fresh pod is vouched for by that of the same caller at the same port of a pod of \
                   the control tenant; that the fresh pod itself listens, before and after, by what it hears of itself";
    between_controls(world, &fleet, tried, twins, paths::by_port, vouches).await?;
    Ok(listens(world, &fleet, &stray, ControlPhase::After).await?)
}

/// That the pod listens is shown by itself, from within: at its own address, which no policy can close.
async fn listens(world: &World, fleet: &Fleet, stray: &Stray, phase: ControlPhase) -> Result<(), StepError> {
    let listening = MatrixPlan::all_pairs(vec![stray.source()], stray_targets(stray));
    let heard = agents::until_open(fleet, &listening, convergence(world)?).await;
    paths::record(world, &heard, |_, _| "OPEN".to_owned(), Some(phase));
    match heard.iter().find(|entry| entry.cell.verdict.kind() != VerdictKind::Open) {
        None => Ok(()),
        Some(deaf) => Err(StepError::no_control(format!(
            "the fresh pod does not hear itself ({} was {}), so that nobody else reaching it proves nothing",
            deaf.attempt(),
            deaf.cell.verdict
        ))),
    }
}

#[when("it tries the control tenant over TCP and UDP")]
async fn fresh_tries(world: &mut World) -> StepResult {
    let stray = world.slots.require::<Fresh>("a fresh pod")?.0.clone();
    let control = tenants::control(world)?;
    let fleet = fleet_of(world, [&control], &[stray.pod()])?;
    let target = targets_of(&control, Tier::Api)?;
    let caller = paths::source(&control, Tier::Web)?;
    let tried = MatrixPlan::all_pairs(vec![stray.source()], target.clone());
    let twins = MatrixPlan::all_pairs(vec![caller], target);
    let vouches = "each attempt of the fresh pod is vouched for by that of a pod of the control tenant at the same target";
    Ok(between_controls(world, &fleet, tried, twins, paths::by_port, vouches).await?)
}

fn targets_of(tenant: &Tenant, tier: Tier) -> Result<Vec<Target>, StepError> {
    let place = format!("{}/{tier}", tenant.name());
    let mut targets = paths::targets(tenant, &[AddressKind::PodAddress])?;
    targets.retain(|target| target.place == place && target.port == FRESH_PORT);
    Ok(targets)
}

#[then("the same was OPEN towards a pod of the control tenant just before and just after")]
#[then("the same was OPEN from a pod of the control tenant just before and just after")]
async fn same_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
