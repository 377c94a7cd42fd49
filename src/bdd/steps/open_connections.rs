//! NET-07: connections that are open when a policy closes their path.

use std::{sync::Arc, time::Duration};

use cucumber::{given, then, when};
use plimsoll_agent::protocol::HoldEnd;
use tokio::time::{Instant, sleep};

use super::{
    network::{convergence, fleet_of},
    support::{agents, paths, policies, tenants},
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{ControlPhase, Evidence, EvidenceBody, micros, waiting_for},
    probe::{
        Accepted, AddressKind, Attempt, Fleet, HeldConnection, Holding, MatrixPlan, Moment, Pace, Source,
        Target, Transport, VerdictKind,
    },
    profile::{LoadedPlatform, OpenConnections},
    tenant::{Tenant, Tier},
};

/// The port that no path of the workload declares.
const UNDECLARED: u16 = 9090;
/// The port of the declared paths.
const DECLARED: u16 = 8080;

/// A greeting goes over a held connection this often.
const EVERY: Duration = Duration::from_millis(40);
/// What is not answered for so long is cut: TCP itself would go on trying for minutes.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// No scenario holds a connection for longer.
const DEADLINE: Duration = Duration::from_secs(50);
/// So many greetings show that a connection flows.
const FLOWS: u32 = 3;
/// A connection that is kept is watched for so long after new ones are refused.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// A path with the connection that is held over it.
#[derive(Debug)]
struct Held {
    source: Source,
    target: Target,
    connection: Holding,
}

/// The path that a policy opens.
#[derive(Debug)]
struct Opened(Held);

/// The path that stays open.
#[derive(Debug)]
struct Staying(Held);

/// When the policy was taken away, and what else was seen.
#[derive(Debug)]
struct Closed {
    at: Moment,
    controls: Vec<Attempt>,
}

fn stage(world: &World) -> Result<(Arc<Tenant>, Fleet), StepError> {
    let tenant = tenants::its(world)?;
    let fleet = fleet_of(world, [&tenant], &[])?;
    Ok((tenant, fleet))
}

fn path(tenant: &Tenant, to: Tier, port: u16) -> Result<(Source, Target), StepError> {
    let place = format!("{}/{to}", tenant.name());
    let target = paths::targets(tenant, &[AddressKind::PodAddress])?
        .into_iter()
        .find(|target| target.place == place && target.port == port && target.transport == Transport::Tcp)
        .ok_or_else(|| StepError::trouble(format!("nothing listens at {place}:{port}")))?;
    Ok((paths::source(tenant, Tier::Web)?, target))
}

async fn hold(world: &World, fleet: &Fleet, (source, target): (Source, Target)) -> Result<Held, StepError> {
    let plan = MatrixPlan::all_pairs(vec![source.clone()], vec![target.clone()]);
    let open = agents::until_open(fleet, &plan, convergence(world)?).await;
    paths::record(world, &open, |_, _| "OPEN".to_owned(), Some(ControlPhase::Before));
    let held = fleet.hold(&source, &target, EVERY, PATIENCE, DEADLINE).await;
    match held.map_err(|error| StepError::trouble_from("hold a connection", &error))? {
        Ok(connection) => {
            flows(fleet, &source, &connection).await?;
            Ok(Held { source, target, connection })
        }
        Err(told) => Err(StepError::no_control(format!(
            "no connection came about from {} to {} ({:?}), so that nothing can be said of its end",
            source.place,
            target.label(),
            told.end
        ))),
    }
}

/// Waits until a few greetings have come through, so that what is cut later did flow before.
async fn flows(fleet: &Fleet, source: &Source, connection: &Holding) -> Result<(), StepError> {
    let waiting = waiting_for(format!("the connection of {} to flow", source.place));
    let began = Instant::now();
    loop {
        let arrived = connection
            .arrived(fleet)
            .await
            .map_err(|error| StepError::trouble_from("ask what arrived over a held connection", &error))?;
        if arrived >= FLOWS {
            return Ok(());
        }
        if began.elapsed() > PATIENCE * 4 {
            let message =
                format!("the connection of {} does not flow: {arrived} greetings arrived", source.place);
            return Err(StepError::no_control(message));
        }
        waiting.saw(format!("{arrived} greetings arrived"));
        sleep(EVERY).await;
    }
}

#[given("a path that a policy of the tenant opens, and a connection held over it")]
async fn held(world: &mut World) -> StepResult {
    let (tenant, fleet) = stage(world)?;
    let policy = policies::opens(&name(world), Tier::Web, &[Tier::Db], UNDECLARED);
    policies::create(world, &tenant, policy).await?;
    let held = hold(world, &fleet, path(&tenant, Tier::Db, UNDECLARED)?).await?;
    world.slots.insert(Opened(held));
    Ok(())
}

