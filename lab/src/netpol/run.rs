//! The process of one node: closes the node's pod ranges, then watches and keeps the rules current.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use super::admission::{self, Answer, Newcomer, Said};
use super::defect::Planted;
use super::{Cidr, Defect, Kind, Nft, NftError, NodeView, Ruleset, State, cluster_policy, compile};

/// Changes that come within this time of each other go in together.
const DEBOUNCE: Duration = Duration::from_millis(4);
/// How long to wait after a ruleset was refused.
const RETRY: Duration = Duration::from_millis(500);
/// How long a newcomer may wait for its rules before its plugin is told to try again.
const ADMISSION: Duration = Duration::from_secs(10);
/// With nothing to do, any time will do.
const LONG: Duration = Duration::from_secs(3600);
/// How long to wait before a watch is taken up again, at first and at most.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What the dataplane of a node needs to know.
#[derive(Debug, Clone)]
pub struct NetpolOptions {
    /// The node's name, as in `spec.nodeName` of its pods.
    pub node: String,
    /// Credentials that may list and watch pods, namespaces, network policies and those of the whole cluster.
    pub kubeconfig: PathBuf,
    /// Where the node's pods get their addresses (the ranges given to host-local).
    pub pod_ranges: Vec<Cidr>,
    /// Kept up to date with a [`Status`] in JSON after each change of rules, if given.
    pub status: Option<PathBuf>,
    /// Where the CNI plugin announces new pods, if it does: see [`plugin()`](super::plugin()).
    pub admission: Option<PathBuf>,
    /// The `nft` program.
    pub nft: PathBuf,
}

impl NetpolOptions {
    /// With `nft` from PATH, no status file and no admission socket.
    pub fn new(node: impl Into<String>, kubeconfig: impl Into<PathBuf>, pod_ranges: Vec<Cidr>) -> Self {
        Self {
            node: node.into(),
            kubeconfig: kubeconfig.into(),
            pod_ranges,
            status: None,
            admission: None,
            nft: "nft".into(),
        }
    }
}

/// What is in force, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The node.
    pub node: String,
    /// False while only the closed table is in force: nothing is known of the cluster yet.
    pub synced: bool,
    /// How many rulesets have gone in.
    pub generation: u64,
    /// Addresses of the node's pods that are let through, as far as policies allow.
    pub pods: usize,
    /// Chains of policies in force here, counted once a direction.
    pub policies: usize,
    /// Time from the first change to its rules in force, in microseconds.
    pub micros: u64,
    /// What is broken on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<Defect>,
}

