//! NET-08: how long it takes until isolation begins, and what gets through before.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use cucumber::{then, when};
use serde_json::{Value, json};

use super::{
    network::{Fresh, convergence, fleet_of},
    support::{
        agents::{self, Stray},
        denials::summarised,
        paths, policies, tenants,
    },
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{ControlPhase, Evidence, EvidenceBody, ReasonKind, micros},
    measure::order::Ordered,
    probe::{
        Accepted, AddressKind, Attempt, Cadence, Fleet, MatrixPlan, Moment, Source, Target, Transport,
        VerdictKind, WatchedPath,
    },
    profile::LoadedPlatform,
    tenant::{TIER_LABEL, Tenant, Tier},
};

/// How often each kind of change is made.
const ROUNDS: usize = 10;
/// The port that no path of the workload declares.
const UNDECLARED: u16 = 9090;
/// Another that nobody listens at.
const NOBODYS: u16 = 9091;
/// The port of the declared paths.
const DECLARED: u16 = 8080;

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Made,
    Narrowed,
    Widened,
    Removed,
    LabelGiven,
    LabelTaken,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Made => "a policy was made, and a path opened",
            Self::Narrowed => "a policy was changed, and a path closed",
            Self::Widened => "a policy was changed, and a path opened",
            Self::Removed => "a policy was removed, and a path closed",
            Self::LabelGiven => "a pod was given a label, and a path opened",
            Self::LabelTaken => "a label was taken away, and a path closed",
        })
    }
}

/// How long each change took, with what was seen where it was not in force in time.
#[derive(Debug, Default)]
struct Changes {
    delays: BTreeMap<Kind, Vec<Duration>>,
    late: Vec<String>,
    controls: Vec<Attempt>,
    missed: (u32, u32),
    uncertainty: Duration,
}

/// Samples so often that the delay is told to 20 ms.
fn cadence(deadline: Duration) -> Cadence {
    Cadence { every: Duration::from_millis(20), give_up: Duration::from_millis(250), stable: 5, deadline }
}

/// What changes, and which paths are to follow.
struct Lane<'a> {
    tenant: &'a Tenant,
    fleet: &'a Fleet,
    plan: MatrixPlan,
    closed: Accepted,
    deadline: Duration,
}

impl Lane<'_> {
    /// Watches the paths, changes something, and tells how long it took until the last of the paths had followed.
    async fn change(
        &self,
        kind: Kind,
        opens: bool,
        change: impl Future<Output = Result<(), StepError>>,
        changes: &mut Changes,
    ) -> Result<(), StepError> {
        let wanted = if opens { Accepted::only(VerdictKind::Open) } else { self.closed.clone() };
        let watching = self.fleet.watch(self.plan.clone(), &wanted, &cadence(self.deadline)).await;
        // Counted from before the request, so that nothing is left out.
        let at = Moment::now();
        change.await?;
        let paths = watching.settled().await;
        let mut slowest = Duration::ZERO;
        for path in &paths {
            if let Some(why) = &path.trouble {
                return Err(StepError::trouble(format!("a path could not be watched: {why}")));
            }
            changes.missed.0 += path.due;
            changes.missed.1 += path.missed;
            changes.uncertainty = changes.uncertainty.max(path.uncertainty);
            let Some(took) = path.settled_after(at) else {
                changes.late.push(late(kind, path, &wanted));
                return Ok(());
            };
            slowest = slowest.max(took);
        }
        changes.delays.entry(kind).or_default().push(slowest);
        Ok(())
    }
}

fn late(kind: Kind, path: &WatchedPath, wanted: &Accepted) -> String {
    let seen = path.last.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    format!(
        "expected {wanted} from {} -> {} after {kind}, saw {seen} to the end",
        path.source.place,
        path.target.label()
    )
}

fn target(tenant: &Tenant, tier: Tier, port: u16) -> Result<Target, StepError> {
    let place = format!("{}/{tier}", tenant.name());
    paths::targets(tenant, &[AddressKind::PodAddress])?
        .into_iter()
        .find(|target| target.place == place && target.port == port && target.transport == Transport::Tcp)
        .ok_or_else(|| StepError::trouble(format!("nothing listens at {place}:{port}")))
}

fn control(tenant: &Tenant) -> Result<(Source, Target), StepError> {
    Ok((paths::source(tenant, Tier::Web)?, target(tenant, Tier::Api, DECLARED)?))
}

#[when("a policy is made, changed and removed, and the label of the pod given and taken, again and again")]
async fn change_again_and_again(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let stray = world.slots.require::<Fresh>("a fresh pod")?.0.clone();
    let fleet = fleet_of(world, [&tenant], &[stray.pod()])?;
    let (source, to) = control(&tenant)?;
    let mut changes = Changes::default();
    changes.controls.push(fleet.probe(source.clone(), to.clone()).await);
    let (of_policies, of_labels) =
        futures::join!(by_policies(world, &tenant, &fleet), by_labels(world, &tenant, &fleet, &stray));
    for some in [of_policies?, of_labels?] {
        changes.delays.extend(some.delays);
        changes.late.extend(some.late);
        changes.missed = (changes.missed.0 + some.missed.0, changes.missed.1 + some.missed.1);
        changes.uncertainty = changes.uncertainty.max(some.uncertainty);
    }
    changes.controls.push(fleet.probe(source, to).await);
    world.slots.insert(changes);
    Ok(())
}

