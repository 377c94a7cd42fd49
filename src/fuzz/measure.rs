//! A stage as measured, beside what the oracle says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::case::Placed;
use super::ground::World;
use crate::engine::ComparisonRow;
use crate::oracle::network_policy::{Flow, Forecast, Nonsense, Oracle, Protocol};
use crate::probe::{AddressKind, MatrixPlan, MatrixResult, Pace, Source, Target, Transport, VerdictKind};

/// A path that is not as the oracle says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deviation {
    /// In which stage of the case, from 0.
    pub stage: usize,
    /// Who called: `x/a`.
    pub from: String,
    /// Who was called.
    pub to: String,
    /// At which port.
    pub port: u16,
    /// Over which protocol.
    pub protocol: Protocol,
    /// What the oracle says, with its reason.
    pub expected: String,
    /// What was seen.
    pub seen: VerdictKind,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, port, protocol, expected, seen, .. } = self;
        write!(f, "expected {from} to {to}:{port}/{protocol} to be {expected}, saw {seen}")
    }
}

/// A path: caller, called, port and protocol.
pub type PathKey = (String, String, u16, Protocol);

/// What came of one stage.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// How many paths were compared.
    pub cells: usize,
    /// How many of them the oracle says are open.
    pub open: usize,
    /// How many paths the standard leaves open; they are not tried.
    pub undefined: usize,
    /// Paths that agreed only at a later look, and when that was, from the moment when the stage was sent.
    pub late: Vec<Duration>,
    /// Paths that did not agree until the deadline.
    pub deviations: Vec<Deviation>,
    /// Paths that could not be judged until the deadline.
    pub unclear: Vec<String>,
    /// What the oracle says of each path: caller, called, port, protocol, and whether it is open.
    pub expected: BTreeMap<PathKey, bool>,
    /// The matrix, as last seen.
    pub matrix: Option<MatrixResult>,
}

impl Measured {
    /// Whether every path was judged, and is as the oracle says.
    pub fn is_as_expected(&self) -> bool {
        self.deviations.is_empty() && self.unclear.is_empty()
    }

    /// How many paths are as the standard says, as a row of evidence under this name.
    pub fn compared(&self, name: String) -> ComparisonRow {
        let expected = format!("{} open, {} closed", self.open, self.cells - self.open);
        ComparisonRow {
            name,
            holds: self.is_as_expected(),
            seen: match self.deviations.len() + self.unclear.len() {
                0 => expected.clone(),
                other => format!("{other} paths otherwise"),
            },
            expected,
        }
    }
}

/// How patient a measurement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the moment when the stage was sent: a path that is wrong by then is wrong.
    pub deadline: Duration,
    /// A path must have been looked at so many times, however late it is.
    pub looks: usize,
}

const fn transport(protocol: Protocol) -> Option<Transport> {
    match protocol {
        Protocol::Tcp => Some(Transport::Tcp),
        Protocol::Udp => Some(Transport::Udp),
        Protocol::Sctp => None,
    }
}

const fn protocol(transport: Transport) -> Protocol {
    match transport {
        Transport::Udp => Protocol::Udp,
        _ => Protocol::Tcp,
    }
}

/// First look: an open path answers at once, a closed one costs no more than this.
fn brisk() -> Pace {
    Pace { deadline_ms: 450, attempts_ms: vec![0, 150, 300] }
}

/// Later looks: what is slow on a busy machine is heard.
fn patient() -> Pace {
    Pace { deadline_ms: 1_500, attempts_ms: vec![0, 250, 500, 1_000] }
}

/// Whether what was seen is what was said. A refusal is none of a policy's, for somebody listens on every port.
pub fn agrees(open: bool, seen: VerdictKind) -> bool {
    if open {
        seen == VerdictKind::Open
    } else {
        matches!(seen, VerdictKind::Dropped | VerdictKind::Rejected)
    }
}

