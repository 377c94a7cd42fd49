//! All pairs at once: sources, targets, and what came of each.

use std::collections::BTreeMap;
use std::fmt;

use plimsoll_agent::protocol::{Arrival, Outcome, Pace, Transport};

use super::attempt::{Attempt, Span};
use super::verdict::{Verdict, VerdictKind};

/// How a target is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// The pod's own address.
    PodAddress,
    /// The service's cluster address.
    ServiceAddress,
    /// The service's name.
    ServiceName,
    /// The pod's name under a headless service.
    HeadlessName,
    /// Any other address or name.
    Given,
}

impl AddressKind {
    /// As a feature says it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::PodAddress => "pod address",
            Self::ServiceAddress => "service address",
            Self::ServiceName => "service name",
            Self::HeadlessName => "headless name",
            Self::Given => "address",
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The word for a transport, as in `8080/TCP`.
pub const fn transport_word(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp | Transport::Connect => "TCP",
        Transport::Udp => "UDP",
        Transport::Http => "HTTP",
        Transport::Dns => "DNS over UDP",
        Transport::DnsTcp => "DNS over TCP",
    }
}

/// Who tries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The agent's pod, `namespace/pod`.
    pub agent: String,
    /// What reports call it: `alpha/web`.
    pub place: String,
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// What reports call it: `bravo/api`.
    pub place: String,
    /// How it is addressed.
    pub by: AddressKind,
    /// How the probe travels.
    pub transport: Transport,
    /// The address or name that is dialled, or looked up.
    pub host: String,
    /// The port that is dialled; 0 for a look-up.
    pub port: u16,
    /// Who may answer, as `namespace/pod`: one pod, or all of a service. Empty if it is no agent.
    pub expect: Vec<String>,
    /// What to ask for, where the target is a name server rather than an agent.
    pub question: Option<String>,
}

impl Target {
    /// The name of this target in attempts and reports: equal for equal targets, whoever tries.
    pub fn label(&self) -> String {
        let transport = transport_word(self.transport);
        if self.transport.is_lookup() && self.port == 0 {
            return format!("{} by {transport}", self.host);
        }
        format!("{}:{}/{transport} by {}", self.place, self.port, self.by)
    }
}

/// Who tries what. Every source tries every target, unless it is taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatrixPlan {
    /// Rows.
    pub sources: Vec<Source>,
    /// Columns.
    pub targets: Vec<Target>,
    /// How long to try, and how often.
    pub pace: Pace,
    left_out: std::collections::BTreeSet<(usize, usize)>,
}

impl MatrixPlan {
    /// Every source tries every target.
    pub fn all_pairs(sources: Vec<Source>, targets: Vec<Target>) -> Self {
        Self { sources, targets, ..Self::default() }
    }

    /// With another pace.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Keeps only the pairs of which this holds.
    #[must_use]
    pub fn keep(mut self, keep: impl Fn(&Source, &Target) -> bool) -> Self {
        for (row, source) in self.sources.iter().enumerate() {
            for (column, target) in self.targets.iter().enumerate() {
                if !keep(source, target) {
                    self.left_out.insert((row, column));
                }
            }
        }
        self
    }

    /// Whether this pair is tried.
    pub fn tries(&self, source: &Source, target: &Target) -> bool {
        let row = self.sources.iter().position(|known| known == source);
        let column = self.targets.iter().position(|known| known == target);
        row.zip(column).is_some_and(|pair| !self.left_out.contains(&pair))
    }

    /// The pairs to try: row, column, and the number that makes the nonce.
    pub(super) fn pairs_of(&self, row: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let columns = self.targets.len();
        (0..columns)
            .filter(move |column| !self.left_out.contains(&(row, *column)))
            .filter_map(move |column| Some((column, u32::try_from(row * columns + column).ok()?)))
    }

    /// How many probes that makes.
    pub fn probes(&self) -> usize {
        (0..self.sources.len()).map(|row| self.pairs_of(row).count()).sum()
    }
}