fn name(world: &World) -> String {
    format!("held-{:04x}", world.scenario().seed() & 0xffff)
}

#[given("a connection held over a path that stays open")]
async fn held_control(world: &mut World) -> StepResult {
    let (tenant, fleet) = stage(world)?;
    let held = hold(world, &fleet, path(&tenant, Tier::Api, DECLARED)?).await?;
    world.slots.insert(Staying(held));
    Ok(())
}

#[when("the policy is taken away")]
async fn close(world: &mut World) -> StepResult {
    let (tenant, fleet) = stage(world)?;
    let Staying(Held { source, target, .. }) = world.slots.require::<Staying>("a held connection")?;
    let before = fleet.probe(source.clone(), target.clone()).await;
    let at = Moment::now();
    policies::delete(&tenant, &name(world)).await?;
    world.slots.insert(Closed { at, controls: vec![before] });
    Ok(())
}

#[then(regex = r"^a new connection over that path is ([A-Z_]+(?: or [A-Z_]+)*) within the promised time$")]
async fn new_refused(world: &mut World, words: String) -> StepResult {
    let (_, fleet) = stage(world)?;
    let accepted = words::closed_as(world, &words)?;
    let Opened(Held { source, target, .. }) = world.slots.require::<Opened>("a held connection")?;
    let Staying(stays) = world.slots.require::<Staying>("a held connection")?;
    let pace = Pace { deadline_ms: 250, attempts_ms: vec![0, 80, 160] };
    let wanted = |kind| accepted.contains(kind);
    let within = convergence(world)?;
    let result = agents::until(&fleet, source, target, &pace, within, wanted).await;
    let after = fleet.probe(stays.source.clone(), stays.target.clone()).await;
    let closed = world.slots.require_mut::<Closed>("a policy that was taken away")?;
    closed.controls.push(after);
    match result {
        Ok(took) => {
            world.record(timing(
                "from the removal of the policy until new connections are refused",
                took,
                Some(within),
            ));
            Ok(())
        }
        Err(last) => {
            let message =
                format!("expected {accepted} from {last} once the policy is gone, saw {}", last.verdict);
            let unclear = last.verdict.kind() == VerdictKind::ProbeError;
            Err(if unclear { StepError::trouble(message) } else { StepError::requirement(message) }.into())
        }
    }
}

fn timing(title: &str, took: Duration, bound: Option<Duration>) -> Evidence {
    Evidence {
        title: title.to_owned(),
        body: EvidenceBody::Timing {
            values_us: vec![("took".to_owned(), micros(took))],
            bound_us: bound.map(micros),
        },
    }
}

/// What became of a connection whose path was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// The first greeting without an answer was sent so long after its path was closed.
    Cut(Duration),
    /// It answered to the last.
    Kept,
    /// It broke before its path was closed, or never was one.
    Unrelated(String),
}

fn fate(connection: &HeldConnection, closed: Moment) -> Fate {
    match (&connection.told.end, connection.first_silent) {
        (HoldEnd::Open, _) => Fate::Kept,
        // The clocks of agent and harness agree to the uncertainty alone.
        (HoldEnd::Silent | HoldEnd::Refused, Some(silent))
            if silent >= closed || closed.since(silent) <= connection.uncertainty =>
        {
            Fate::Cut(silent.since(closed))
        }
        (HoldEnd::Silent | HoldEnd::Refused, _) => {
            Fate::Unrelated("the connection broke before its path was closed".to_owned())
        }
        (HoldEnd::NotOpened { seen }, _) => Fate::Unrelated(format!("the connection was none: {seen:?}")),
    }
}

fn both_ends(connection: &HeldConnection) -> String {
    let told = &connection.told;
    let arrived = connection.other_end.as_ref().map_or(0, |arrival| arrival.times);
    format!(
        "{} greetings sent, {} answered, {arrived} arrived at the other end; it ended as {:?}",
        told.sent, told.echoes, told.end
    )
}

