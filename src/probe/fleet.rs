//! Many agents at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use plimsoll_agent::protocol::{Arrival, HalfOpen, Identity, Outcome, Probe, Reply, Request, Round};

use super::attempt::{Attempt, Moment, Span};
use super::judge;
use super::link::AgentError;
use super::matrix::{Cell, MatrixPlan, MatrixResult, OtherEnd, Source, Target};
use super::stream::AgentStream;
use super::verdict::Verdict;

/// What an agent and the way to it may take on top of a plan's deadline before the stream counts as broken.
const SLACK: Duration = Duration::from_secs(15);

/// The agents of many pods, each with its held stream. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    agents: BTreeMap<String, Arc<AgentStream>>,
}

/// What the server of one agent knows of a round.
struct Ledger {
    arrivals: BTreeMap<u32, Arrival>,
    half_open: Vec<HalfOpen>,
    complete: bool,
}

impl Fleet {
    /// The agents of these streams; none is opened yet.
    pub fn new(streams: impl IntoIterator<Item = AgentStream>) -> Self {
        let agents = streams.into_iter().map(|stream| (stream.name().to_owned(), Arc::new(stream))).collect();
        Self { agents }
    }

    /// Adds the agent of a pod, unless it is there already.
    pub fn enlist(&mut self, client: &kube::Client, namespace: &str, pod: &str) {
        self.agents
            .entry(format!("{namespace}/{pod}"))
            .or_insert_with(|| Arc::new(AgentStream::new(client.clone(), namespace, pod)));
    }

    /// Adds the agents of another fleet.
    pub fn join(&mut self, other: Self) {
        self.agents.extend(other.agents);
    }

    /// The agent of `namespace/pod`.
    pub fn agent(&self, name: &str) -> Option<&AgentStream> {
        self.agents.get(name).map(AsRef::as_ref)
    }

