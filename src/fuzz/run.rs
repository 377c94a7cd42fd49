//! Many cases on one cluster, in worlds side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join};
use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde::Serialize;
use thiserror::Error;

use super::case::{Case, Layout, Stage};
use super::ground::{Equipment, Moved, World, remove_namespaces};
use super::marker::{Marker, Watchtower};
use super::measure::{Deviation, Measured, Patience, measure};
use super::progress::{Entered, Looked, Progress};
use super::shrink::{Bounds, Judge, Shrunk, shrink};
use super::strategy;
use crate::cluster::ClusterError;
use crate::oracle::network_policy::Nonsense;

/// Why a case could not be tried.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The cluster or the way to it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A policy that means nothing.
    #[error("the case has a policy that means nothing: {0}")]
    Nonsense(#[from] Nonsense),
    /// The case could not be made.
    #[error("the case could not be made: {0}")]
    Generator(String),
}

/// Where cases come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Made at random.
    Generated {
        /// Equal seeds make equal cases.
        seed: u64,
        /// How many.
        cases: usize,
    },
    /// Given, with the world that they live in.
    Given {
        /// The world.
        layout: Layout,
        /// The cases.
        cases: Vec<Case>,
    },
}

impl Source {
    /// How many cases.
    pub fn count(&self) -> usize {
        match self {
            Self::Generated { cases, .. } => *cases,
            Self::Given { cases, .. } => cases.len(),
        }
    }

    /// The world that they live in.
    pub fn layout(&self) -> Layout {
        match self {
            Self::Generated { .. } => strategy::layout(),
            Self::Given { layout, .. } => layout.clone(),
        }
    }

    /// What the case of a number is called, without making it.
    pub fn name(&self, number: usize) -> String {
        match self {
            Self::Generated { seed, .. } => format!("case {} of seed {seed}", number + 1),
            Self::Given { cases, .. } => {
                let name = cases.get(number).map_or("", |case| case.name.as_str());
                format!("case {}: {name}", number + 1)
            }
        }
    }

    fn case(&self, number: usize) -> Result<(Case, Option<Box<dyn ValueTree<Value = Case>>>), Trouble> {
        match self {
            Self::Generated { seed, .. } => {
                let tree = generate(*seed, number).map_err(Trouble::Generator)?;
                Ok((tree.current(), Some(tree)))
            }
            Self::Given { cases, .. } => {
                let case = cases.get(number).cloned();
                case.map(|case| (case, None)).ok_or_else(|| Trouble::Generator("there is none".to_owned()))
            }
        }
    }
}

/// The case of that number, with the way in which it shrinks. The same seed and number always make the same case,
/// whatever else runs.
pub fn generate(seed: u64, number: usize) -> Result<Box<dyn ValueTree<Value = Case>>, String> {
    let mut bytes = [0; 32];
    let number_bytes = u64::try_from(number).unwrap_or(u64::MAX).to_le_bytes();
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&number_bytes);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = strategy::cases().new_tree(&mut runner).map_err(|reason| reason.to_string())?;
    Ok(Box::new(tree))
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// What worlds are made with.
    pub equipment: Equipment,
    /// How their namespaces' names begin.
    pub prefix: String,
    /// The cases.
    pub source: Source,
    /// The number of the first that is tried, from 0.
    pub from: usize,
    /// How many worlds stand side by side.
    pub parallel: usize,
    /// How long a policy may take to be in force everywhere.
    pub convergence: Duration,
    /// How much may be spent on making a case smaller; nothing is, where `None`.
    pub bounds: Option<Bounds>,
}

/// What came of all cases together.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Cases that were compared to the end.
    pub cases: usize,
    /// Stages that were measured.
    pub stages: usize,
    /// Paths that were compared.
    pub paths: usize,
    /// Paths that the oracle says are open.
    pub open: usize,
    /// Paths that it says are closed.
    pub closed: usize,
    /// Paths that the standard leaves open, which were not tried.
    pub undefined: usize,
    /// Paths that agreed only at a later look.
    pub late: usize,
    /// The latest of them, in milliseconds from the moment when its stage was sent.
    pub latest_ms: u64,
    /// How long markers took to be in force, in milliseconds: median.
    pub in_force_p50_ms: u64,
    /// And the longest.
    pub in_force_max_ms: u64,
    /// Markers that were not in force when the policy deadline had passed.
    pub markers_missed: usize,
    /// How long the worlds took to stand, in milliseconds.
    pub set_up_ms: u64,
    /// How long the cases took, in milliseconds.
    pub took_ms: u64,
    /// Cases a minute, the setting up not included.
    pub cases_a_minute: u64,
}

