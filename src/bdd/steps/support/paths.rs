//! Paths between workloads: who tries what, and which path of a control is the twin of a denied one.

use std::collections::{BTreeMap, HashMap};

use crate::{
    bdd::{StepError, World},
    engine::{ControlPhase, Evidence, EvidenceBody},
    oracle::{PathExpectation, Place, expected_path},
    probe::{
        Accepted, AddressKind, Attempt, Entry, Fleet, MatrixPlan, MatrixResult, Source, Target, Transport,
        VerdictKind, transport_word,
    },
    tenant::{Deployed, DeployedPod, Protocol, Tenant, Tier},
};

use super::{agents, denials::Sandwich};

/// Every way in which a feature addresses a workload.
pub const ADDRESSES: [AddressKind; 4] = [
    AddressKind::PodAddress,
    AddressKind::ServiceAddress,
    AddressKind::ServiceName,
    AddressKind::HeadlessName,
];

const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// What runs in a tenant.
pub fn workload(tenant: &Tenant) -> Result<&Deployed, StepError> {
    tenant.workload().ok_or_else(|| StepError::trouble(format!("no workload runs in {}", tenant.name())))
}

/// The pods of a workload, for a fleet.
pub fn pods(deployed: &Deployed) -> impl Iterator<Item = (String, String)> + '_ {
    deployed.pods.iter().map(|pod| (pod.namespace.clone(), pod.name.clone()))
}