    /// Their names, `namespace/pod`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.agents.keys().map(String::as_str)
    }

    /// Opens all streams at once.
    ///
    /// # Errors
    /// All that could not be opened.
    pub async fn open(&self) -> Result<Vec<Identity>, Vec<AgentError>> {
        let opened = join_all(self.agents.values().map(|agent| agent.identity())).await;
        let (mut identities, mut errors) = (Vec::new(), Vec::new());
        for result in opened {
            match result {
                Ok(identity) => identities.push(identity),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(identities) } else { Err(errors) }
    }

    /// Ends all streams; the agents' drivers go with them.
    pub async fn close(&self) {
        join_all(self.agents.values().map(|agent| agent.close())).await;
    }

    /// Tries all pairs at once, then asks the other ends about those that came to nothing.
    ///
    /// Trouble with an agent is a PROBE_ERROR in its cells, never a denial.
    pub async fn run(&self, plan: MatrixPlan) -> MatrixResult {
        let began = Moment::now();
        let round = Round(rand::random());
        let rows = join_all((0..plan.sources.len()).map(|row| self.run_row(&plan, row, round))).await;
        let mut outcomes = BTreeMap::new();
        for (row, outcome) in rows.into_iter().enumerate() {
            for (column, index) in plan.pairs_of(row) {
                let told = match &outcome {
                    Ok(told) => told
                        .get(&index)
                        .cloned()
                        .ok_or_else(|| "the agent did not report this probe".to_owned()),
                    Err(error) => Err(error.to_string()),
                };
                outcomes.insert((row, column), (index, told));
            }
        }
        let ledgers = self.ask_other_ends(&plan, round, began, &outcomes).await;
        let addresses = self.addresses(&plan).await;
        let cells = outcomes
            .into_iter()
            .map(|((row, column), (index, told))| {
                let source = plan.sources.get(row).map(|source| source.agent.as_str()).unwrap_or_default();
                let address = addresses.get(source).copied();
                let expect =
                    plan.targets.get(column).map(|target| target.expect.as_slice()).unwrap_or_default();
                ((row, column), cell(index, told, address, expect, &ledgers))
            })
            .collect();
        MatrixResult::new(plan, cells, Span::since(began))
    }

    /// One probe, two-ended.
    pub async fn probe(&self, source: Source, target: Target) -> Attempt {
        let (actor, label) = (source.place.clone(), target.label());
        let result = self.run(MatrixPlan::all_pairs(vec![source], vec![target])).await;
        let attempt = result.iter().next().map(|entry| entry.attempt());
        match attempt {
            Some(attempt) => attempt,
            None => Attempt::make(actor, label, async { Verdict::probe_error("nothing was tried") }).await,
        }
    }

    fn get(&self, name: &str) -> Result<&AgentStream, AgentError> {
        self.agent(name).ok_or_else(|| AgentError::Unknown { pod: name.to_owned() })
    }

    /// One source's part. A stream that breaks half-way is opened again, once, and the part is tried afresh.
    async fn run_row(
        &self,
        plan: &MatrixPlan,
        row: usize,
        round: Round,
    ) -> Result<BTreeMap<u32, Outcome>, AgentError> {
        let Some(source) = plan.sources.get(row) else { return Ok(BTreeMap::new()) };
        let probes: Vec<_> = plan
            .pairs_of(row)
            .filter_map(|(column, index)| Some(plan.targets.get(column)?.to_probe(index)))
            .collect();
        if probes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let agent = self.get(&source.agent)?;
        let request = |id| Request::Plan { id, round, pace: plan.pace.clone(), probes: probes.clone() };
        let patience = Duration::from_millis(plan.pace.deadline_ms.into()) * 2 + SLACK;
        match converse(agent, &request, patience).await {
            Err(error) if error.is_connection() => converse(agent, &request, patience).await,
            other => other,
        }
    }

    /// Asks the servers of all pods that should have answered and were not heard, and of no others.
    async fn ask_other_ends(
        &self,
        plan: &MatrixPlan,
        round: Round,
        began: Moment,
        outcomes: &BTreeMap<(usize, usize), (u32, Result<Outcome, String>)>,
    ) -> BTreeMap<String, Result<Ledger, String>> {
        let wanted: BTreeSet<&str> = outcomes
            .iter()
            .filter(|(_, (_, told))| told.as_ref().is_ok_and(judge::needs_other_end))
            .filter_map(|((_, column), _)| plan.targets.get(*column))
            .flat_map(|target| target.expect.iter().map(String::as_str))
            .filter(|name| self.agents.contains_key(*name))
            .collect();
        let answers = wanted.into_iter().map(|name| async move {
            let ledger = match self.get(name) {
                Ok(agent) => ledger(agent, round, began).await,
                Err(error) => Err(error),
            };
            (name.to_owned(), ledger.map_err(|error| error.to_string()))
        });
        join_all(answers).await.into_iter().collect()
    }

    /// The sources' own addresses: half-open connections are told apart by them. Who is not connected has none to tell,
    /// and no connection is opened for that alone: from a cluster in trouble each could take its whole time to fail.
    async fn addresses(&self, plan: &MatrixPlan) -> BTreeMap<String, IpAddr> {
        let mut addresses = BTreeMap::new();
        for source in &plan.sources {
            if let Some(agent) = self.agent(&source.agent)
                && let Some(identity) = agent.connected().await
                && let Ok(address) = identity.address.parse()
            {
                addresses.insert(source.agent.clone(), address);
            }
        }
        addresses
    }
}

impl Target {
    pub(super) fn to_probe(&self, index: u32) -> Probe {
        Probe {
            index,
            transport: self.transport,
            host: self.host.clone(),
            port: self.port,
            expect: self.expect.clone(),
            question: self.question.clone(),
        }
    }
}

async fn converse(
    agent: &AgentStream,
    request: &(impl Fn(u32) -> Request + Send + Sync),
    patience: Duration,
) -> Result<BTreeMap<u32, Outcome>, AgentError> {
    let mut conversation = agent.ask(request).await?;
    let mut outcomes = BTreeMap::new();
    loop {
        match conversation.next(patience).await? {
            Reply::Result { outcome, .. } => {
                outcomes.insert(outcome.index, outcome);
            }
            _ => return Ok(outcomes),
        }
    }
}

