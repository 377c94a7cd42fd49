//! TEN-05: what a tenant at its limit does to the others.

use std::time::Duration;

use cucumber::{given, then, when};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{Api, api::DeleteParams};
use plimsoll_agent::protocol::{Load, Loaded, Pulse};

use super::support::{
    agents, policies,
    room::{self, Part, Room},
    tenants,
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, wait_for},
    engine::{ComparisonRow, Evidence, EvidenceBody, micros},
    measure::{Compared, Finding, Pair, compare_rounds, quantile},
    oracle::Quantity,
    probe::{AddressKind, AgentError, Fleet, MatrixPlan, Source, Target, Transport},
    profile::{LoadedPlatform, Timespan},
    tenant::Tier,
};

/// Pairs of a quiet and a loaded window, in one round.
const PAIRS: usize = 8;
/// How often a round is measured at most: one that a stall of the machine falls into cannot tell.
const ROUNDS: usize = 3;
/// How long each window is.
const WINDOW_MS: u32 = 600;
/// How often calls are due in it.
const EVERY_MS: u32 = 5;
/// How many are due at a time. Together they need about a tenth of a processor: well within the share of a tenant, and
/// far more than is left over where a neighbour takes all of it.
const CALLS: usize = 2;
/// Silence for this long counts as this long.
const GIVE_UP_MS: u32 = 2_000;
/// A load ends by itself after this time, should nobody end it.
const LONGEST_LOAD_MS: u32 = 20_000;
/// Less than this share of what it asked for is no load worth the name.
const LEAST_SHARE: f64 = 0.25;
/// Where the bystander's pods listen.
const PORT: u16 = 8080;

/// The pods that load, and what they have.
#[derive(Clone, Debug)]
struct Greedy {
    pods: Vec<Part>,
    books: Vec<ComparisonRow>,
}

/// The pods of the bystander: who calls, and who answers.
#[derive(Clone, Debug)]
struct Steady {
    pods: Vec<Part>,
    /// What kept the scheduler from placing each, where it did not.
    homeless: Vec<Option<String>>,
}

/// What was measured.
#[derive(Debug)]
struct Measured {
    pairs: Vec<Pair>,
    loads: Vec<Loaded>,
}

fn agent(error: AgentError) -> StepError {
    StepError::trouble_from("load a pod or probe from it", &error)
}

#[given(expr = "{string} has asked for all the cpu that it can get, on two nodes")]
async fn ask_for_all(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let nodes = Room::of_two_nodes(world).await?;
    let hard = room::quota(world, &tenant).await?;
    let count = u64::try_from(nodes.len()).unwrap_or(1);
    let mut pods = Vec::new();
    let (requests, limits) = (hard.get("requests.cpu"), hard.get("limits.cpu"));
    for (index, node) in nodes.iter().enumerate() {
        // Where the quota has no end, the node has.
        let request = requests.map_or(node.free, |all| room::part(*all, count, index).min(node.free));
        let limit = limits.map_or(node.whole, |all| room::part(*all, count, index)).max(request);
        pods.push(
            room::start(world, &tenant, &format!("load-{index}"), PORT, None, node, (request, limit)).await?,
        );
    }
    for pod in &mut pods {
        room::ready(world, pod).await?;
    }
    let books = books(world, &pods, requests.copied(), limits.copied()).await?;
    world.slots.insert(Greedy { pods, books });
    Ok(())
}