#[then("the connection that was open is cut or kept, as the platform promises")]
async fn cut_or_kept(world: &mut World) -> StepResult {
    let (_, fleet) = stage(world)?;
    let promised = world.service::<LoadedPlatform>()?.platform.spec.network.open_connections;
    let within = convergence(world)?;
    let at = world.slots.require::<Closed>("a policy that was taken away")?.at;
    let missing = || StepError::trouble("no earlier step of the scenario holds a connection");
    let Opened(Held { source, target, mut connection }) = world.slots.take::<Opened>().ok_or_else(missing)?;
    let Staying(stays) = world.slots.take::<Staying>().ok_or_else(missing)?;
    let trouble = |error| StepError::trouble_from("ask what became of a held connection", &error);
    // What is cut ends by itself soon after its last answer; what is kept does not.
    let wait = if promised == Some(OpenConnections::Cut) { within } else { KEPT_FOR };
    connection.ends_within(wait + PATIENCE).await.map_err(trouble)?;
    let connection = connection.end(&fleet).await.map_err(trouble)?;
    let control = stays.connection.end(&fleet).await.map_err(trouble)?;
    let path = format!("{} -> {}", source.place, target.label());
    let lines = vec![
        format!("the connection whose path was closed, {path}: {}", both_ends(&connection)),
        format!(
            "the connection that stays, {} -> {}: {}",
            stays.source.place,
            stays.target.label(),
            both_ends(&control)
        ),
    ];
    world.record(Evidence {
        title: "both connections, by both ends".to_owned(),
        body: EvidenceBody::Text { lines },
    });
    if control.told.end != HoldEnd::Open || control.told.echoes < 2 {
        let message =
            "the connection that no policy concerns ended as well, so that the end of the other says nothing";
        return Err(StepError::no_control(message).into());
    }
    let fate = fate(&connection, at);
    if let Fate::Cut(after) = fate {
        world.record(timing(
            "from the removal of the policy until the open connection was cut",
            after,
            Some(within),
        ));
    }
    match (promised, fate) {
        (_, Fate::Unrelated(why)) => Err(StepError::trouble(why).into()),
        (Some(OpenConnections::Cut), Fate::Cut(after)) if after <= within => Ok(()),
        (Some(OpenConnections::Kept), Fate::Kept) => Ok(()),
        (Some(OpenConnections::Cut), Fate::Cut(after)) => Err(StepError::requirement(format!(
            "expected the open connection {path} to be cut within {within:?}, saw it cut after {after:?}"
        ))
        .into()),
        (Some(OpenConnections::Cut), Fate::Kept) => Err(StepError::requirement(format!(
            "expected the open connection {path} to be cut once its policy is gone, saw it kept"
        ))
        .into()),
        (Some(OpenConnections::Kept), Fate::Cut(after)) => Err(StepError::requirement(format!(
            "expected the open connection {path} to be kept, saw it cut {after:?} after its policy was gone"
        ))
        .into()),
        (None, fate) => {
            let seen = if fate == Fate::Kept { "kept" } else { "cut" };
            let message =
                format!("the profile does not promise what becomes of open connections; this one was {seen}");
            Err(StepError::capability(message).hint("say so in `spec.network.openConnections`").into())
        }
    }
}

#[then("the path that stays open was OPEN just before and just after")]
async fn controls(world: &mut World) -> StepResult {
    let controls = &world.slots.require::<Closed>("a policy that was taken away")?.controls;
    let open = Accepted::only(VerdictKind::Open);
    for (control, phase) in controls.iter().zip([ControlPhase::Before, ControlPhase::After]) {
        world.record(control.to_evidence(&open, Some(phase)));
    }
    if controls.len() < 2 {
        return Err(StepError::no_control("the path that stays open was not tried before and after").into());
    }
    match controls.iter().find(|control| control.verdict.kind() != VerdictKind::Open) {
        None => Ok(()),
        Some(shut) => {
            Err(StepError::no_control(format!("{shut} was {}, though no policy concerns it", shut.verdict))
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_agent::protocol::Held as Told;

    use super::*;

    fn connection(end: HoldEnd, silent: Option<u64>) -> HeldConnection {
        HeldConnection {
            told: Told { end, sent: 9, echoes: 8, last_echo_us: 0, first_silent_us: 0 },
            last_echo: Moment::from_micros(90),
            first_silent: silent.map(Moment::from_micros),
            uncertainty: Duration::ZERO,
            other_end: None,
        }
    }

    #[test]
    fn a_connection_is_cut_only_after_its_path_was_closed() {
        let closed = Moment::from_micros(100);
        assert_eq!(fate(&connection(HoldEnd::Open, None), closed), Fate::Kept);
        assert_eq!(
            fate(&connection(HoldEnd::Silent, Some(130)), closed),
            Fate::Cut(Duration::from_micros(30))
        );
        assert!(matches!(fate(&connection(HoldEnd::Refused, Some(99)), closed), Fate::Unrelated(_)));
    }
}
