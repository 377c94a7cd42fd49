//! NET-05: names, and who may be asked for them.

use std::{collections::BTreeSet, net::IpAddr};

use cucumber::{given, then, when};
use plimsoll_agent::protocol::Seen;

use super::{
    network::{convergence, fleet_of},
    support::{
        agents::{self, Stray},
        denials::Tried,
        paths, tenants,
    },
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    engine::ComparisonRow,
    probe::{AddressKind, MatrixPlan, Target, Transport, VerdictKind, transport_word},
    tenant::Tier,
};

/// The well-known port of name servers.
const DNS_PORT: u16 = 53;

/// What names resolved to, beside what they ought to.
struct Resolved(Vec<ComparisonRow>);

/// A name server that the platform did not set up.
struct NameServer(Stray);

fn addresses(list: impl IntoIterator<Item = IpAddr>) -> String {
    let sorted: BTreeSet<_> = list.into_iter().collect();
    sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[when("every workload resolves the names of the services of its tenant over UDP and TCP")]
async fn resolve(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let deployed = paths::workload(&tenant)?;
    let fleet = fleet_of(world, [&tenant], &[])?;
    let mut expected = Vec::new();
    for service in &deployed.services {
        expected.push((service.dns.clone(), service.address.to_string()));
        let behind = deployed.pods.iter().filter(|pod| pod.tier == service.tier).map(|pod| pod.address);
        expected.push((service.headless_dns.clone(), addresses(behind)));
    }
    let targets = expected.iter().flat_map(|(name, _)| {
        [Transport::Dns, Transport::DnsTcp].map(|transport| Target {
            place: name.clone(),
            by: AddressKind::Given,
            transport,
            host: name.clone(),
            port: 0,
            expect: Vec::new(),
            question: None,
        })
    });
    let plan = MatrixPlan::all_pairs(paths::sources(&tenant)?, targets.collect());
    // A name is served a moment after its service is made.
    let result = agents::until_open(&fleet, &plan, convergence(world)?).await;
    let rows = result
        .iter()
        .map(|entry| {
            let promised = expected
                .iter()
                .find(|(name, _)| *name == entry.target.host)
                .map(|(_, address)| address.clone());
            let seen = match entry.cell.client.as_ref().map(|outcome| &outcome.seen) {
                Some(Seen::Resolved { addresses: found, .. }) => addresses(found.iter().copied()),
                _ => entry.cell.verdict.to_string(),
            };
            let promised = promised.unwrap_or_default();
            ComparisonRow {
                name: format!(
                    "{} by {}, {}",
                    entry.target.host,
                    transport_word(entry.target.transport),
                    entry.source.place
                ),
                holds: entry.cell.verdict.kind() == VerdictKind::Open && seen == promised,
                expected: promised,
                seen,
            }
        })
        .collect();
    if let Some(broken) = result.iter().find(|entry| entry.cell.verdict.kind() == VerdictKind::ProbeError) {
        let why = format!("{} cannot be judged: {}", broken.attempt(), broken.cell.verdict);
        return Err(StepError::trouble(why).into());
    }
    world.slots.insert(Resolved(rows));
    Ok(())
}

#[then("every name resolves to the address that the cluster gave it")]
async fn resolved(world: &mut World) -> StepResult {
    let rows = world.slots.require::<Resolved>("resolved names")?.0.clone();
    if rows.is_empty() {
        return Err(StepError::trouble("no name was resolved").into());
    }
    tenants::all_hold(world, "names, as each workload resolves them", rows)
}

#[given("a name server of nobody's in the control tenant")]
async fn name_server(world: &mut World) -> StepResult {
    let control = tenants::control(world)?;
    let stray = agents::stray(world, &control, "nameserver", DNS_PORT).await?;
    world.slots.insert(NameServer(stray));
    Ok(())
}

/// What is tried is the way to it: whether it would answer a question is not what a policy decides, so that what
/// listens there is an agent, which says who reached it.
#[when("every workload tries that name server over TCP and UDP")]
async fn try_name_server(world: &mut World) -> StepResult {
    let (tenant, control) = (tenants::its(world)?, tenants::control(world)?);
    let server = world.slots.require::<NameServer>("a name server")?.0.clone();
    let fleet = fleet_of(world, [&tenant, &control], &[server.pod()])?;
    let targets: Vec<_> = [Transport::Tcp, Transport::Udp].map(|transport| server.target(transport)).into();
    let tried = MatrixPlan::all_pairs(paths::sources(&tenant)?, targets.clone());
    let twins = MatrixPlan::all_pairs(vec![paths::source(&control, Tier::Web)?], targets);
    let vouches =
        "each attempt is vouched for by that of a pod of the control tenant at the same name server";
    let (result, sandwiches) =
        paths::between_controls(world, &fleet, tried, twins, convergence(world)?, paths::by_port, vouches)
            .await?;
    let promised = words::closed(world)?;
    paths::record(world, &result, |_, _| paths::words(&promised), None);
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}