fn agent(pod: &DeployedPod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// Every workload of a tenant as one who tries.
pub fn sources(tenant: &Tenant) -> Result<Vec<Source>, StepError> {
    let deployed = workload(tenant)?;
    Ok(deployed
        .pods
        .iter()
        .map(|pod| Source { agent: agent(pod), place: format!("{}/{}", tenant.name(), pod.tier) })
        .collect())
}

/// The workload of one tier as one who tries.
pub fn source(tenant: &Tenant, tier: Tier) -> Result<Source, StepError> {
    let place = format!("{}/{tier}", tenant.name());
    sources(tenant)?
        .into_iter()
        .find(|source| source.place == place)
        .ok_or_else(|| StepError::trouble(format!("there is no workload {place}")))
}

/// Every workload of a tenant as a target, in each way that it can be addressed and over each transport.
pub fn targets(tenant: &Tenant, addresses: &[AddressKind]) -> Result<Vec<Target>, StepError> {
    let deployed = workload(tenant)?;
    let mut targets = Vec::new();
    for pod in &deployed.pods {
        let service = deployed.service(pod.tier).ok_or_else(|| {
            StepError::trouble(format!("there is no service {}/{}", tenant.name(), pod.tier))
        })?;
        for by in addresses {
            let host = match by {
                AddressKind::PodAddress | AddressKind::Given => pod.address.to_string(),
                AddressKind::ServiceAddress => service.address.to_string(),
                AddressKind::ServiceName => service.dns.clone(),
                AddressKind::HeadlessName => service.headless_dns.clone(),
            };
            for port in &pod.ports {
                targets.extend(TRANSPORTS.map(|transport| Target {
                    place: format!("{}/{}", tenant.name(), pod.tier),
                    by: *by,
                    transport,
                    host: host.clone(),
                    port: *port,
                    expect: vec![agent(pod)],
                    question: None,
                }));
            }
        }
    }
    Ok(targets)
}

/// What is promised of a pair.
pub fn expectation(tenants: &[&Tenant], source: &Source, target: &Target) -> PathExpectation {
    let place = |text: &str| {
        let (tenant, tier) = text.split_once('/').unwrap_or((text, ""));
        Place { tenant: tenant.to_owned(), tier: Tier::ALL.into_iter().find(|known| known.name() == tier) }
    };
    let (from, to) = (place(&source.place), place(&target.place));
    let declared = tenants
        .iter()
        .find(|tenant| tenant.name() == from.tenant)
        .and_then(|tenant| tenant.workload())
        .map(|deployed| deployed.declared.as_slice())
        .unwrap_or_default();
    let protocol = if target.transport == Transport::Udp { Protocol::Udp } else { Protocol::Tcp };
    expected_path(declared, &from, &to, target.port, protocol)
}

/// What a path is, apart from whose it is: equal for a path and its twin between control tenants, so that one can be
/// the control of the other.
pub fn by_tiers(source: &Source, target: &Target) -> String {
    let tier = |place: &str| place.rsplit('/').next().unwrap_or_default().to_owned();
    format!("{}, from {}", at(&tier(&target.place), target), tier(&source.place))
}

/// The same where the twin is any pod that listens in the same way.
pub fn by_port(_: &Source, target: &Target) -> String {
    at("a pod", target)
}

fn at(whom: &str, target: &Target) -> String {
    format!("{whom}:{}/{} by {}", target.port, transport_word(target.transport), target.by)
}

fn attempt(entry: &Entry<'_>, key: impl Fn(&Source, &Target) -> String) -> Attempt {
    Attempt { target: key(entry.source, entry.target), ..entry.attempt() }
        .variant(format!("that is {}", entry.target.place))
}

/// Puts each entry between its twins. A path without twin could not be judged.
fn sandwiches(
    before: &MatrixResult,
    tried: &MatrixResult,
    after: &MatrixResult,
    key: impl Fn(&Source, &Target) -> String + Copy,
) -> Result<Vec<Sandwich>, StepError> {
    let twins = |result: &MatrixResult| -> HashMap<String, Attempt> {
        result.iter().map(|entry| attempt(&entry, key)).map(|twin| (twin.target.clone(), twin)).collect()
    };
    let (before, after) = (twins(before), twins(after));
    tried
        .iter()
        .map(|entry| {
            let attempt = attempt(&entry, key);
            let twin = |of: &HashMap<String, Attempt>| {
                of.get(&attempt.target).cloned().ok_or_else(|| {
                    StepError::no_control(format!("no control tenant tried {}", attempt.target))
                })
            };
            Ok(Sandwich { before: twin(&before)?, after: twin(&after)?, attempt: attempt.clone() })
        })
        .collect()
}

/// Tries paths between their controls: the twins before (waited for until open), the paths themselves, the twins
/// after. `key` says which paths are twins.
pub async fn between_controls(
    world: &World,
    fleet: &Fleet,
    tried: MatrixPlan,
    twins: MatrixPlan,
    within: std::time::Duration,
    key: impl Fn(&Source, &Target) -> String + Copy,
) -> Result<(MatrixResult, Vec<Sandwich>), StepError> {
    let before = agents::until_open(fleet, &twins, within).await;
    let result = agents::until_judged(fleet, &tried, within).await;
    let after = agents::until_open(fleet, &twins, within).await;
    let open = |_: &Source, _: &Target| "OPEN".to_owned();
    record(world, &before, open, Some(ControlPhase::Before));
    record(world, &after, open, Some(ControlPhase::After));
    let sandwiches = sandwiches(&before, &result, &after, key)?;
    Ok((result, sandwiches))
}

/// The words of accepted verdicts, as matrices have them.
pub fn words(accepted: &Accepted) -> String {
    accepted.iter().map(VerdictKind::word).collect::<Vec<_>>().join("|")
}

/// Evidence of a matrix: one table for each transport, port and way of addressing.
pub fn record(
    world: &World,
    result: &MatrixResult,
    expected: impl Fn(&Source, &Target) -> String,
    control: Option<ControlPhase>,
) {
    let mut tables: BTreeMap<(Transport, u16, AddressKind), Vec<Entry<'_>>> = BTreeMap::new();
    for entry in result.iter() {
        let Target { transport, port, by, .. } = *entry.target;
        tables.entry((transport, port, by)).or_default().push(entry);
    }
    for ((transport, port, by), entries) in tables {
        let mut rows: Vec<String> = entries.iter().map(|entry| entry.source.place.clone()).collect();
        rows.dedup();
        let mut columns: Vec<String> = entries.iter().map(|entry| entry.target.place.clone()).collect();
        columns.sort();
        columns.dedup();
        let blank = vec![vec![String::new(); columns.len()]; rows.len()];
        let (mut cells, mut promised) = (blank.clone(), blank);
        for entry in &entries {
            let row = rows.iter().position(|row| *row == entry.source.place);
            let column = columns.iter().position(|column| *column == entry.target.place);
            if let (Some(row), Some(column)) = (row, column) {
                entry.cell.verdict.kind().word().clone_into(&mut cells[row][column]);
                promised[row][column] = expected(entry.source, entry.target);
            }
        }
        let caption = format!("{} {port} by {by}", transport_word(transport));
        let phase = match control {
            None => "",
            Some(ControlPhase::Before) => "control before: ",
            Some(ControlPhase::After) => "control after: ",
        };
        world.record(Evidence {
            title: format!("{phase}{caption}"),
            body: EvidenceBody::Matrix {
                caption,
                rows,
                columns,
                cells,
                expected: promised,
                control,
                probes: entries.len(),
                took_us: u64::try_from(result.span().length().as_micros()).unwrap_or(u64::MAX),
            },
        });
    }
}
