//! NET-08: what new pods send from the first instant of their lives, and what of it arrives.

use std::{sync::Arc, time::Duration};

use cucumber::{then, when};
use plimsoll_agent::protocol::{Hail, Hailed, Nonce, Round};
use tokio::time::{Instant, sleep};

use super::{
    network::fleet_of,
    promptness::{bound, judge},
    support::{
        agents::{self, Stray},
        denials::summarised,
        paths, tenants,
    },
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::{Evidence, EvidenceBody, ReasonKind, waiting_for},
    probe::{Fleet, Moment},
    profile::LoadedPlatform,
    tenant::{DeployedPod, TIER_LABEL, Tenant, Tier},
};

/// How many new pods of the tenant send.
const PODS: usize = 3;
/// Where they send to.
const PORT: u16 = 8080;
/// How long a pod hails, and then some.
const HAILS: Duration = Duration::from_secs(20);

/// One transport of one new pod, by both ends.
#[derive(Clone, Debug)]
struct Sent {
    place: String,
    over: &'static str,
    hailed: Hailed,
    arrived: u32,
    window: Duration,
}

/// What the new pods sent.
#[derive(Debug, Default)]
struct Newcomers {
    before: Vec<Sent>,
    subjects: Vec<Sent>,
    after: Vec<Sent>,
}

/// Starts a pod that sends to another over UDP and TCP from its first instant, waits until it has done so, and asks both
/// ends.
async fn newcomer(
    world: &World,
    fleet: &Fleet,
    tenant: &Arc<Tenant>,
    called: String,
    label: Option<Tier>,
    to: &DeployedPod,
) -> Result<Vec<Sent>, StepError> {
    let round = Round(rand::random());
    let began = Moment::now();
    let hail = |index: u32, datagrams: bool| Hail {
        nonce: Nonce { round: round.0, index },
        datagrams,
        to: (to.address, PORT).into(),
    };
    let hails = [hail(0, true), hail(1, false)];
    let stray = agents::stray_with(world, tenant, &called, PORT, |pod| {
        for container in pod.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
            let arguments = container.args.get_or_insert_default();
            arguments.extend(hails.iter().flat_map(|hail| ["--hail".to_owned(), hail.to_string()]));
        }
        if let Some(tier) = label {
            pod.metadata.labels.get_or_insert_default().insert(TIER_LABEL.to_owned(), tier.name().to_owned());
        }
    })
    .await?;
    let own = fleet_of(world, [], &[stray.pod()])?;
    let told = finished(&own, &stray).await?;
    let name = format!("{}/{}", to.namespace, to.name);
    let trouble = |error| StepError::trouble_from("ask what arrived", &error);
    let heard = fleet.heard(&name, round, began).await.map_err(trouble)?;
    if !heard.complete {
        return Err(StepError::trouble(format!("too much arrived at {name} for it to remember")));
    }
    let half_open = heard.half_open.iter().filter(|it| it.peer.ip().to_string() == stray.address).count();
    Ok(told
        .into_iter()
        .map(|hailed| {
            let arrival = heard.arrivals.iter().find(|arrival| arrival.index == hailed.index);
            let over = if hailed.index == 0 { "UDP" } else { "TCP" };
            let half_open = if hailed.index == 1 { u32::try_from(half_open).unwrap_or(u32::MAX) } else { 0 };
            Sent {
                place: stray.place.clone(),
                over,
                arrived: arrival.map_or(0, |arrival| arrival.times).saturating_add(half_open),
                window: arrival.map_or(Duration::ZERO, |it| Duration::from_micros(it.last_us - it.first_us)),
                hailed,
            }
        })
        .collect())
}

/// Waits until a pod has sent all that it was to send.
async fn finished(own: &Fleet, stray: &Stray) -> Result<Vec<Hailed>, StepError> {
    let name = format!("{}/{}", stray.namespace, stray.name);
    let waiting = waiting_for(format!("{} to have sent what it sends at first", stray.place));
    let began = Instant::now();
    loop {
        let told = own
            .hails(&name)
            .await
            .map_err(|error| StepError::trouble_from("ask what a new pod sent", &error))?;
        if let Some(mute) = told.iter().find(|hailed| hailed.trouble.is_some()) {
            let why = mute.trouble.clone().unwrap_or_default();
            return Err(StepError::trouble(format!("{} could not send: {why}", stray.place)));
        }
        if !told.is_empty() && told.iter().all(|hailed| hailed.over && hailed.sent > 0) {
            return Ok(told);
        }
        let sent: u32 = told.iter().map(|hailed| hailed.sent).sum();
        if began.elapsed() > HAILS {
            return Err(StepError::trouble(format!(
                "{} has sent {sent} packets and does not end",
                stray.place
            )));
        }
        waiting.saw(format!("{sent} packets sent"));
        // A condition of another process, which tells of nothing by itself.
        sleep(Duration::from_millis(100)).await;
    }
}

fn listener(tenant: &Tenant, tier: Tier) -> Result<DeployedPod, StepError> {
    let missing = || StepError::trouble(format!("no {tier} runs in {}", tenant.name()));
    paths::workload(tenant)?.pod(tier).cloned().ok_or_else(missing)
}

