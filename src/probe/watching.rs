//! Watching paths for a change: when does a new policy, or a new label, take effect?
//!
//! The agents probe at a fixed rate by their own clocks, so that no round trip to the harness blurs the time. Their
//! clocks are compared with ours at the start; the uncertainty of that comparison goes with every time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use plimsoll_agent::protocol::{Clocks, Reply, Request, Round, SeenKind, Watch, Watched};

use super::attempt::Moment;
use super::fleet::Fleet;
use super::judge;
use super::link::{AgentError, Conversation};
use super::matrix::{MatrixPlan, Source, Target};
use super::stream::AgentStream;
use super::verdict::{Accepted, Verdict, VerdictKind};

/// What agents and the ways to them may take on top of a watch's deadline.
const SLACK: Duration = Duration::from_secs(15);

/// How often the clocks are compared before a watch.
const COMPARISONS: usize = 4;

/// How to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// A sample is due every so often, whether or not the earlier ones have ended.
    pub every: Duration,
    /// Silence for this long makes a sample DROPPED.
    pub give_up: Duration,
    /// So many samples in a row with the same verdict settle a path.
    pub stable: u32,
    /// When to stop in any case.
    pub deadline: Duration,
}

impl Default for Cadence {
    /// 20 samples a second; a path has settled after half a second of agreement.
    fn default() -> Self {
        Self {
            every: Duration::from_millis(50),
            give_up: Duration::from_millis(400),
            stable: 10,
            deadline: Duration::from_secs(30),
        }
    }
}

/// A run of equal verdicts on one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// The verdict of every sample of the run.
    pub verdict: VerdictKind,
    /// When the first of them was due, on our clock.
    pub since: Moment,
    /// How many there were.
    pub samples: u32,
}

/// What came of watching one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPath {
    /// Who tried.
    pub source: Source,
    /// What was tried.
    pub target: Target,
    /// The verdicts, run by run.
    pub phases: Vec<Phase>,
    /// Whether it settled on an awaited verdict before the deadline.
    pub settled: bool,
    /// How far the times may be off: half the round trip by which the clocks were compared.
    pub uncertainty: Duration,
    /// Samples that were due, and those of them that could not be started in time.
    pub due: u32,
    /// See `due`.
    pub missed: u32,
    /// Set where the agent could not be asked.
    pub trouble: Option<String>,
    /// The last sample's verdict with its particulars.
    pub last: Option<Verdict>,
}

impl WatchedPath {
    /// When the verdict that it settled on began; `None` if it did not settle.
    pub fn settled_since(&self) -> Option<Moment> {
        self.phases.last().filter(|_| self.settled).map(|phase| phase.since)
    }

    /// How long after `change` it settled. Zero if the verdict was there before already.
    pub fn settled_after(&self, change: Moment) -> Option<Duration> {
        self.settled_since().map(|since| since.since(change))
    }
}

/// A watch that is running. Dropped, it ends.
#[derive(Debug)]
pub struct Watching {
    rows: Vec<Row>,
    plan: MatrixPlan,
    patience: Duration,
}

#[derive(Debug)]
struct Row {
    row: usize,
    begun: Result<Begun, AgentError>,
}

#[derive(Debug)]
struct Begun {
    conversation: Conversation,
    clock: Clock,
}

/// An agent's clock in terms of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Our clock and the agent's at the same instant, as near as can be told.
    ours: Moment,
    theirs_us: u64,
    pub(super) uncertainty: Duration,
}

impl Clock {
    /// The agent read its clock somewhere between our question and its answer.
    fn compare(asked: Moment, answered: Moment, theirs: Clocks) -> Self {
        let uncertainty = answered.since(asked) / 2;
        let ours = Moment::from_micros(asked.as_micros().midpoint(answered.as_micros()));
        Self { ours, theirs_us: theirs.monotonic_us, uncertainty }
    }

    pub(super) fn ours_of(self, theirs_us: u64) -> Moment {
        let ours = self.ours.as_micros();
        Moment::from_micros(if theirs_us >= self.theirs_us {
            ours.saturating_add(theirs_us - self.theirs_us)
        } else {
            ours.saturating_sub(self.theirs_us - theirs_us)
        })
    }
}