/// What came of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The verdict of both ends together.
    pub verdict: Verdict,
    /// What the client reported, if it did.
    pub client: Option<Outcome>,
    /// What arrived at the other end, if it was asked.
    pub server: OtherEnd,
}

/// What the server end of a probe knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherEnd {
    /// It was not asked: the echo says it all, or there is no agent there.
    NotAsked,
    /// The nonce arrived.
    Arrived {
        /// At which agent.
        at: String,
        /// When, whence, how often.
        arrival: Arrival,
    },
    /// A SYN arrived, and its answer got lost.
    HalfOpen {
        /// At which agent.
        at: String,
    },
    /// It did not arrive.
    Nothing,
}

/// What came of a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixResult {
    plan: MatrixPlan,
    cells: BTreeMap<(usize, usize), Cell>,
    span: Span,
}

/// One pair with what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Who tried.
    pub source: &'a Source,
    /// What was tried.
    pub target: &'a Target,
    /// What came of it.
    pub cell: &'a Cell,
    span: Span,
}

impl MatrixResult {
    pub(super) fn new(plan: MatrixPlan, cells: BTreeMap<(usize, usize), Cell>, span: Span) -> Self {
        Self { plan, cells, span }
    }

    /// This result with what came of a later try of some of its pairs: of the same sources and targets, in the same
    /// order. The span covers both.
    #[must_use]
    pub fn and_then(mut self, later: Self) -> Self {
        self.cells.extend(later.cells);
        self.span.ended = later.span.ended;
        self
    }

    /// What was planned.
    pub fn plan(&self) -> &MatrixPlan {
        &self.plan
    }

    /// From before the first packet until all ends had answered.
    pub fn span(&self) -> Span {
        self.span
    }

    /// How many pairs were tried.
    pub fn probes(&self) -> usize {
        self.cells.len()
    }

    /// All pairs, by source, then by target.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.cells.iter().filter_map(|(&(row, column), cell)| {
            Some(Entry {
                source: self.plan.sources.get(row)?,
                target: self.plan.targets.get(column)?,
                cell,
                span: self.span,
            })
        })
    }

    /// The pairs of which this holds.
    pub fn select<'a>(
        &'a self,
        which: impl Fn(&Source, &Target) -> bool + 'a,
    ) -> impl Iterator<Item = Entry<'a>> {
        self.iter().filter(move |entry| which(entry.source, entry.target))
    }

    /// The verdict of one pair, by its names in reports.
    pub fn verdict(&self, source: &str, target: &str) -> Option<&Verdict> {
        self.iter()
            .find(|entry| entry.source.place == source && entry.target.label() == target)
            .map(|entry| &entry.cell.verdict)
    }

    /// How many pairs came to which verdict.
    pub fn tally(&self) -> BTreeMap<VerdictKind, usize> {
        let mut tally = BTreeMap::new();
        for cell in self.cells.values() {
            *tally.entry(cell.verdict.kind()).or_default() += 1;
        }
        tally
    }

    pub(super) fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        self.cells.get(&(row, column))
    }
}

impl Entry<'_> {
    /// This pair as an attempt. Its span is the whole matrix': that it lay within is all that is known for sure.
    pub fn attempt(&self) -> Attempt {
        Attempt {
            actor: self.source.place.clone(),
            target: self.target.label(),
            variant: None,
            verdict: self.cell.verdict.clone(),
            span: self.span,
            took_us: self.cell.client.as_ref().map(|outcome| outcome.took_us),
            evidence: self.cell.evidence(),
        }
    }
}

impl Cell {
    /// Both ends, as they told it.
    pub fn evidence(&self) -> serde_json::Value {
        let server = match &self.server {
            OtherEnd::NotAsked => serde_json::Value::Null,
            OtherEnd::Nothing => "nothing arrived".into(),
            OtherEnd::HalfOpen { at } => {
                format!("a SYN arrived at {at}, and the answer to it was lost").into()
            }
            OtherEnd::Arrived { at, arrival } => serde_json::json!({ "at": at, "arrival": arrival }),
        };
        serde_json::json!({ "client": self.client, "server": server })
    }
}
