//! TEN-11: how long tenants take to come and to go.

use std::time::Duration;

use cucumber::{then, when};
use futures::future::join_all;

use crate::{
    bdd::{StepError, StepResult, World},
    engine::{Evidence, EvidenceBody, micros},
    measure::{Finding, Judged, judge, quantile},
    profile::{LoadedPlatform, Onboarding, Timespan},
    tenant::{TenantError, TenantLease, TenantPool, TenantSpec},
};

/// What the tenants of the scenario are called.
const NAME: &str = "guest";

/// How long each took; one that was not there or not gone in time counts with the time that it was given.
#[derive(Debug, Default)]
struct Turnover {
    there: Vec<TenantLease>,
    came: Vec<Duration>,
    went: Vec<Duration>,
}

#[when(expr = "{int} tenants are onboarded the platform's way, all at the same time")]
async fn come(world: &mut World, count: usize) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    if matches!(profile.platform.spec.tenancy.onboarding, Onboarding::Existing(_)) {
        return Err(StepError::capability(
            "tenants of this platform neither come nor go: `spec.tenancy.onboarding` names some that exist",
        )
        .into());
    }
    let pool = world.service::<TenantPool>()?;
    let arrivals = join_all((0..count).map(|_| pool.acquire(TenantSpec::subject(NAME).exclusive()))).await;
    let mut turnover = Turnover::default();
    for arrival in arrivals {
        match arrival {
            Ok(lease) => {
                turnover.came.push(lease.onboarding());
                turnover.there.push(lease);
            }
            // Too late is what is measured; anything else tells nothing about the time.
            Err(TenantError::TooSlow { within, .. }) if within > Duration::ZERO => turnover.came.push(within),
            Err(error) => return Err(StepError::from(error).into()),
        }
    }
    world.slots.insert(turnover);
    Ok(())
}

#[when("they are offboarded, all at the same time")]
async fn go(world: &mut World) -> StepResult {
    let pool = world.service::<TenantPool>()?;
    let turnover = world.slots.require_mut::<Turnover>("tenants that came")?;
    let leaving = std::mem::take(&mut turnover.there);
    for removal in join_all(leaving.into_iter().map(|lease| pool.offboard(lease))).await {
        turnover.went.push(removal.map_err(StepError::from)?.took);
    }
    Ok(())
}

#[then("the median and the 99th percentile of onboarding are within the promised times")]
async fn came_in_time(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let bounds = &profile.platform.spec.bounds;
    let came = &world.slots.require::<Turnover>("tenants that came")?.came;
    judged(world, "onboarding", came, [(0.5, bounds.onboarding_p50), (0.99, bounds.onboarding_p99)])
}

#[then("the median and the 99th percentile of offboarding are within the promised times")]
async fn went_in_time(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let bounds = &profile.platform.spec.bounds;
    let went = &world.slots.require::<Turnover>("tenants that went")?.went;
    judged(world, "offboarding", went, [(0.5, bounds.offboarding_p50), (0.99, bounds.offboarding_p99)])
}

fn name(q: f64) -> String {
    format!("p{:.0}", q * 100.0)
}

/// Evidence of all times, and of each quantile with its bound; then the verdict.
fn judged(world: &World, what: &str, times: &[Duration], bounds: [(f64, Option<Timespan>); 2]) -> StepResult {
    let mut all: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(index, time)| (format!("tenant {}", index + 1), micros(*time)))
        .collect();
    for q in [0.5, 0.99] {
        all.extend(quantile(times, q).map(|value| (name(q), micros(value))));
    }
    world.record(Evidence {
        title: format!("{what} of {} tenants at the same time", times.len()),
        body: EvidenceBody::Timing { values_us: all, bound_us: None },
    });
    if times.is_empty() {
        return Err(StepError::trouble(format!("no {what} was measured")).into());
    }
    if bounds.iter().all(|(_, bound)| bound.is_none()) {
        return Err(StepError::capability(format!(
            "nothing is promised about the time of {what}: `spec.bounds` of the profile says nothing of it"
        ))
        .into());
    }
    let mut doubt = None;
    for (q, bound) in bounds {
        let Some(bound) = bound else { continue };
        let Some(judged) = judge(times, q, bound.get()) else { continue };
        world.record(Evidence {
            title: format!("{} of {what}", name(q)),
            body: EvidenceBody::Timing {
                values_us: vec![(name(q), micros(judged.quantile))],
                bound_us: Some(micros(bound.get())),
            },
        });
        match judged.finding {
            Finding::Kept => {}
            Finding::Broken => return Err(StepError::requirement(deviation(what, q, bound, judged)).into()),
            Finding::Unclear => doubt = Some((q, bound, judged)),
        }
    }
    match doubt {
        None => Ok(()),
        Some((q, bound, judged)) => Err(StepError::trouble(format!(
            "{}, which a platform that keeps its promise shows in {:.1} % of such runs",
            deviation(what, q, bound, judged),
            judged.chance * 100.0
        ))
        .into()),
    }
}

fn deviation(what: &str, q: f64, bound: Timespan, judged: Judged) -> String {
    let Judged { quantile, over, count, .. } = judged;
    format!(
        "expected the {} of {what} to be within {bound}, saw {:.1}s, and {over} of {count} tenants beyond it",
        name(q),
        quantile.as_secs_f64(),
    )
}