/// A case that disagrees.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// Its number, from 0.
    pub number: usize,
    /// As it was made smaller, or as it is if it was not.
    pub shrunk: Shrunk,
    /// What it was before.
    pub original: Case,
}

/// What came of an order.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In numbers.
    pub tally: Tally,
    /// Cases that disagree. After the first, no further case is begun.
    pub disagreements: Vec<Disagreement>,
    /// Why something could not be told.
    pub troubles: Vec<String>,
    /// What was measured, stage by stage, if that was asked for.
    pub measured: Vec<(Case, usize, Measured)>,
}

/// Namespaces that were made or are about to be, so that they can be removed whatever happens.
#[derive(Clone, Debug, Default)]
pub struct Made(Arc<Mutex<BTreeSet<String>>>);

impl Made {
    pub(super) fn note(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// All of them.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Removes everything that an order has made; what stays comes back with its reason.
///
/// # Errors
/// The cluster cannot be asked.
pub async fn clean_up(
    equipment: &Equipment,
    within: Duration,
) -> Result<Vec<(String, String)>, ClusterError> {
    let names = equipment.made.names();
    if names.is_empty() { Ok(Vec::new()) } else { remove_namespaces(equipment, &names, Some(within)).await }
}

#[derive(Default)]
struct Shared {
    next: AtomicUsize,
    done: AtomicUsize,
    over: AtomicBool,
    in_force: Mutex<Vec<Duration>>,
    missed: AtomicUsize,
    /// The latest path that agreed, in milliseconds.
    latest: AtomicUsize,
}

/// One world with its markers.
struct Lane<'a> {
    world: World,
    marker: Marker,
    tower: &'a Watchtower,
    shared: &'a Shared,
}

/// Sets worlds up, runs the cases, and makes what disagrees smaller. It removes nothing: see [`clean_up`].
///
/// # Errors
/// The worlds cannot be set up.
pub async fn run(order: &Order, keep: bool, show: &dyn Fn(Progress)) -> Result<Report, Trouble> {
    let began = Instant::now();
    let cases = order.source.count().saturating_sub(order.from);
    let lanes = order.parallel.clamp(1, 64).min(cases.max(1));
    let towers =
        Watchtower::set_up(order.equipment.clone(), &order.prefix, u16::try_from(lanes).unwrap_or(1));
    let worlds = futures::future::try_join_all((0..lanes).map(|lane| {
        World::set_up(order.equipment.clone(), order.source.layout(), format!("{}-{lane}", order.prefix))
    }));
    let (tower, worlds) = try_join(towers, worlds).await?;
    let set_up = began.elapsed();
    let pods =
        worlds.iter().map(|world| world.ground().pods.len()).sum::<usize>() + tower.fleet().names().count();
    show(Progress::Standing { pods, took: set_up });

    let (shared, began) = (Shared::default(), Instant::now());
    let reports = join_all(worlds.into_iter().enumerate().map(|(number, world)| {
        let marker = Watchtower::marker(u16::try_from(number).unwrap_or_default());
        let lane = Lane { world, marker, tower: &tower, shared: &shared };
        work(lane, order, keep, show)
    }))
    .await;
    let took = began.elapsed();

    let mut report = Report::default();
    for one in reports {
        report.add(one);
    }
    let tally = &mut report.tally;
    let mut in_force = std::mem::take(&mut *shared.in_force.lock().unwrap_or_else(PoisonError::into_inner));
    in_force.sort_unstable();
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    tally.in_force_p50_ms = in_force.get(in_force.len() / 2).copied().map_or(0, ms);
    tally.in_force_max_ms = in_force.last().copied().map_or(0, ms);
    tally.markers_missed = shared.missed.load(Ordering::Relaxed);
    tally.set_up_ms = ms(set_up);
    tally.took_ms = ms(took);
    tally.cases_a_minute = (tally.cases as u64 * 60_000).checked_div(tally.took_ms).unwrap_or_default();
    tower.fleet().close().await;
    Ok(report)
}

impl Report {
    fn add(&mut self, other: Self) {
        let (tally, more) = (&mut self.tally, other.tally);
        tally.cases += more.cases;
        tally.stages += more.stages;
        tally.paths += more.paths;
        tally.open += more.open;
        tally.closed += more.closed;
        tally.undefined += more.undefined;
        tally.late += more.late;
        tally.latest_ms = tally.latest_ms.max(more.latest_ms);
        self.disagreements.extend(other.disagreements);
        self.troubles.extend(other.troubles);
        self.measured.extend(other.measured);
    }