/// What is used of the processor: all that the quota gives, unless the nodes end before it does.
async fn books(
    world: &World,
    pods: &[Part],
    requests: Option<Quantity>,
    limits: Option<Quantity>,
) -> Result<Vec<ComparisonRow>, StepError> {
    let profile = world.service::<LoadedPlatform>()?;
    let Some(first) = pods.first() else { return Ok(Vec::new()) };
    let name = profile.platform.spec.quota.as_ref().map(|quota| quota.name.clone()).unwrap_or_default();
    let cluster = world.service::<Cluster>()?;
    let asked = |of: fn(&Part) -> Quantity| pods.iter().map(of).sum::<Quantity>();
    let keys = [
        ("requests.cpu", requests, asked(|pod| pod.request)),
        ("limits.cpu", limits, asked(|pod| pod.limit)),
    ];
    let used = |quota: Option<&ResourceQuota>, key: &str| -> Option<Quantity> {
        quota?.status.as_ref()?.used.as_ref()?.get(key)?.0.parse().ok()
    };
    let seen = |quota: Option<&ResourceQuota>, key: &str| {
        used(quota, key).map_or_else(|| "nothing".to_owned(), |amount| amount.to_string())
    };
    let counted: Vec<_> = keys.iter().filter(|(_, hard, _)| hard.is_some()).collect();
    let quota = wait_for(
        &cluster,
        Api::<ResourceQuota>::namespaced(cluster.client(), &first.namespace),
        &name,
        &format!("the quota of {} to count its pods", first.tenant),
        profile.platform.spec.deadlines.quota_settled.get(),
        |quota| counted.iter().all(|(key, _, asked)| used(quota, key) == Some(*asked)),
        |quota| keys.map(|(key, _, _)| format!("{key} {}", seen(quota, key))).join(", "),
    )
    .await
    .map_err(StepError::from)?;
    Ok(keys
        .iter()
        .map(|(key, hard, asked)| ComparisonRow {
            name: format!("{key} used by {}", first.tenant),
            expected: match hard {
                Some(hard) if hard == asked => hard.to_string(),
                _ => format!("{asked}, which is all that the nodes have"),
            },
            seen: seen(quota.as_ref(), key),
            holds: true,
        })
        .collect())
}

#[when(expr = "{string} asks for all the cpu that it is promised, on the same nodes")]
async fn ask_for_its_own(world: &mut World, name: String) -> StepResult {
    let tenant = tenants::named(world, &name)?;
    let nodes: Vec<_> = world
        .slots
        .require::<Greedy>("a tenant that loads")?
        .pods
        .iter()
        .map(|pod| pod.node.clone())
        .collect();
    let hard = room::quota(world, &tenant).await?;
    let all = |key: &str| {
        hard.get(key).copied().ok_or_else(|| {
            StepError::capability(format!(
                "a tenant is promised no certain {key}: its quota does not name it"
            ))
        })
    };
    let (requests, limits) = (all("requests.cpu")?, all("limits.cpu")?);
    policies::create(world, &tenant, policies::opens("calls", Tier::Web, &[Tier::Api], PORT)).await?;
    let tiers = [Tier::Web, Tier::Api];
    let mut pods = Vec::new();
    for (index, tier) in tiers.into_iter().enumerate() {
        let amounts = (room::part(requests, 2, index), room::part(limits, 2, index));
        let node = nodes
            .get(index)
            .or_else(|| nodes.first())
            .ok_or_else(|| StepError::trouble("there is no node"))?;
        pods.push(room::start(world, &tenant, tier.name(), PORT, Some(tier), node, amounts).await?);
    }
    let homeless = try_join_all(pods.iter().map(|pod| room::scheduled(world, pod))).await?;
    if homeless.iter().all(Option::is_none) {
        for pod in &mut pods {
            room::ready(world, pod).await?;
        }
    }
    world.slots.insert(Steady { pods, homeless });
    Ok(())
}

#[then(regex = r#"^every pod of "[^"]+" has found room$"#)]
async fn found_room(world: &mut World) -> StepResult {
    let steady = world.slots.require::<Steady>("the pods of a bystander")?.clone();
    let greedy = world.slots.require::<Greedy>("a tenant that loads")?.clone();
    let rows: Vec<_> = steady
        .pods
        .iter()
        .zip(&steady.homeless)
        .map(|(pod, homeless)| ComparisonRow {
            name: format!("the pod {}/{}, which asks for {} of cpu,", pod.tenant, pod.name, pod.request),
            expected: format!("placed on {}", pod.node.name),
            seen: homeless.clone().unwrap_or_else(|| format!("placed on {}", pod.node.name)),
            holds: homeless.is_none(),
        })
        .collect();
    if rows.iter().any(|row| !row.holds) {
        // Is the neighbour the reason? Without it there must be room.
        let cluster = world.service::<Cluster>()?;
        for pod in &greedy.pods {
            let api = Api::<Pod>::namespaced(cluster.client(), &pod.namespace);
            let gone = api.delete(&pod.name, &DeleteParams::default()).await;
            gone.map_err(|error| cluster.error(format!("delete pod {}", pod.full_name()), error))?;
        }
        for pod in &steady.pods {
            if let Some(why) = room::scheduled(world, pod).await? {
                return Err(StepError::trouble(format!(
                    "{} finds no room, and finds none without its neighbour either: {why}",
                    pod.full_name()
                ))
                .into());
            }
        }
    }
    tenants::all_hold(world, "where the bystander's pods are", rows)
}