impl Fleet {
    /// Begins to watch all pairs of a plan, and returns once every agent has begun. Each pair's watch ends when it has
    /// settled on one of `until`.
    pub async fn watch(&self, plan: MatrixPlan, until: &Accepted, cadence: &Cadence) -> Watching {
        let watch = Watch {
            every_ms: millis(cadence.every),
            give_up_ms: millis(cadence.give_up),
            until: seen_kinds(until),
            stable: cadence.stable,
            deadline_ms: millis(cadence.deadline),
        };
        let round = Round(rand::random());
        let rows = (0..plan.sources.len()).map(|row| {
            let (plan, watch) = (&plan, &watch);
            async move { Row { row, begun: self.begin(plan, row, round, watch).await } }
        });
        let rows = join_all(rows).await;
        Watching { rows, plan, patience: cadence.deadline + cadence.give_up + SLACK }
    }

    async fn begin(
        &self,
        plan: &MatrixPlan,
        row: usize,
        round: Round,
        watch: &Watch,
    ) -> Result<Begun, AgentError> {
        let name = plan.sources.get(row).map(|source| source.agent.as_str()).unwrap_or_default();
        let agent = self.agent(name).ok_or_else(|| AgentError::Unknown { pod: name.to_owned() })?;
        let probes: Vec<_> = plan
            .pairs_of(row)
            .filter_map(|(column, index)| Some(plan.targets.get(column)?.to_probe(index)))
            .collect();
        // A stream that has to be opened first would count as the clocks' distance.
        agent.identity().await?;
        let watch = |id| Request::Watch { id, round, probes: probes.clone(), watch: watch.clone() };
        let conversation = agent.ask(watch).await?;
        // Requests are taken in order: the answer to this one says that the watch has begun.
        let clock = compare(agent).await?;
        Ok(Begun { conversation, clock })
    }
}

/// The comparison with the shortest round trip of a few: the others were held up somewhere.
pub(super) async fn compare(agent: &AgentStream) -> Result<Clock, AgentError> {
    let mut best = compare_once(agent).await?;
    for _ in 1..COMPARISONS {
        let next = compare_once(agent).await?;
        if next.uncertainty < best.uncertainty {
            best = next;
        }
    }
    Ok(best)
}

async fn compare_once(agent: &AgentStream) -> Result<Clock, AgentError> {
    let asked = Moment::now();
    let mut conversation = agent.ask(|id| Request::Ping { id }).await?;
    match conversation.next(SLACK).await? {
        Reply::Pong { clocks, .. } => Ok(Clock::compare(asked, Moment::now(), clocks)),
        other => Err(AgentError::Refused {
            pod: agent.name().to_owned(),
            why: format!("asked for its clocks, it said {other:?}"),
        }),
    }
}

impl Watching {
    /// Waits until every pair has settled or its deadline has passed.
    pub async fn settled(self) -> Vec<WatchedPath> {
        let Self { rows, plan, patience } = self;
        let plan = &plan;
        let rows = rows.into_iter().map(|row| async move { row.finish(plan, patience).await });
        join_all(rows).await.into_iter().flatten().collect()
    }

    /// Ends all watches now, and reports what they have seen.
    pub async fn stop(self) -> Vec<WatchedPath> {
        for row in &self.rows {
            if let Ok(begun) = &row.begun {
                // A stream that has ended shows when its replies are waited for.
                let _ = begun.conversation.cancel();
            }
        }
        self.settled().await
    }
}

impl Row {
    async fn finish(self, plan: &MatrixPlan, patience: Duration) -> Vec<WatchedPath> {
        let row = self.row;
        let (watched, trouble, clock) = match self.begun {
            Err(error) => (BTreeMap::new(), Some(error.to_string()), None),
            Ok(mut begun) => {
                let (watched, trouble) = collect(&mut begun.conversation, patience).await;
                (watched, trouble, Some(begun.clock))
            }
        };
        plan.pairs_of(row)
            .filter_map(|(column, index)| {
                let (source, target) = (plan.sources.get(row)?, plan.targets.get(column)?);
                Some(path(source, target, watched.get(&index).zip(clock), trouble.as_deref()))
            })
            .collect()
    }
}

