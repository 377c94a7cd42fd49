//! Breaking, looking who notices, mending.
//!
//! Sabotages of the blueprint harm nobody but the tenants of their own run, so that several run side by side. One of
//! the cluster is everybody's, so that each has the platform for itself. No run ever sees two sabotages: what turns a
//! scenario red is the one that is graded.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Sabotage, SabotageError,
    grade::{alarms, judge, not_effective},
    hold::{Hold, Taken},
    lane::{Ground, Lane},
    ledger, platform,
};
use crate::{
    catalog::Catalog,
    cluster::{self, Cluster, PeerClusters, RunId, SweepSelection},
    engine::Plan,
    profile::LoadedPlatform,
    report::{GRADE_SCHEMA, Grade, Graded, Model, Sound},
    tenant::AgentImage,
};

/// So many runs may still be removing their tenants while others go on.
const LEAVING: usize = 12;

/// What is to be graded, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// The features.
    pub catalog: Arc<Catalog>,
    /// The sound platform.
    pub platform: Arc<LoadedPlatform>,
    /// The agent's image.
    pub image: AgentImage,
    /// The other clusters of the fleet.
    pub peers: PeerClusters,
    /// The command as typed, for the journals.
    pub command: Vec<String>,
    /// What is broken.
    pub sabotages: Vec<Sabotage>,
    /// How often the scenarios are run on the sound platform before anything is broken.
    pub sound_runs: usize,
    /// Where edited blueprints and the journals of the runs go.
    pub directory: PathBuf,
    /// Seed of all randomness.
    pub seed: u64,
    /// Scenarios at the same time, in each run.
    pub concurrency: usize,
    /// Runs at the same time, where they cannot disturb each other.
    pub lanes: usize,
}

/// Told as it goes on.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Somebody had died at work; these objects have been put back, and these runs removed.
    Restored(Vec<String>, Vec<String>),
    /// The sound platform: run, runs, scenarios that did not pass.
    Sound(usize, usize, usize),
    /// It needs something that there is not: name, what it lacks.
    NotTried(String, String),
    /// The platform is being broken by this one.
    Breaking(String),
    /// It is broken, and the scenarios run.
    Broken(String),
    /// The scenarios are over, and it is being put back.
    Mending(String),
    /// It is as it was.
    Mended(String),
    /// What became of one: index, number of all, verdict.
    Judged(usize, usize, Graded),
}

/// Where progress is told.
pub type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// Breaks, runs the scenarios that must notice, mends, and proves that it is mended. Ends early, and in order, where
/// `stop` is cancelled.
pub async fn run(
    cluster: &Cluster,
    order: &Order,
    stop: &CancellationToken,
    tell: Tell,
) -> Result<Grade, SabotageError> {
    if !order.platform.platform.spec.expendable {
        let profile = order.platform.platform.metadata.name.clone();
        return Err(SabotageError::NotExpendable { profile });
    }
    let begun = Instant::now();
    let started = Timestamp::now();
    let server = cluster.server_info().await?;
    let ids: Vec<RunId> = (0..order.sabotages.len() + order.sound_runs).map(|_| RunId::random()).collect();
    let runs: Vec<String> = ids.iter().map(RunId::to_string).collect();
    let Taken { hold, orphans } = Hold::take(cluster, &runs).await?;
    let ground = Arc::new(Ground {
        cluster: cluster.clone(),
        peers: order.peers.clone(),
        catalog: Arc::clone(&order.catalog),
        image: order.image.clone(),
        command: order.command.clone(),
        concurrency: order.concurrency,
        runs: order.directory.join("runs"),
        stop: stop.child_token(),
    });
    let mut work = Work { cluster, order, ground, ids, graded: Vec::new(), not_tried: BTreeMap::new(), tell };
    let worked = tokio::select! {
        biased;
        () = hold.lost().cancelled() => {
            let why = "its lease was taken by somebody else, or could not be renewed".to_owned();
            Err(SabotageError::HoldLost { why })
        }
        worked = work.all(&orphans) => worked,
    };
    let (sound, complete) = match worked {
        Ok(worked) => worked,
        // Somebody else is at work there: nothing is ours to put back any more.
        Err(error @ SabotageError::HoldLost { .. }) => return Err(error),
        Err(error) => {
            // What could not be put back stays recorded, and the next start tries again.
            hold.release().await?;
            return Err(error);
        }
    };
    hold.release().await?;
    let mut grade = Grade {
        schema: GRADE_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: order.platform.platform.metadata.name.clone(),
        profile_sha256: order.platform.sha256.clone(),
        context: cluster.context().to_owned(),
        server_version: server.version,
        started: Timestamp::from_second(started.as_second()).unwrap_or(started).to_string(),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        seed: order.seed,
        complete,
        sabotages: work.graded,
        not_tried: work.not_tried,
        requirements: Vec::new(),
        survivors: Vec::new(),
        sound,
    };
    grade.tally();
    Ok(grade)
}