#[when(regex = r#"^"[^"]+" burns all that it has by turns, while the pods of "[^"]+" call each other$"#)]
async fn burn(world: &mut World) -> StepResult {
    let greedy = world.slots.require::<Greedy>("a tenant that loads")?.clone();
    let steady = world.slots.require::<Steady>("the pods of a bystander")?.clone();
    let profile = world.service::<LoadedPlatform>()?;
    let pods: Vec<_> =
        greedy.pods.iter().chain(&steady.pods).map(|pod| (pod.namespace.clone(), pod.name.clone())).collect();
    let fleet = agents::fleet(world, &pods)?;
    let [caller, answerer] = steady.pods.as_slice() else {
        return Err(StepError::trouble("there are not two who call each other").into());
    };
    let source = Source { agent: caller.full_name(), place: caller.place() };
    let target = Target {
        place: answerer.place(),
        by: AddressKind::PodAddress,
        transport: Transport::Tcp,
        host: answerer.address.clone(),
        port: PORT,
        expect: vec![answerer.full_name()],
        question: None,
    };
    let plan = MatrixPlan::all_pairs(vec![source], vec![target; CALLS]);
    agents::until_open(&fleet, &plan, profile.platform.spec.deadlines.policy_convergence.get()).await;
    // Which window of a pair comes first is a bit of the scenario's seed.
    let lot = world.scenario().seed();
    let bound = profile.platform.spec.bounds.bystander_p99;
    let mut measured = Measured { pairs: Vec::new(), loads: Vec::new() };
    for pair in 0..PAIRS * ROUNDS {
        if pair > 0 && pair % PAIRS == 0 {
            let said = bound.and_then(|bound| judge(&measured, bound));
            if said.is_none_or(|said| said.finding != Finding::Unclear) {
                break;
            }
            world.run().events.warn(format!(
                "{pair} pairs of windows do not tell whether the load slows {}: more are measured",
                caller.tenant
            ));
        }
        let mut windows = [Vec::new(), Vec::new()];
        let loaded_first = (lot >> pair) & 1 == 1;
        for loaded in [loaded_first, !loaded_first] {
            windows[usize::from(loaded)] = if loaded {
                let mut loads = Vec::new();
                for pod in &greedy.pods {
                    let load = Load { threads: pod.node.processors(), for_ms: LONGEST_LOAD_MS };
                    loads.push(fleet.load(&pod.full_name(), load).await.map_err(agent)?);
                }
                let times = window(&fleet, &plan).await?;
                for load in loads {
                    measured.loads.push(load.stop().await.map_err(agent)?);
                }
                times
            } else {
                window(&fleet, &plan).await?
            };
        }
        let [quiet, loaded] = windows;
        measured.pairs.push(Pair { quiet, loaded });
    }
    world.slots.insert(measured);
    Ok(())
}

/// What all that was measured says of the promised bound.
fn judge(measured: &Measured, bound: Timespan) -> Option<Compared> {
    compare_rounds(&measured.pairs, PAIRS, 0.99, bound.get())
}

/// The times of the calls of one window.
async fn window(fleet: &Fleet, plan: &MatrixPlan) -> Result<Vec<Duration>, StepError> {
    let pulse = Pulse { every_ms: EVERY_MS, give_up_ms: GIVE_UP_MS, for_ms: WINDOW_MS };
    let mut times = Vec::new();
    for path in fleet.pulse(plan, pulse).await.map_err(agent)? {
        if let Some(why) = &path.pulsed.trouble {
            let from = &path.source.place;
            return Err(StepError::trouble(format!("{from} could not call {}: {why}", path.target.label())));
        }
        times.extend(path.pulsed.took_us.iter().map(|us| Duration::from_micros(u64::from(*us))));
        let lost = usize::try_from(path.pulsed.unanswered).unwrap_or_default();
        times.extend(std::iter::repeat_n(Duration::from_millis(GIVE_UP_MS.into()), lost));
    }
    Ok(times)
}