/// One policy of the tenant's own, and the paths that it opens: to a pod on the same node, and to one on another.
async fn by_policies(world: &World, tenant: &Arc<Tenant>, fleet: &Fleet) -> Result<Changes, StepError> {
    let targets = vec![target(tenant, Tier::Web, UNDECLARED)?, target(tenant, Tier::Api, UNDECLARED)?];
    let plan = MatrixPlan::all_pairs(vec![paths::source(tenant, Tier::Db)?], targets);
    let lane = Lane { tenant, fleet, plan, closed: words::closed(world)?, deadline: convergence(world)? };
    let name = format!("prompt-{:04x}", world.scenario().seed() & 0xffff);
    let open = policies::opens(&name, Tier::Db, &[Tier::Web, Tier::Api], UNDECLARED);
    let narrow = policies::opens(&name, Tier::Db, &[Tier::Web, Tier::Api], NOBODYS);
    let mut changes = Changes::default();
    for _ in 0..ROUNDS {
        lane.change(Kind::Made, true, policies::create(world, tenant, open.clone()), &mut changes).await?;
        lane.change(Kind::Narrowed, false, policies::change(tenant, &narrow), &mut changes).await?;
        lane.change(Kind::Widened, true, policies::change(tenant, &open), &mut changes).await?;
        lane.change(Kind::Removed, false, policies::delete(tenant, &name), &mut changes).await?;
        if !changes.late.is_empty() {
            break;
        }
    }
    Ok(changes)
}

/// The label of the web tier, and the path that it opens.
async fn by_labels(
    world: &World,
    tenant: &Arc<Tenant>,
    fleet: &Fleet,
    stray: &Stray,
) -> Result<Changes, StepError> {
    let plan = MatrixPlan::all_pairs(vec![stray.source()], vec![target(tenant, Tier::Api, DECLARED)?]);
    let lane = Lane { tenant, fleet, plan, closed: words::closed(world)?, deadline: convergence(world)? };
    let mut changes = Changes::default();
    for _ in 0..ROUNDS {
        let label = |value: Value| agents::relabel(lane.tenant, stray, json!({ TIER_LABEL: value }));
        lane.change(Kind::LabelGiven, true, label(json!(Tier::Web.name())), &mut changes).await?;
        lane.change(Kind::LabelTaken, false, label(Value::Null), &mut changes).await?;
        if !changes.late.is_empty() {
            break;
        }
    }
    Ok(changes)
}

/// Puts delays into evidence, and says what breaks the bound: none where there is no bound, or it holds.
pub(super) fn judge(
    world: &World,
    title: &str,
    delays: &[Duration],
    bound: Option<Duration>,
) -> Option<String> {
    let ordered = Ordered::new(delays.iter().copied())?;
    let p99 = ordered.percentile(0.99);
    world.record(Evidence {
        title: format!("{title}: {}", p99.worth(99)),
        body: EvidenceBody::Timing {
            values_us: vec![("p50".to_owned(), micros(ordered.median())), (p99.name(99), micros(p99.value))],
            bound_us: bound.map(micros),
        },
    });
    let bound = bound.filter(|bound| p99.value > *bound)?;
    Some(format!(
        "expected the {} of {} within {bound:?} after {title}, saw {:?}",
        p99.name(99),
        p99.samples,
        p99.value
    ))
}

pub(super) fn bound(world: &World) -> Result<Option<Duration>, StepError> {
    Ok(world.service::<LoadedPlatform>()?.platform.spec.bounds.policy_enforced_p99.map(Into::into))
}

#[then("each change was in force on every path within the promised time")]
async fn in_force(world: &mut World) -> StepResult {
    let changes = world.slots.require::<Changes>("changes")?;
    let bound = bound(world)?;
    let mut wrong: Vec<_> = changes
        .delays
        .iter()
        .filter_map(|(kind, delays)| judge(world, &kind.to_string(), delays, bound))
        .collect();
    let all: Vec<_> = changes.delays.values().flatten().copied().collect();
    wrong.extend(judge(world, "any of these changes", &all, bound));
    let (due, missed) = changes.missed;
    let lines = vec![
        "a delay runs from before the request until the first sample of the last path that followed"
            .to_owned(),
        "paths: within one node and across nodes; a sample every 20 ms, so that a delay is told to 20 ms"
            .to_owned(),
        format!("{due} samples were due, {missed} of them could not be started in time"),
        format!("the clocks of agents and harness were compared to {:?}", changes.uncertainty),
    ];
    world.record(Evidence { title: "how it was measured".to_owned(), body: EvidenceBody::Text { lines } });
    let reasons: Vec<_> = changes.late.iter().cloned().chain(wrong).collect();
    if !reasons.is_empty() {
        return Err(summarised(ReasonKind::Requirement, reasons).into());
    }
    if all.is_empty() {
        return Err(StepError::trouble("nothing was changed, so nothing was timed").into());
    }
    Ok(())
}

#[then("a path that no change concerns was OPEN just before and just after")]
async fn unconcerned(world: &mut World) -> StepResult {
    let controls = &world.slots.require::<Changes>("changes")?.controls;
    let open = Accepted::only(VerdictKind::Open);
    for (control, phase) in controls.iter().zip([ControlPhase::Before, ControlPhase::After]) {
        world.record(control.to_evidence(&open, Some(phase)));
    }
    if controls.len() < 2 {
        return Err(
            StepError::no_control("the path that no change concerns was not tried before and after").into()
        );
    }
    match controls.iter().find(|control| control.verdict.kind() != VerdictKind::Open) {
        None => Ok(()),
        Some(shut) => {
            Err(StepError::no_control(format!("{shut} was {}, though no change concerns it", shut.verdict))
                .into())
        }
    }
}