    /// What keeps agreement from proving anything, if there is something: cases that are all open or all closed, or
    /// markers that never came into force.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = self.troubles.clone();
        if self.disagreements.is_empty() {
            if self.tally.markers_missed > 0 {
                doubts.push(format!(
                    "{} times a policy that was sent last was not in force when its deadline had passed",
                    self.tally.markers_missed
                ));
            }
            if self.tally.open == 0 || self.tally.closed == 0 {
                doubts.push(format!(
                    "of {} paths {} should be open and {} closed: that shows nothing",
                    self.tally.paths, self.tally.open, self.tally.closed
                ));
            }
        }
        doubts
    }
}

async fn work(mut lane: Lane<'_>, order: &Order, keep: bool, show: &dyn Fn(Progress)) -> Report {
    let mut report = Report::default();
    let all = order.source.count().saturating_sub(order.from);
    // What the world was in before, since a disagreement may come from what was there.
    let mut before = Stage::default();
    while !lane.shared.over.load(Ordering::Relaxed) {
        let number = order.from + lane.shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= order.source.count() {
            break;
        }
        match one_case(&mut lane, order, number, &before, keep, &mut report, show).await {
            Ok(last) => before = last,
            Err(trouble) => {
                report.troubles.push(format!("case {}: {trouble}", number + 1));
                show(Progress::Stuck { number, why: trouble.to_string() });
                // The world is not what it is thought to be any more.
                break;
            }
        }
        let done = lane.shared.done.fetch_add(1, Ordering::Relaxed) + 1;
        show(Progress::Compared { done, all });
    }
    lane.world.fleet().close().await;
    report
}

/// Compares one case, and makes it smaller if it disagrees. Returns the stage that the world is in afterwards.
async fn one_case(
    lane: &mut Lane<'_>,
    order: &Order,
    number: usize,
    before: &Stage,
    keep: bool,
    report: &mut Report,
    show: &dyn Fn(Progress),
) -> Result<Stage, Trouble> {
    show(Progress::Begins { number });
    let (case, tree) = order.source.case(number)?;
    let patience = Patience { deadline: order.convergence, looks: 3 };
    let mut looked = Looked { number, case: case.clone(), before: before.clone(), stages: Vec::new() };
    let enters = |at: Option<usize>, stage: &Stage| {
        let entered = Entered { number, at, of: case.stages.len(), stage: stage.clone() };
        show(Progress::Enters(Box::new(entered)));
    };
    if *before != Stage::default() {
        enters(None, before);
    }
    for (at, stage) in case.stages.iter().enumerate() {
        enters(Some(at), stage);
        let measured = lane.stage(stage, at, patience).await?;
        report.tally.count(&measured);
        lane.shared.hear(&measured);
        report.troubles.extend(measured.unclear.iter().map(|it| format!("case {}: {it}", number + 1)));
        if keep {
            report.measured.push((case.clone(), at, measured.clone()));
        }
        looked.stages.push(measured);
        if !looked.deviations().is_empty() {
            break;
        }
    }
    report.tally.cases += 1;
    let last = case.stages.last().cloned().unwrap_or_default();
    let deviations = looked.deviations().to_vec();
    if !deviations.is_empty() {
        // Nobody begins another case: what is found is to be understood first.
        lane.shared.over.store(true, Ordering::Relaxed);
    }
    let as_it_is = Shrunk { case: case.clone(), deviations, tries: 0, complete: false };
    if as_it_is.deviations.is_empty() {
        show(Progress::Looked(Box::new(looked)));
        return Ok(last);
    }
    let found = looked.found();
    show(Progress::Looked(Box::new(looked)));
    let shrunk = match order.bounds {
        Some(bounds) => match make_smaller(lane, order, &as_it_is, before, tree, bounds, show).await {
            Ok(shrunk) if shrunk.tries > 0 => shrunk,
            Ok(_) => found,
            // It disagrees all the same.
            Err(trouble) => {
                report.troubles.push(format!("case {}, made smaller: {trouble}", number + 1));
                found
            }
        },
        None => found,
    };
    show(Progress::Understood { number, shrunk: Box::new(shrunk.clone()) });
    report.disagreements.push(Disagreement { number, shrunk, original: case });
    Ok(last)
}

