//! The process of one node: watches claims, volumes and classes, and does what is to be done.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Config};
use thiserror::Error;
use tracing::{info, warn};

use super::plan::{Action, View, plan};

/// How long to wait after something could not be done.
const RETRY: Duration = Duration::from_millis(500);
/// How long to wait before a watch is taken up again, at first and at most.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What the provisioner of a node needs to know.
#[derive(Debug, Clone)]
pub struct VolumesOptions {
    /// The node's name, which is its label `kubernetes.io/hostname` too.
    pub node: String,
    /// Credentials that may watch claims, volumes and storage classes, and make and remove volumes.
    pub kubeconfig: PathBuf,
    /// Where the node keeps its volumes, on its own disk.
    pub root: PathBuf,
}

/// Why the provisioner cannot run.
#[derive(Debug, Error)]
pub enum VolumesError {
    /// The kubeconfig cannot be used.
    #[error("read kubeconfig {path}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// No client can be made from the kubeconfig, or a request was refused.
    #[error("ask the API server")]
    Client(#[from] kube::Error),
    /// A directory cannot be made or removed.
    #[error("{doing} {path}")]
    Directory {
        /// `make`, `remove`.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A watch ended, which watches never do by themselves.
    #[error("a watch ended")]
    WatchEnded,
}

/// Runs the provisioner until it is dropped.
pub async fn run(options: VolumesOptions) -> Result<(), VolumesError> {
    let bad =
        |source| VolumesError::Kubeconfig { path: options.kubeconfig.clone(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(&options.kubeconfig).map_err(bad)?;
    let config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(bad)?;
    let client = Client::try_from(config)?;
    let (classes, class_events) = watched::<StorageClass>(&client);
    let (claims, claim_events) = watched::<PersistentVolumeClaim>(&client);
    let (volumes, volume_events) = watched::<PersistentVolume>(&client);
    let mut events = std::pin::pin!(futures::stream::select_all([class_events, claim_events, volume_events]));
    let mut behind = false;
    loop {
        let event = async {
            if behind {
                tokio::time::timeout(RETRY, events.next()).await.unwrap_or(Some(()))
            } else {
                events.next().await
            }
        };
        event.await.ok_or(VolumesError::WatchEnded)?;
        let (classes, claims, volumes) = (state(&classes), state(&claims), state(&volumes));
        let view = View {
            node: &options.node,
            root: &options.root,
            classes: &classes,
            claims: &claims,
            volumes: &volumes,
        };
        behind = false;
        for action in plan(&view) {
            if let Err(error) = act(&client, &action).await {
                warn!(error = &error as &dyn std::error::Error, ?action, "not done, trying again");
                behind = true;
            }
        }
    }
}

/// What is known of a kind, kept up to date, and a tick for each change of it.
fn watched<K>(client: &Client) -> (Store<K>, BoxStream<'static, ()>)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let delays = ExponentialBuilder::new().with_min_delay(RECONNECT.0).with_max_delay(RECONNECT.1);
    let backoff = watcher::ExponentialBackoff::from(delays.with_jitter().without_max_times());
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).backoff(backoff);
    let (store, writer) = reflector::store();
    let changes = reflector::reflector(writer, events).filter_map(|event| async {
        event.inspect_err(|error| warn!(%error, "watch interrupted, reconnecting")).ok().map(drop)
    });
    (store, changes.boxed())
}

fn state<K>(store: &Store<K>) -> Vec<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    store.state().iter().map(|object| K::clone(object)).collect()
}

/// What is done twice is done once: the view may be behind what has been done already.
async fn act(client: &Client, action: &Action) -> Result<(), VolumesError> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    match action {
        Action::Make { directory, volume } => {
            make(directory)?;
            match volumes.create(&PostParams::default(), volume).await {
                Ok(_) => info!(directory = %directory.display(), "volume made"),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Action::Remove { directory, volume } => {
            if let Some(directory) = directory {
                match fs::remove_dir_all(directory) {
                    Ok(()) => info!(directory = %directory.display(), "directory removed"),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => {
                        return Err(VolumesError::Directory {
                            doing: "remove",
                            path: directory.clone(),
                            source,
                        });
                    }
                }
            }
            match volumes.delete(volume, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Whoever a pod runs as may write: the pod alone sees the directory, and the root above it is closed to others.
fn make(directory: &Path) -> Result<(), VolumesError> {
    let failed = |source| VolumesError::Directory { doing: "make", path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).map_err(failed)
}