/// Measures every path of a stage that was sent at `since`, and compares.
///
/// # Errors
/// The oracle cannot read one of the policies.
pub async fn measure(
    world: &World,
    placed: &Placed,
    number: usize,
    since: Instant,
    patience: Patience,
) -> Result<Measured, Nonsense> {
    let expected = Expected::of(world, placed)?;
    let plan = expected.plan(world, placed);
    let mut measured = Measured {
        cells: expected.cells.len(),
        open: expected.cells.values().filter(|forecast| forecast.is_open()).count(),
        undefined: expected.undefined,
        expected: expected.cells.iter().map(|(key, forecast)| (key.clone(), forecast.is_open())).collect(),
        ..Measured::default()
    };
    let mut result = world.fleet().run(plan.clone().with_pace(brisk())).await;
    let mut pause = Duration::from_millis(25);
    for look in 1.. {
        let wrong: BTreeSet<PathKey> = expected.wrong(&result);
        if wrong.is_empty() {
            break;
        }
        if since.elapsed() >= patience.deadline && look >= patience.looks {
            expected.tell(&result, &wrong, number, &mut measured);
            break;
        }
        // Between two looks at what is open and should not be nothing else passes any time.
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(800));
        let rest =
            plan.clone().with_pace(patient()).keep(|source, target| wrong.contains(&key(source, target)));
        result = result.and_then(world.fleet().run(rest).await);
        let still = expected.wrong(&result);
        measured.late.extend(wrong.difference(&still).map(|_| since.elapsed()));
    }
    measured.matrix = Some(result);
    Ok(measured)
}

pub(super) fn key(source: &Source, target: &Target) -> PathKey {
    (source.place.clone(), target.place.clone(), target.port, protocol(target.transport))
}

struct Expected {
    cells: BTreeMap<PathKey, Forecast>,
    undefined: usize,
}

impl Expected {
    fn of(world: &World, placed: &Placed) -> Result<Self, Nonsense> {
        let oracle = Oracle::new(&placed.scene)?;
        let (mut cells, mut undefined) = (BTreeMap::new(), 0);
        for (from, caller) in placed.places.iter().zip(&placed.scene.pods) {
            for (to, called) in placed.places.iter().zip(&placed.scene.pods) {
                for port in world.layout().ports_of(to) {
                    let flow = Flow {
                        from: (&caller.namespace, &caller.name),
                        to: (&called.namespace, &called.name),
                        protocol: port.protocol,
                        port: port.number,
                    };
                    let Some(forecast) = oracle.forecast(&flow) else { continue };
                    if forecast.is_defined() && transport(port.protocol).is_some() {
                        cells.insert((from.clone(), to.clone(), port.number, port.protocol), forecast);
                    } else {
                        undefined += 1;
                    }
                }
            }
        }
        Ok(Self { cells, undefined })
    }

    fn plan(&self, world: &World, placed: &Placed) -> MatrixPlan {
        let agents = || placed.places.iter().zip(&placed.scene.pods);
        let sources = agents().map(|(place, pod)| Source { agent: pod.place(), place: place.clone() });
        let targets = agents().flat_map(|(place, pod)| {
            world.layout().ports_of(place).iter().filter_map(|port| {
                Some(Target {
                    place: place.clone(),
                    by: AddressKind::PodAddress,
                    transport: transport(port.protocol)?,
                    host: pod.addresses.first()?.to_string(),
                    port: port.number,
                    expect: vec![pod.place()],
                    question: None,
                })
            })
        });
        MatrixPlan::all_pairs(sources.collect(), targets.collect())
            .keep(|source, target| self.cells.contains_key(&key(source, target)))
    }

    /// The paths that are not as they should be, those among them that cannot be judged included.
    fn wrong(&self, result: &MatrixResult) -> BTreeSet<PathKey> {
        let mut seen: BTreeMap<PathKey, VerdictKind> =
            result.iter().map(|entry| (key(entry.source, entry.target), entry.cell.verdict.kind())).collect();
        self.cells
            .iter()
            .filter(|(key, forecast)| {
                let seen = seen.remove(*key).unwrap_or(VerdictKind::ProbeError);
                !agrees(forecast.is_open(), seen)
            })
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn tell(&self, result: &MatrixResult, wrong: &BTreeSet<PathKey>, stage: usize, into: &mut Measured) {
        let mut told = BTreeSet::new();
        for entry in result.iter() {
            let key = key(entry.source, entry.target);
            let Some(forecast) = self.cells.get(&key).filter(|_| wrong.contains(&key)) else { continue };
            told.insert(key.clone());
            let (from, to, port, protocol) = key;
            let kind = entry.cell.verdict.kind();
            if kind.is_unclear() || kind == VerdictKind::Misrouted {
                into.unclear.push(format!("{from} to {to}:{port}/{protocol}: {}", entry.cell.verdict));
            } else {
                let expected = forecast.to_string();
                into.deviations.push(Deviation { stage, from, to, port, protocol, expected, seen: kind });
            }
        }
        for (from, to, port, protocol) in wrong.difference(&told) {
            into.unclear.push(format!("{from} to {to}:{port}/{protocol}: it was not tried"));
        }
    }
}