/// What the load used of the processor, in cores, and what it had asked for.
fn used(greedy: &Greedy, measured: &Measured) -> (f64, f64) {
    let sum = |of: fn(&Loaded) -> u64| measured.loads.iter().map(of).sum::<u64>();
    let (processor, wall) = (sum(|load| load.processor_us), sum(|load| load.wall_us));
    let pods = greedy.pods.len().max(1) as f64;
    let used = if wall == 0 { 0.0 } else { processor as f64 / wall as f64 * pods };
    (used, greedy.pods.iter().map(|pod| room::cores(pod.request)).sum())
}

#[then(expr = "{string} wanted more than it got, and got enough to be felt")]
async fn felt(world: &mut World, name: String) -> StepResult {
    let greedy = world.slots.require::<Greedy>("a tenant that loads")?;
    let measured = world.slots.require::<Measured>("calls under load")?;
    tenants::all_hold(world, &format!("what {name} has of the cpu"), greedy.books.clone())?;
    let (used, asked) = used(greedy, measured);
    let threads: u32 = measured.loads.iter().take(greedy.pods.len()).map(|load| load.threads).sum();
    world.record(Evidence {
        title: format!("what {name} used while it burned"),
        body: EvidenceBody::Text {
            lines: vec![format!(
                "{used:.2} cores on average by {threads} threads, of {asked:.2} that it had asked for"
            )],
        },
    });
    if used >= f64::from(threads) * 0.95 {
        return Err(StepError::trouble(format!(
            "{name} got all that its {threads} threads could use, so that nothing held it back"
        ))
        .into());
    }
    if used < asked * LEAST_SHARE {
        return Err(StepError::trouble(format!(
            "{name} got {used:.2} cores of the {asked:.2} that it had asked for, which is no load: the machine is busy \
             with something else"
        ))
        .into());
    }
    Ok(())
}

#[then(
    expr = "the calls of {string} are answered within the promised time at the 99th percentile, under load as without"
)]
async fn kept_pace(world: &mut World, name: String) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let measured = world.slots.require::<Measured>("calls under load")?;
    let Some(bound) = profile.platform.spec.bounds.bystander_p99 else {
        return Err(StepError::capability(
            "nothing is promised about bystanders: `spec.bounds.bystanderP99` of the profile is not set",
        )
        .into());
    };
    let compared = judge(measured, bound)
        .ok_or_else(|| StepError::trouble("a window without a single call says nothing"))?;
    let mut values = vec![
        ("quiet, p99".to_owned(), micros(compared.quiet)),
        ("under load, p99".to_owned(), micros(compared.loaded)),
    ];
    for (index, pair) in measured.pairs.iter().enumerate() {
        for (what, window) in [("quiet", &pair.quiet), ("loaded", &pair.loaded)] {
            if let Some(value) = quantile(window, 0.99) {
                values.push((format!("pair {}, {what}, p99 of {}", index + 1, window.len()), micros(value)));
            }
        }
    }
    world.record(Evidence {
        title: format!("the calls of {name}"),
        body: EvidenceBody::Timing { values_us: values, bound_us: Some(micros(bound.get())) },
    });
    let Compared { quiet, loaded, pairs, slower, faster, chance, finding } = compared;
    let seen = format!(
        "saw {loaded:.1?} (and {quiet:.1?} without load; of {pairs} pairs of windows {slower} exceeded it under load \
         alone, {faster} without load alone)"
    );
    match finding {
        Finding::Kept => Ok(()),
        Finding::Broken => Err(StepError::requirement(format!(
            "expected the p99 of the calls of {name} under load to be within {bound}, {seen}"
        ))
        .into()),
        Finding::Unclear => Err(StepError::trouble(format!(
            "the p99 of the calls of {name} exceeded {bound}, and whether the load is the reason cannot be told: {seen}; \
             without any influence this is seen with a chance of {:.0} %",
            chance * 100.0
        ))
        .into()),
    }
}