#[when("new pods of both send to the control tenant from the first instant of their lives")]
async fn send_out(world: &mut World) -> StepResult {
    let (tenant, control) = (tenants::its(world)?, tenants::control(world)?);
    let to = listener(&control, Tier::Api)?;
    let fleet = fleet_of(world, [&control], &[])?;
    let before = newcomer(world, &fleet, &control, "hail-before".to_owned(), None, &to).await?;
    let subjects =
        (1..=PODS).map(|number| newcomer(world, &fleet, &tenant, format!("hail-{number}"), None, &to));
    let subjects = futures::future::try_join_all(subjects).await?.into_iter().flatten().collect();
    let after = newcomer(world, &fleet, &control, "hail-after".to_owned(), None, &to).await?;
    world.slots.insert(Newcomers { before, subjects, after });
    Ok(())
}

fn tell(world: &World, title: &str, sent: &[Sent]) {
    let lines = sent
        .iter()
        .map(|Sent { place, over, hailed, arrived, window }| {
            format!(
                "{place} over {over}: {} sent within {:?}, {arrived} arrived within {window:?}, {} answered",
                hailed.sent,
                Duration::from_micros(hailed.last_us.saturating_sub(hailed.first_us)),
                hailed.echoes
            )
        })
        .collect();
    world.record(Evidence { title: title.to_owned(), body: EvidenceBody::Text { lines } });
}

#[then("of the new pods of the tenant no more packets arrive than promised")]
async fn no_more_than_promised(world: &mut World) -> StepResult {
    let newcomers = world.slots.require::<Newcomers>("new pods")?;
    tell(world, "the new pods of the tenant, by both ends", &newcomers.subjects);
    if newcomers.subjects.is_empty() {
        return Err(StepError::trouble("no new pod sent anything").into());
    }
    let promised = world.service::<LoadedPlatform>()?.platform.spec.bounds.leaked_packets;
    let leaks: Vec<_> = newcomers
        .subjects
        .iter()
        .filter(|sent| promised.is_some_and(|promised| sent.arrived > promised))
        .map(|Sent { place, over, hailed, arrived, window }| {
            format!(
                "expected at most {} packets of a new pod to arrive, saw {arrived} of {} from {place} over {over}, within \
                 {window:?}",
                promised.unwrap_or_default(),
                hailed.sent
            )
        })
        .collect();
    if leaks.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, leaks).into()) }
}

#[then("those of the control tenant arrived just before and just after")]
async fn controls_arrived(world: &mut World) -> StepResult {
    let newcomers = world.slots.require::<Newcomers>("new pods")?;
    tell(world, "control before: a new pod of the control tenant, by both ends", &newcomers.before);
    tell(world, "control after: a new pod of the control tenant, by both ends", &newcomers.after);
    let controls = || newcomers.before.iter().chain(&newcomers.after);
    match controls().find(|sent| sent.arrived == 0 || sent.hailed.echoes == 0) {
        None if newcomers.before.is_empty() || newcomers.after.is_empty() => {
            Err(StepError::no_control("no new pod of the control tenant sent anything").into())
        }
        None => Ok(()),
        Some(Sent { place, over, .. }) => Err(StepError::no_control(format!(
            "nothing arrived of what {place} sent over {over}, so that the silence of others proves nothing"
        ))
        .into()),
    }
}

#[when("new pods of the web tier send to the api from the first instant of their lives")]
async fn send_inside(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let to = listener(&tenant, Tier::Api)?;
    let fleet = fleet_of(world, [&tenant], &[])?;
    let sent = (1..=PODS)
        .map(|number| newcomer(world, &fleet, &tenant, format!("hail-web-{number}"), Some(Tier::Web), &to));
    let subjects = futures::future::try_join_all(sent).await?.into_iter().flatten().collect();
    world.slots.insert(Newcomers { subjects, ..Newcomers::default() });
    Ok(())
}

#[then("each got through within the promised time")]
async fn got_through(world: &mut World) -> StepResult {
    let newcomers = world.slots.require::<Newcomers>("new pods")?;
    tell(world, "the new pods, by both ends", &newcomers.subjects);
    // The tenant declares the path over TCP alone.
    let sent: Vec<_> = newcomers.subjects.iter().filter(|sent| sent.over == "TCP").collect();
    if sent.is_empty() {
        return Err(StepError::trouble("no new pod sent anything").into());
    }
    let lost: Vec<_> = sent
        .iter()
        .filter(|sent| sent.hailed.echoes == 0)
        .map(|sent| {
            format!(
                "expected {} to reach the api, saw none of its {} connections answered",
                sent.place, sent.hailed.sent
            )
        })
        .collect();
    if !lost.is_empty() {
        return Err(summarised(ReasonKind::Requirement, lost).into());
    }
    let delays: Vec<_> = sent
        .iter()
        .map(|sent| Duration::from_micros(sent.hailed.first_echo_us.saturating_sub(sent.hailed.first_us)))
        .collect();
    match judge(world, "a pod started, and its path was open", &delays, bound(world)?) {
        None => Ok(()),
        Some(late) => Err(StepError::requirement(late).into()),
    }
}