async fn ledger(agent: &AgentStream, round: Round, began: Moment) -> Result<Ledger, AgentError> {
    let within_ms =
        u32::try_from(Moment::now().since(began).as_millis()).unwrap_or(u32::MAX).saturating_add(1);
    let mut conversation = agent.ask(|id| Request::Arrivals { id, round, within_ms }).await?;
    match conversation.next(SLACK).await? {
        Reply::Arrivals { arrivals, half_open, complete, .. } => Ok(Ledger {
            arrivals: arrivals.into_iter().map(|arrival| (arrival.index, arrival)).collect(),
            half_open,
            complete,
        }),
        other => Err(AgentError::Refused {
            pod: agent.name().to_owned(),
            why: format!("asked for arrivals, it said {other:?}"),
        }),
    }
}

/// Whose the half-open connections of a server are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    /// One comes from a port of ours, and nobody knows from which address we come: in that family, or at all.
    Perhaps(u16),
    Others,
}

fn whose_half_open(half_open: &[HalfOpen], address: Option<IpAddr>, ports: &[u16]) -> Whose {
    let mut whose = Whose::Others;
    for peer in half_open.iter().map(|it| it.peer).filter(|peer| ports.contains(&peer.port())) {
        let ip = peer.ip().to_canonical();
        match address {
            Some(address) if address == ip => return Whose::Ours,
            Some(address) if address.is_ipv4() == ip.is_ipv4() => {}
            _ => whose = Whose::Perhaps(peer.port()),
        }
    }
    whose
}

/// Puts both ends of one probe together. An end that cannot be asked, or that has forgotten, leaves the probe unjudged.
fn cell(
    index: u32,
    told: Result<Outcome, String>,
    address: Option<IpAddr>,
    expect: &[String],
    ledgers: &BTreeMap<String, Result<Ledger, String>>,
) -> Cell {
    let outcome = match told {
        Ok(outcome) => outcome,
        Err(why) => {
            return Cell { verdict: Verdict::probe_error(why), client: None, server: OtherEnd::NotAsked };
        }
    };
    let mut server = OtherEnd::NotAsked;
    let mut unknown = None;
    if judge::needs_other_end(&outcome) {
        for name in expect {
            match ledgers.get(name) {
                None => {}
                Some(Err(why)) => unknown = Some(why.clone()),
                Some(Ok(ledger)) => {
                    if let Some(arrival) = ledger.arrivals.get(&index) {
                        server = OtherEnd::Arrived { at: name.clone(), arrival: arrival.clone() };
                        break;
                    }
                    match whose_half_open(&ledger.half_open, address, &outcome.ports) {
                        Whose::Ours => {
                            server = OtherEnd::HalfOpen { at: name.clone() };
                            break;
                        }
                        Whose::Perhaps(port) => {
                            unknown = Some(format!(
                                "a connection from port {port} is half open at {name}, and the address of its source \
                                 is not known"
                            ));
                        }
                        Whose::Others => {}
                    }
                    if !ledger.complete {
                        unknown = Some(format!("too much arrived at {name} for it to remember"));
                    }
                    server = OtherEnd::Nothing;
                }
            }
        }
    }
    let verdict = match (&server, unknown) {
        (OtherEnd::Arrived { .. } | OtherEnd::HalfOpen { .. }, _) | (_, None) => {
            judge::of_both(&outcome.seen, &server)
        }
        (_, Some(why)) => Verdict::probe_error(format!("the other end could not tell: {why}")),
    };
    Cell { verdict, client: Some(outcome), server }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection whose answer was lost shows that the way there is open: it counts also where nobody can say whose
    /// it is, and then against any verdict.
    #[test]
    fn a_half_open_connection_of_unknown_source_leaves_nothing_told() {
        let half_open = |peer: &str| vec![HalfOpen { port: 8080, peer: peer.parse().unwrap() }];
        let whose = |peer, address: Option<&str>| {
            whose_half_open(&half_open(peer), address.map(|it| it.parse().unwrap()), &[40_001])
        };
        assert_eq!(whose("10.0.0.1:40001", Some("10.0.0.1")), Whose::Ours);
        assert_eq!(whose("[::ffff:10.0.0.1]:40001", Some("10.0.0.1")), Whose::Ours);
        assert_eq!(whose("10.0.0.2:40001", Some("10.0.0.1")), Whose::Others);
        assert_eq!(whose("10.0.0.1:40002", None), Whose::Others);
        assert_eq!(whose("10.0.0.1:40001", None), Whose::Perhaps(40_001));
        assert_eq!(whose("[fd00::1]:40001", Some("10.0.0.1")), Whose::Perhaps(40_001));
    }
}