struct Work<'a> {
    cluster: &'a Cluster,
    order: &'a Order,
    ground: Arc<Ground>,
    /// One a run; all of them stand in the lease before the first begins.
    ids: Vec<RunId>,
    graded: Vec<Graded>,
    /// By name, with what they lack.
    not_tried: BTreeMap<String, String>,
    tell: Tell,
}

/// The end of one run.
type Ended = (Sabotage, Vec<String>, Duration, Result<Model, SabotageError>);

impl Work<'_> {
    async fn all(&mut self, orphans: &[String]) -> Result<(Option<Sound>, bool), SabotageError> {
        self.put_back(orphans).await?;
        let sound = self.sound().await?;
        let (of_cluster, of_blueprint): (Vec<Sabotage>, Vec<Sabotage>) =
            self.possible().into_iter().partition(Sabotage::is_everybodys);
        let mut leaving = JoinSet::new();
        let worked = async {
            self.side_by_side(of_blueprint, &mut leaving).await?;
            self.one_by_one(of_cluster, &mut leaving).await
        }
        .await;
        // Tenants go in any case.
        while let Some(ended) = leaving.join_next().await {
            self.judge(ended)?;
        }
        worked?;
        let tried = self.graded.len() + self.not_tried.len();
        Ok((sound, tried == self.order.sabotages.len()))
    }

    /// Those that can be tried; the others are told.
    fn possible(&mut self) -> Vec<Sabotage> {
        let mut possible = Vec::new();
        for sabotage in &self.order.sabotages {
            let known = |name: &str| self.order.peers.all().iter().any(|peer| peer.name == name);
            let lacks = if let Some(name) = sabotage.peers().find(|name| !known(name)) {
                Some(format!("it needs the peer `{name}`: --peer {name}=lab:NAME"))
            } else if !sabotage.lab.is_empty() && self.cluster.provider().lab().is_none() {
                Some("it edits the configuration of a lab, and the cluster is none".to_owned())
            } else {
                None
            };
            if let Some(why) = lacks {
                self.tell(Progress::NotTried(sabotage.name.clone(), why.clone()));
                self.not_tried.insert(sabotage.name.clone(), why);
            } else {
                possible.push(sabotage.clone());
            }
        }
        possible
    }

    /// Breaks a sabotage's part of every cluster. Says what showed it.
    async fn break_everywhere(&self, sabotage: &Sabotage) -> Result<Vec<String>, SabotageError> {
        let mut shown = ledger::break_cluster(self.cluster, sabotage).await?;
        for peer in self.order.peers.all() {
            shown.extend(ledger::break_peer(peer, sabotage).await?);
        }
        Ok(shown)
    }

    async fn restore_everywhere(&self) -> Result<Vec<String>, SabotageError> {
        let mut restored = ledger::restore(self.cluster).await?;
        for peer in self.order.peers.all() {
            restored.extend(ledger::restore(&peer.cluster).await?);
        }
        Ok(restored)
    }

    fn stopped(&self) -> bool {
        self.ground.stop.is_cancelled()
    }

    fn tell(&self, progress: Progress) {
        (self.tell)(progress);
    }

    /// Puts back what a dead holder left.
    async fn put_back(&self, orphans: &[String]) -> Result<(), SabotageError> {
        let restored = self.restore_everywhere().await?;
        let removed = sweep(self.cluster, orphans, self.order).await?;
        if !restored.is_empty() || !removed.is_empty() {
            self.tell(Progress::Restored(restored, removed));
        }
        Ok(())
    }

    fn lane(&mut self, platform: Arc<LoadedPlatform>, plan: Plan, seed: u64) -> Lane {
        let id = self.ids.pop().unwrap_or_else(RunId::random);
        Lane { id, platform, inspector: None, plan, seed }
    }

    /// The scenarios on the sound platform, again and again.
    async fn sound(&mut self) -> Result<Option<Sound>, SabotageError> {
        if self.order.sound_runs == 0 {
            return Ok(None);
        }
        let mut scenarios: Vec<String> =
            self.order.sabotages.iter().flat_map(|one| one.scenarios.clone()).collect();
        scenarios.sort_unstable();
        scenarios.dedup();
        let mut sound = Sound { scenarios: scenarios.len(), ..Sound::default() };
        for run in 1..=self.order.sound_runs {
            if self.stopped() {
                break;
            }
            let plan = self.ground.plan(&self.order.platform, &scenarios)?;
            let seed = self.order.seed.wrapping_add(run as u64);
            let lane = self.lane(Arc::clone(&self.order.platform), plan, seed);
            let (over, _) = oneshot::channel();
            let model = Arc::clone(&self.ground).run(lane, over).await?;
            if self.stopped() {
                break;
            }
            let false_alarms = alarms(&model, run);
            self.tell(Progress::Sound(run, self.order.sound_runs, false_alarms.len()));
            sound.runs = run;
            sound.false_alarms.extend(false_alarms);
        }
        Ok(Some(sound))
    }

    /// Those that harm nobody but their own tenants.
    async fn side_by_side(
        &mut self,
        sabotages: Vec<Sabotage>,
        leaving: &mut JoinSet<Ended>,
    ) -> Result<(), SabotageError> {
        let lanes = u32::try_from(self.order.lanes.max(1)).unwrap_or(1);
        let free = Arc::new(Semaphore::new(lanes as usize));
        let mut planned = Vec::new();
        for sabotage in sabotages {
            let plan = self.ground.plan(&self.order.platform, &sabotage.scenarios)?;
            // What must not share the cluster within a run must not share it with other runs.
            // Locks are about tenants, and each run has its own.
            let alone = plan.scenarios.iter().any(|scenario| scenario.serial);
            planned.push((alone, sabotage, plan));
        }
        planned.sort_by_key(|(alone, ..)| *alone);
        for (alone, sabotage, plan) in planned {
            let permit = permits(&free, if alone { lanes } else { 1 }).await;
            self.room(leaving).await?;
            if self.stopped() {
                return Ok(());
            }
            self.start(sabotage, plan, Vec::new(), leaving, permit, None)?;
        }
        // Whoever breaks the cluster next must not break it under these.
        drop(permits(&free, lanes).await);
        Ok(())
    }

    /// Those that everybody suffers from.
    async fn one_by_one(
        &mut self,
        sabotages: Vec<Sabotage>,
        leaving: &mut JoinSet<Ended>,
    ) -> Result<(), SabotageError> {
        for sabotage in sabotages {
            self.room(leaving).await?;
            if self.stopped() {
                return Ok(());
            }
            let restarts = sabotage.restarts_apiserver();
            if restarts {
                self.alone(leaving).await?;
            }
            let name = sabotage.name.clone();
            let plan = self.ground.plan(&self.order.platform, &sabotage.scenarios)?;
            self.tell(Progress::Breaking(name.clone()));
            let begun = Instant::now();
            let broken = self.break_everywhere(&sabotage).await;
            let started = match broken {
                Ok(effect) => {
                    self.tell(Progress::Broken(name.clone()));
                    let (over, scenarios_over) = oneshot::channel();
                    let started = self.start(sabotage, plan, effect, leaving, None, Some(over));
                    if started.is_ok() {
                        // Told or dropped: either way nothing of the run looks at the platform any more.
                        let _ = scenarios_over.await;
                    }
                    started
                }
                Err(error) if error.is_of_one() => {
                    let graded = not_effective(&sabotage, error.to_string(), begun.elapsed());
                    self.judged(graded);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            let left = if restarts { self.alone(leaving).await } else { Ok(()) };
            // Mended first, whatever it came to.
            self.tell(Progress::Mending(name.clone()));
            self.restore_everywhere().await?;
            self.tell(Progress::Mended(name));
            started?;
            left?;
        }
        Ok(())
    }

    /// Waits until few enough runs are still removing their tenants.
    async fn room(&mut self, leaving: &mut JoinSet<Ended>) -> Result<(), SabotageError> {
        while let Some(ended) = leaving.try_join_next() {
            self.judge(ended)?;
        }
        while leaving.len() >= LEAVING
            && let Some(ended) = leaving.join_next().await
        {
            self.judge(ended)?;
        }
        Ok(())
    }

    /// Waits until no run removes its tenants any more: the API server goes away for a moment.
    async fn alone(&mut self, leaving: &mut JoinSet<Ended>) -> Result<(), SabotageError> {
        while let Some(ended) = leaving.join_next().await {
            self.judge(ended)?;
        }
        Ok(())
    }

    /// Starts the run that must notice a sabotage. What is held is let go, and `told` is told, when its scenarios are
    /// over.
    fn start(
        &mut self,
        sabotage: Sabotage,
        plan: Plan,
        mut effect: Vec<String>,
        leaving: &mut JoinSet<Ended>,
        permit: Option<OwnedSemaphorePermit>,
        told: Option<oneshot::Sender<()>>,
    ) -> Result<(), SabotageError> {
        let directory = self.order.directory.join(&sabotage.name);
        let edited = match platform::edited(&self.order.platform, &sabotage, &directory) {
            Ok(edited) => Arc::new(edited),
            Err(error) if error.is_of_one() => {
                self.judged(not_effective(&sabotage, error.to_string(), Duration::ZERO));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if !sabotage.blueprint.is_empty() {
            effect.push("every tenant was looked at after its onboarding".to_owned());
        }
        let mut lane = self.lane(edited, plan, self.order.seed);
        lane.inspector = platform::inspector(&sabotage);
        let id = lane.id.clone();
        let cluster = self.cluster.clone();
        let (over, scenarios_over) = oneshot::channel();
        let run = tokio::spawn(Arc::clone(&self.ground).run(lane, over));
        let begun = Instant::now();
        leaving.spawn(async move {
            let _ = scenarios_over.await;
            let took = begun.elapsed();
            drop((permit, told));
            let released = release(&cluster, &sabotage, &id).await;
            let ended = match run.await {
                Ok(ended) => ended,
                Err(error) => Err(SabotageError::NoReport { why: error.to_string() }),
            };
            (sabotage, effect, took, released.and(ended))
        });
        Ok(())
    }

    fn judge(&mut self, ended: Result<Ended, tokio::task::JoinError>) -> Result<(), SabotageError> {
        let (sabotage, effect, took, model) =
            ended.map_err(|error| SabotageError::NoReport { why: error.to_string() })?;
        let model = model?;
        // A run that was cut off says nothing of the suite.
        if !self.stopped() {
            self.judged(judge(&sabotage, &model, effect, took));
        }
        Ok(())
    }

    fn judged(&mut self, graded: Graded) {
        self.graded.push(graded.clone());
        self.tell(Progress::Judged(self.graded.len(), self.order.sabotages.len(), graded));
    }
}

/// A semaphore that is never closed gives what is asked for.
async fn permits(free: &Arc<Semaphore>, many: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(free).acquire_many_owned(many).await.ok()
}

/// Lets go of what a sabotage of the blueprint holds back. Only what this run made is looked at.
async fn release(cluster: &Cluster, sabotage: &Sabotage, run: &RunId) -> Result<(), SabotageError> {
    if !sabotage.holds_back() {
        return Ok(());
    }
    let selection = SweepSelection::Runs([run.to_string()].into());
    let found = cluster::find_leftovers(cluster, &selection).await?;
    Ok(cluster::let_go_of(cluster, &found.held_back).await?)
}

/// Removes what the runs of a dead holder left.
async fn sweep(cluster: &Cluster, orphans: &[String], order: &Order) -> Result<Vec<String>, SabotageError> {
    if orphans.is_empty() {
        return Ok(Vec::new());
    }
    let selection = SweepSelection::Runs(orphans.iter().cloned().collect());
    let found = cluster::find_leftovers(cluster, &selection).await?;
    let within = order.platform.platform.spec.deadlines.teardown.get();
    cluster::remove_leftovers_of_dead(cluster, &found, within).await?;
    Ok(found.meant.into_iter().map(|left| left.reference).collect())
}