/// Why the dataplane cannot run.
#[derive(Debug, Error)]
pub enum NetpolError {
    /// No pod range was given: nothing could be kept closed.
    #[error("no pod range given for node {0:?}: the dataplane cannot tell pods from others without it")]
    NoPodRange(String),
    /// The kubeconfig cannot be used.
    #[error("read kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// No client can be made from the kubeconfig.
    #[error("make a client from kubeconfig {path}")]
    Client {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The closed table did not go in, so nothing can be promised.
    #[error("close the pod ranges")]
    Nft(#[from] NftError),
    /// The status file cannot be written.
    #[error("write status file {path}")]
    Status {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The admission socket cannot be made.
    #[error("listen on {path}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A watch ended, which watches never do by themselves.
    #[error("a watch ended")]
    WatchEnded,
}

/// Runs the dataplane in the network namespace of this process, until it is dropped.
///
/// The pod ranges are closed before it returns to the caller's executor for the first time to watch.
/// What it leaves behind when it ends stays in force: known pods keep their rules, new ones stay closed.
pub async fn run(options: NetpolOptions) -> Result<(), NetpolError> {
    if options.pod_ranges.is_empty() {
        return Err(NetpolError::NoPodRange(options.node));
    }
    let nft = Nft::new(&options.nft);
    let view = NodeView { name: options.node.clone(), pod_ranges: options.pod_ranges.clone() };
    let mut force = InForce { options: &options, nft, ruleset: None, generation: 0, planted: None };
    force.replace(Ruleset::closed(view.pod_ranges.clone()), false, Instant::now()).await?;

    let mut requests = match &options.admission {
        Some(path) => {
            admission::listen(path).map_err(|source| NetpolError::Socket { path: path.clone(), source })?
        }
        None => mpsc::channel(1).1,
    };
    let client = client(&options).await?;
    let mut events = std::pin::pin!(events(client));
    let mut state = State::default();
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut planted = Planted::default();
    // Since when the rules in force have been behind what is known, if they are.
    let mut behind: Option<Instant> = None;
    loop {
        let idle = behind.is_none() && waiting.is_empty();
        let mut until = Instant::now() + if idle { LONG } else { RETRY };
        // Waits for something to happen, then a little more for what happens with it.
        loop {
            let changed = tokio::select! {
                event = events.next() => state.apply(&event.ok_or(NetpolError::WatchEnded)?),
                Some((said, reply)) = requests.recv() => {
                    let (newcomer, changed) = match said {
                        Said::Newcomer(newcomer) => {
                            let changed = state.announce(&newcomer.uid, newcomer.addresses.clone());
                            (Some(newcomer), changed)
                        }
                        Said::Plant(plant) => {
                            planted.plant(plant.plant);
                            warn!(defect = ?plant.plant, "broken on purpose, or sound again");
                            (None, true)
                        }
                    };
                    waiting.push(Waiting { newcomer, reply, since: Instant::now() });
                    changed
                }
                () = sleep_until(until.into()) => break,
            };
            if changed {
                behind.get_or_insert_with(Instant::now);
            }
            until = until.min(Instant::now() + DEBOUNCE);
        }
        let Some(snapshot) = state.snapshot() else { continue };
        if let Some(since) = behind {
            force.planted = planted.defect();
            match force.replace(compile(&planted.spoil(snapshot), &view), true, since).await {
                Ok(()) => behind = None,
                // The old rules stay in force until the new ones are in, and no new pod is in the old ones.
                Err(NetpolError::Nft(error)) => {
                    warn!(error = &error as &dyn std::error::Error, "rules not replaced, trying again");
                }
                Err(error) => return Err(error),
            }
        }
        waiting =
            waiting.into_iter().filter_map(|waiting| waiting.settle(&state, behind.is_none())).collect();
    }
}

/// Who waits for an answer: the plugin of a newcomer, or who has planted something.
struct Waiting {
    newcomer: Option<Newcomer>,
    reply: oneshot::Sender<Answer>,
    since: Instant,
}

impl Waiting {
    /// Answers if there is an answer by now.
    fn settle(self, state: &State, in_force: bool) -> Option<Self> {
        let known = self.newcomer.as_ref().is_none_or(|newcomer| state.knows_pod(&newcomer.uid));
        let error = if in_force && known {
            None
        } else if self.since.elapsed() > ADMISSION {
            let pod = self.newcomer.as_ref().map(|newcomer| newcomer.pod.as_str());
            warn!(pod, in_force, "newcomer turned away");
            Some(if in_force {
                "the API does not tell of this pod"
            } else {
                "its rules could not be put in force"
            })
        } else {
            return Some(self);
        };
        // A plugin that has given up meanwhile will ask again.
        drop(self.reply.send(Answer { error: error.map(str::to_owned) }));
        None
    }
}

/// The ruleset in force, and what went before it.
struct InForce<'a> {
    options: &'a NetpolOptions,
    nft: Nft,
    ruleset: Option<Ruleset>,
    generation: u64,
    planted: Option<Defect>,
}

impl InForce<'_> {
    async fn replace(&mut self, ruleset: Ruleset, synced: bool, since: Instant) -> Result<(), NetpolError> {
        let first_synced = synced && self.generation == 1;
        if self.ruleset.as_ref() == Some(&ruleset) && !first_synced {
            return Ok(());
        }
        self.nft.apply(&ruleset).await?;
        self.generation += 1;
        let status = Status {
            node: self.options.node.clone(),
            synced,
            generation: self.generation,
            pods: ruleset.egress.len(),
            policies: ruleset.policy_chains.len() + ruleset.tier_chains.len(),
            micros: u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX),
            planted: self.planted,
        };
        self.ruleset = Some(ruleset);
        if first_synced {
            info!(node = status.node, pods = status.pods, policies = status.policies, "policies in force");
        } else {
            debug!(?status, "rules replaced");
        }
        match &self.options.status {
            Some(path) => write_status(path, &status)
                .map_err(|source| NetpolError::Status { path: path.clone(), source }),
            None => Ok(()),
        }
    }
}

/// Readers never see half a file.
fn write_status(path: &std::path::Path, status: &Status) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(status)?)?;
    std::fs::rename(fresh, path)
}

async fn client(options: &NetpolOptions) -> Result<Client, NetpolError> {
    let path = || options.kubeconfig.clone();
    let bad = |source| NetpolError::Kubeconfig { path: path(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig).map_err(bad)?;
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(bad)?;
    Client::try_from(config).map_err(|source| NetpolError::Client { path: path(), source: Box::new(source) })
}

/// All watches as one stream of what happened. Errors are told and ridden out: the watches reconnect.
fn events(client: Client) -> impl Stream<Item = Kind> {
    // Reconnecting soon keeps the time short in which one watch is behind another.
    let backoff = || {
        let delays = ExponentialBuilder::new().with_min_delay(RECONNECT.0).with_max_delay(RECONNECT.1);
        watcher::ExponentialBackoff::from(delays.with_jitter().without_max_times())
    };
    let config = watcher::Config::default;
    let namespaces =
        watcher(Api::<Namespace>::all(client.clone()), config()).backoff(backoff()).map_ok(Kind::Namespace);
    let pods = watcher(Api::<Pod>::all(client.clone()), config()).backoff(backoff()).map_ok(Kind::Pod);
    let policies =
        watcher(Api::<NetworkPolicy>::all(client.clone()), config()).backoff(backoff()).map_ok(Kind::Policy);
    let cluster_policies: Api<DynamicObject> = Api::all_with(client, &cluster_policy::resource());
    let cluster_policies = watcher(cluster_policies, config()).backoff(backoff()).map(|event| match event {
        // Where the kind is not served there are none of it.
        Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.is_not_found() => {
            Ok(Kind::ClusterPolicy(watcher::Event::InitDone))
        }
        event => event.map(Kind::ClusterPolicy),
    });
    let all = [namespaces.boxed(), pods.boxed(), policies.boxed(), cluster_policies.boxed()];
    futures::stream::select_all(all).filter_map(|event| async {
        event.inspect_err(|error| warn!(%error, "watch interrupted, reconnecting")).ok()
    })
}
