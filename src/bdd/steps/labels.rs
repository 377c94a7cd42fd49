//! NET-09: labels move pods between policies.

use std::time::Duration;

use cucumber::{then, when};
use serde_json::{Value, json};

use super::{
    network::{Fresh, convergence, fleet_of},
    support::{
        agents::{self, Stray},
        paths, tenants,
    },
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{ControlPhase, Evidence, EvidenceBody, micros},
    probe::{Accepted, Attempt, Fleet, Pace, Source, Target, Transport, VerdictKind},
    profile::LoadedPlatform,
    tenant::{Protocol, TIER_LABEL, Tenant, Tier},
};

/// Quick samples: what matters is when it changes.
fn pace() -> Pace {
    Pace { deadline_ms: 250, attempts_ms: vec![0, 80, 160] }
}

/// Which way the label opens.
#[derive(Clone, Copy, Debug)]
struct Move {
    tier: Tier,
}

/// The controls of the closed phases: web reaching api, in the same tenant.
#[derive(Debug, Default)]
struct Controls(Vec<Attempt>);

/// Everything that the steps of one scenario need.
struct Stage {
    tenant: std::sync::Arc<Tenant>,
    stray: Stray,
    fleet: Fleet,
    within: Duration,
}

fn stage(world: &World) -> Result<Stage, StepError> {
    let tenant = tenants::its(world)?;
    let stray = world.slots.require::<Fresh>("a fresh pod")?.0.clone();
    let fleet = fleet_of(world, [&tenant], &[stray.pod()])?;
    Ok(Stage { within: convergence(world)?, tenant, stray, fleet })
}

impl Stage {
    /// Web and api of the workload itself.
    fn twin(&self) -> Result<(Source, Target), StepError> {
        Ok((paths::source(&self.tenant, Tier::Web)?, self.api()?))
    }

    /// The api of the workload, by the path that web has to it.
    fn api(&self) -> Result<Target, StepError> {
        let deployed = paths::workload(&self.tenant)?;
        let place = format!("{}/{}", self.tenant.name(), Tier::Api);
        paths::targets(&self.tenant, &[crate::probe::AddressKind::PodAddress])?
            .into_iter()
            .find(|target| {
                target.place == place
                    && target.transport == Transport::Tcp
                    && deployed.declares(Tier::Web, Tier::Api, target.port, Protocol::Tcp)
            })
            .ok_or_else(|| StepError::trouble("the workload declares no path from web to api"))
    }

    /// Who tries what, depending on what the pod becomes.
    fn path(&self, becomes: Tier) -> Result<(Source, Target), StepError> {
        Ok(match becomes {
            Tier::Web => (self.stray.source(), self.api()?),
            _ => (paths::source(&self.tenant, Tier::Web)?, self.stray.target(Transport::Tcp)),
        })
    }

    async fn control(&self) -> Result<Attempt, StepError> {
        let (source, target) = self.twin()?;
        Ok(self.fleet.probe(source, target).await)
    }
}

async fn label(world: &World, value: Value) -> Result<(), StepError> {
    let Stage { tenant, stray, .. } = stage(world)?;
    agents::relabel(&tenant, &stray, json!({ TIER_LABEL: value })).await
}

#[when(regex = "^the pod is given the label of the (web|api) tier$")]
async fn give(world: &mut World, word: String) -> StepResult {
    let tier = if word == "web" { Tier::Web } else { Tier::Api };
    let stage = stage(world)?;
    // Closed it must be before, or that it opens would mean nothing. The path of the workload itself is the control.
    let (source, target) = stage.path(tier)?;
    let open = agents::until_open(&stage.fleet, &plan(stage.twin()?), stage.within).await;
    paths::record(world, &open, |_, _| "OPEN".to_owned(), Some(ControlPhase::Before));
    let closed = stage.fleet.probe(source, target).await;
    let accepted = words::closed(world)?;
    world.record(closed.to_evidence(&accepted, None));
    if !accepted.contains(closed.verdict.kind()) {
        return Err(not_as_wanted(&closed, &accepted.to_string(), "without the label").into());
    }
    world.slots.insert(Move { tier });
    Ok(label(world, json!(tier.name())).await?)
}

fn plan((source, target): (Source, Target)) -> crate::probe::MatrixPlan {
    crate::probe::MatrixPlan::all_pairs(vec![source], vec![target])
}

#[when("the label is taken away again")]
async fn take(world: &mut World) -> StepResult {
    let control = stage(world)?.control().await?;
    world.slots.entry::<Controls>().0.push(control);
    Ok(label(world, Value::Null).await?)
}

#[then(regex = "^(?:it reaches the api|the web tier reaches it) within the promised time$")]
async fn opens(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    let (source, target) = stage.path(world.slots.require::<Move>("a label")?.tier)?;
    let wanted = |kind| kind == VerdictKind::Open;
    match agents::until(&stage.fleet, &source, &target, &pace(), stage.within, wanted).await {
        Ok(took) => timing(world, "from the label's change to the first packet through", took),
        Err(last) => Err(not_as_wanted(&last, "OPEN", "with the label").into()),
    }
}

#[then(regex = "^(?:it|the web tier) no longer reaches (?:the api|it) within the promised time$")]
async fn closes(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    let (source, target) = stage.path(world.slots.require::<Move>("a label")?.tier)?;
    let accepted = words::closed(world)?;
    let wanted = |kind| accepted.contains(kind);
    let result = agents::until(&stage.fleet, &source, &target, &pace(), stage.within, wanted).await;
    let control = stage.control().await?;
    world.slots.entry::<Controls>().0.push(control);
    match result {
        Ok(took) => timing(world, "from the label's removal to the last packet through", took),
        Err(last) => Err(not_as_wanted(&last, &accepted.to_string(), "once the label is gone").into()),
    }
}

fn not_as_wanted(last: &Attempt, wanted: &str, when: &str) -> StepError {
    let message = format!("expected {wanted} from {last} {when}, saw {}", last.verdict);
    if last.verdict.kind() == VerdictKind::ProbeError {
        StepError::trouble(message)
    } else {
        StepError::requirement(message)
    }
}

fn timing(world: &World, title: &str, took: Duration) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    world.record(Evidence {
        title: title.to_owned(),
        body: EvidenceBody::Timing {
            values_us: vec![("took".to_owned(), micros(took))],
            bound_us: Some(micros(profile.platform.spec.deadlines.policy_convergence.get())),
        },
    });
    Ok(())
}

#[then("the api was OPEN for the web tier just before and just after")]
async fn controls(world: &mut World) -> StepResult {
    let controls = &world.slots.require::<Controls>("controls")?.0;
    let open = Accepted::only(VerdictKind::Open);
    for (control, phase) in controls.iter().zip([ControlPhase::Before, ControlPhase::After]) {
        world.record(control.to_evidence(&open, Some(phase)));
    }
    if controls.len() < 2 {
        return Err(StepError::no_control("the workload's own path was not tried before and after").into());
    }
    match controls.iter().find(|control| control.verdict.kind() != VerdictKind::Open) {
        None => Ok(()),
        Some(shut) => Err(StepError::no_control(format!(
            "the path that the label opens was itself not open ({shut} was {}), so that its closing proves nothing",
            shut.verdict
        ))
        .into()),
    }
}