/// Makes a case smaller, and confirms the result with all patience. What cannot be confirmed stays as it was.
async fn make_smaller(
    lane: &mut Lane<'_>,
    order: &Order,
    found: &Shrunk,
    before: &Stage,
    tree: Option<Box<dyn ValueTree<Value = Case>>>,
    bounds: Bounds,
    show: &dyn Fn(Progress),
) -> Result<Shrunk, Trouble> {
    // As long as whatever agreed late has taken so far, several times over; never longer than the deadline.
    let latest = u64::try_from(lane.shared.latest.load(Ordering::Relaxed)).unwrap_or_default();
    let brisk = Duration::from_millis(latest * 3).clamp(Duration::from_millis(900), order.convergence);
    let brisk = Patience { deadline: brisk, looks: 2 };
    let full = Patience { deadline: order.convergence, looks: 3 };
    let mut trial = Trial { lane, patience: brisk, context: None, show };
    let mut start = found.clone();
    let mut tree = tree;
    if trial.judge(&found.case).await?.is_empty() {
        // It needs what was there before: that becomes its first stage, and the generator's way is not known for it.
        let mut longer = found.case.clone();
        longer.stages.insert(0, before.clone());
        let deviations = trial.judge(&longer).await?;
        if deviations.is_empty() {
            return Ok(found.clone());
        }
        start = Shrunk { case: longer, deviations, tries: 2, complete: false };
        tree = None;
    }
    let from = (start.case.clone(), start.deviations.clone());
    let tree = tree.as_deref_mut().map(|tree| tree as &mut dyn ValueTree<Value = Case>);
    let mut shrunk = shrink(tree, from, bounds, &mut trial).await?;
    trial.patience = full;
    let deviations = trial.judge(&shrunk.case).await?;
    if deviations.is_empty() {
        return Ok(start);
    }
    shrunk.deviations = deviations;
    Ok(shrunk)
}

/// Tries cases from an empty world, one after the other.
struct Trial<'a, 'b> {
    lane: &'a mut Lane<'b>,
    patience: Patience,
    context: Option<(usize, usize)>,
    show: &'a dyn Fn(Progress),
}

impl Judge for Trial<'_, '_> {
    type Trouble = Trouble;

    async fn judge(&mut self, case: &Case) -> Result<Vec<Deviation>, Trouble> {
        let empty = self.lane.empty();
        self.lane.enter(&empty, self.patience.deadline).await?;
        for (at, stage) in case.stages.iter().enumerate() {
            let measured = self.lane.stage(stage, at, self.patience).await?;
            if !measured.deviations.is_empty() {
                let size = case.size();
                if self.context.replace(size) != Some(size) {
                    (self.show)(Progress::Smaller { policies: size.0, rules: size.1 });
                }
                return Ok(measured.deviations);
            }
        }
        Ok(Vec::new())
    }
}

impl Lane<'_> {
    /// The world without labels and policies.
    fn empty(&self) -> Stage {
        let layout = self.world.layout();
        Stage {
            namespaces: layout.namespaces.iter().map(|name| (name.clone(), BTreeMap::new())).collect(),
            pods: layout.pods.keys().map(|place| (place.clone(), BTreeMap::new())).collect(),
            policies: Vec::new(),
        }
    }

    /// Puts the world into a stage and waits until a marker says that it is in force. Returns since when it is sent.
    async fn enter(&mut self, stage: &Stage, within: Duration) -> Result<Instant, Trouble> {
        let moved: Moved = self.world.enter(stage).await?;
        let sent = Instant::now();
        if moved.any() {
            match self.tower.mark(&mut self.marker, moved, within).await? {
                Some(took) => {
                    self.shared.in_force.lock().unwrap_or_else(PoisonError::into_inner).push(took);
                }
                None => {
                    self.shared.missed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(sent)
    }

    async fn stage(&mut self, stage: &Stage, number: usize, patience: Patience) -> Result<Measured, Trouble> {
        let sent = self.enter(stage, patience.deadline).await?;
        let placed = self.world.placed(stage);
        Ok(measure(&self.world, &placed, number, sent, patience).await?)
    }
}

impl Shared {
    fn hear(&self, measured: &Measured) {
        if let Some(latest) = measured.late.iter().max() {
            let latest = usize::try_from(latest.as_millis()).unwrap_or(usize::MAX);
            self.latest.fetch_max(latest, Ordering::Relaxed);
        }
    }
}

impl Tally {
    fn count(&mut self, measured: &Measured) {
        self.stages += 1;
        self.paths += measured.cells;
        self.open += measured.open;
        self.closed += measured.cells - measured.open;
        self.undefined += measured.undefined;
        self.late += measured.late.len();
        let latest = measured.late.iter().max().copied().unwrap_or_default();
        self.latest_ms = self.latest_ms.max(u64::try_from(latest.as_millis()).unwrap_or(u64::MAX));
    }
}