async fn collect(
    conversation: &mut Conversation,
    patience: Duration,
) -> (BTreeMap<u32, Watched>, Option<String>) {
    let mut all = BTreeMap::new();
    loop {
        match conversation.next(patience).await {
            Ok(Reply::Watched { watched, .. }) => {
                all.insert(watched.index, watched);
            }
            Ok(_) => return (all, None),
            Err(error) => return (all, Some(error.to_string())),
        }
    }
}

fn path(
    source: &Source,
    target: &Target,
    seen: Option<(&Watched, Clock)>,
    trouble: Option<&str>,
) -> WatchedPath {
    let mut path = WatchedPath {
        source: source.clone(),
        target: target.clone(),
        phases: Vec::new(),
        settled: false,
        uncertainty: Duration::ZERO,
        due: 0,
        missed: 0,
        trouble: None,
        last: None,
    };
    let Some((watched, clock)) = seen else {
        path.trouble = Some(trouble.unwrap_or("the agent did not report this path").to_owned());
        return path;
    };
    path.settled = watched.settled;
    path.uncertainty = clock.uncertainty;
    (path.due, path.missed) = (watched.due, watched.missed);
    path.last = watched.last.as_ref().map(judge::of_client);
    path.phases = watched
        .changes
        .iter()
        .map(|change| Phase {
            verdict: verdict_kind(change.to),
            since: clock.ours_of(watched.started.monotonic_us.saturating_add(change.at_us)),
            samples: change.samples,
        })
        .collect();
    path
}

/// What a client's word comes to without particulars. A watch asks no other end: it times what the client sees.
const fn verdict_kind(seen: SeenKind) -> VerdictKind {
    match seen {
        SeenKind::Echo | SeenKind::Accepted | SeenKind::Resolved => VerdictKind::Open,
        SeenKind::Misrouted | SeenKind::Stranger => VerdictKind::Misrouted,
        SeenKind::Silence => VerdictKind::Dropped,
        SeenKind::Refused => VerdictKind::Refused,
        SeenKind::Rejected => VerdictKind::Rejected,
        SeenKind::Unresolved => VerdictKind::DnsFailed,
        // Which HTTP answer it was is among the particulars; without them it is nothing to settle on.
        SeenKind::Http | SeenKind::Trouble => VerdictKind::ProbeError,
    }
}

fn seen_kinds(until: &Accepted) -> Vec<SeenKind> {
    const ALL: [SeenKind; 11] = [
        SeenKind::Echo,
        SeenKind::Accepted,
        SeenKind::Misrouted,
        SeenKind::Stranger,
        SeenKind::Resolved,
        SeenKind::Http,
        SeenKind::Silence,
        SeenKind::Refused,
        SeenKind::Rejected,
        SeenKind::Unresolved,
        SeenKind::Trouble,
    ];
    ALL.into_iter().filter(|kind| until.contains(verdict_kind(*kind))).collect()
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the delay is, and however it is spread over both ways: a time is told within its uncertainty.
        #[test]
        fn clocks_are_compared_within_the_uncertainty(asked in 0u64..1_000_000, there in 0u64..50_000, back in 0u64..50_000,
                                                       offset in 0u64..1_000_000_000, later in 0u64..10_000_000) {
            let theirs = Clocks { monotonic_us: asked + there + offset, wall_us: 0 };
            let clock = Clock::compare(Moment::from_micros(asked), Moment::from_micros(asked + there + back), theirs);
            let told = clock.ours_of(asked + later + offset).as_micros();
            let error = told.abs_diff(asked + later);
            prop_assert!(Duration::from_micros(error) <= clock.uncertainty + Duration::from_micros(1));
        }
    }

    #[test]
    fn closed_is_awaited_by_what_a_client_can_see() {
        assert_eq!(seen_kinds(&Accepted::closed()), [SeenKind::Silence, SeenKind::Rejected]);
        assert_eq!(
            seen_kinds(&Accepted::only(VerdictKind::Open)),
            [SeenKind::Echo, SeenKind::Accepted, SeenKind::Resolved]
        );
    }
}
