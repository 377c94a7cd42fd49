//! Paths between workloads: who tries what, and which path of a control is the twin of a denied one.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use crate::{
    bdd::{StepError, World},
    engine::{ControlPhase, Evidence, EvidenceBody, micros},
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
            targets.extend(every_port(tenant.name(), pod, *by, host));
        }
    }
    Ok(targets)
}

/// A pod as a target by one address, on each of its ports and over each transport.
fn every_port(
    tenant: &str,
    pod: &DeployedPod,
    by: AddressKind,
    host: String,
) -> impl Iterator<Item = Target> + use<> {
    let (place, expect, ports) = (format!("{tenant}/{}", pod.tier), vec![agent(pod)], pod.ports.clone());
    ports.into_iter().flat_map(move |port| {
        TRANSPORTS.map(|transport| Target {
            place: place.clone(),
            by,
            transport,
            host: host.clone(),
            port,
            expect: expect.clone(),
            question: None,
        })
    })
}

/// Every workload of a tenant as a target, by those of its pods' own addresses of which this holds.
pub fn targets_of(tenant: &Tenant, family: impl Fn(&IpAddr) -> bool) -> Result<Vec<Target>, StepError> {
    Ok(targets_of_family(tenant.name(), workload(tenant)?, family))
}

/// As [`targets_of`], of what runs in a tenant.
pub fn targets_of_family(tenant: &str, deployed: &Deployed, family: impl Fn(&IpAddr) -> bool) -> Vec<Target> {
    let mut targets = Vec::new();
    for pod in &deployed.pods {
        for address in pod.addresses.iter().filter(|address| family(address)) {
            targets.extend(every_port(tenant, pod, AddressKind::PodAddress, address.to_string()));
        }
    }
    targets
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

/// The same, and whose it is as well: the control of a path from the first tenant to the second is that from the first
/// control tenant to the second. `first` says whether a tenant is the first of its kind.
pub fn by_tiers_and_direction(source: &Source, target: &Target, first: impl Fn(&str) -> bool) -> String {
    let which = |place: &str| {
        let tenant = place.split('/').next().unwrap_or_default();
        if first(tenant) { "the first" } else { "the second" }
    };
    format!("{}, of {} to {}", by_tiers(source, target), which(&source.place), which(&target.place))
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
    let twins = |result: &MatrixResult| {
        let mut twins: HashMap<String, Attempt> = HashMap::new();
        for twin in result.iter().map(|entry| attempt(&entry, key)) {
            // Where several vouch for one path, all of them must have been open: the worst of them counts.
            match twins.get(&twin.target) {
                Some(known) if known.verdict.kind() != VerdictKind::Open => {}
                _ => {
                    twins.insert(twin.target.clone(), twin);
                }
            }
        }
        twins
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
/// after. `key` says which paths are twins, and `vouches` says the same to whoever reads the evidence.
pub async fn between_controls(
    world: &World,
    fleet: &Fleet,
    tried: MatrixPlan,
    twins: MatrixPlan,
    within: std::time::Duration,
    key: impl Fn(&Source, &Target) -> String + Copy,
    vouches: &str,
) -> Result<(MatrixResult, Vec<Sandwich>), StepError> {
    let before = agents::until_open(fleet, &twins, within).await;
    let result = agents::until_judged(fleet, &tried, within).await;
    let after = agents::until_open(fleet, &twins, within).await;
    let open = |_: &Source, _: &Target| "OPEN".to_owned();
    record(world, &before, open, Some(ControlPhase::Before));
    record(world, &after, open, Some(ControlPhase::After));
    let sandwiches = sandwiches(&before, &result, &after, key)?;
    world.record(Evidence {
        title: "which control vouches for which path".to_owned(),
        body: EvidenceBody::Text {
            lines: vec![
                format!(
                    "{} paths that are to be closed, {} paths of controls",
                    result.probes(),
                    before.probes()
                ),
                vouches.to_owned(),
            ],
        },
    });
    Ok((result, sandwiches))
}

/// The words of accepted verdicts, as matrices have them.
pub fn words(accepted: &Accepted) -> String {
    accepted.iter().map(VerdictKind::word).collect::<Vec<_>>().join("|")
}

/// Evidence of a matrix whose targets are all different things: one table, a column each.
pub fn record_as_one(
    world: &World,
    result: &MatrixResult,
    expected: impl Fn(&Source, &Target) -> String,
    control: Option<ControlPhase>,
) {
    let mut rows: Vec<String> = Vec::new();
    let mut columns: Vec<String> = Vec::new();
    let column_of = |target: &Target| match target.port {
        0 => target.host.clone(),
        port => format!("{}:{port}/{} ({})", target.place, transport_word(target.transport), target.host),
    };
    for entry in result.iter() {
        if !rows.contains(&entry.source.place) {
            rows.push(entry.source.place.clone());
        }
        let column = column_of(entry.target);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let blank = vec![vec![String::new(); columns.len()]; rows.len()];
    let (mut cells, mut promised) = (blank.clone(), blank);
    for entry in result.iter() {
        let column_name = column_of(entry.target);
        let row = rows.iter().position(|row| *row == entry.source.place);
        let column = columns.iter().position(|column| *column == column_name);
        if let (Some(row), Some(column)) = (row, column) {
            entry.cell.verdict.kind().word().clone_into(&mut cells[row][column]);
            promised[row][column] = expected(entry.source, entry.target);
        }
    }
    let (phase, probes) = (phase_words(control), result.probes());
    world.record(Evidence {
        title: format!("{phase}each by its own address"),
        body: EvidenceBody::Matrix {
            caption: "each by its own address".to_owned(),
            rows,
            columns,
            cells,
            expected: promised,
            control,
            probes,
            took_us: micros(result.span().length()),
        },
    });
}

const fn phase_words(control: Option<ControlPhase>) -> &'static str {
    match control {
        None => "",
        Some(ControlPhase::Before) => "control before: ",
        Some(ControlPhase::After) => "control after: ",
    }
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
        let phase = phase_words(control);
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
                took_us: micros(result.span().length()),
            },
        });
    }
}
