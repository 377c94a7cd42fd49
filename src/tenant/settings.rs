//! What a pool of tenants needs to know.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::cluster::{Cluster, RunId};
use crate::engine::EventSink;
use crate::profile::LoadedPlatform;

/// The agent's image.
#[derive(Clone, Debug)]
pub struct AgentImage {
    /// Its reference, as in a pod.
    pub reference: String,
    /// An archive of it, for clusters whose provider puts images onto nodes.
    pub archive: Option<PathBuf>,
}

/// Who a tenant is that has just been onboarded.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its name in the features.
    pub name: String,
    /// Its namespaces.
    pub namespaces: Vec<String>,
    /// What stands for `${tenant}`, `${name}` and `${run}`.
    pub placeholders: BTreeMap<String, String>,
}

type Look = dyn Fn(Cluster, Newcomer) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// Looks at each tenant right after its onboarding, before anybody gets it. What it says is why nobody does.
#[derive(Clone)]
pub struct Inspector(Arc<Look>);

impl Inspector {
    /// One that looks like this.
    pub fn new(
        look: impl Fn(Cluster, Newcomer) -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(look))
    }

    pub(super) async fn look(&self, cluster: &Cluster, newcomer: Newcomer) -> Result<(), String> {
        (self.0)(cluster.clone(), newcomer).await
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inspector")
    }
}

/// What a pool of tenants needs to know.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The run.
    pub run: RunId,
    /// The profile.
    pub platform: Arc<LoadedPlatform>,
    /// The agent's image.
    pub image: AgentImage,
    /// Where events go.
    pub events: EventSink,
    /// After which anybody may remove what is left of the run, should we die.
    pub lifetime: Duration,
    /// The most tenants that are onboarded or removed at one time.
    pub parallel: usize,
    /// Looks at each tenant right after its onboarding.
    pub inspector: Option<Inspector>,
}

impl PoolSettings {
    /// With the profile's deadline of a run (and twice as long before anything of it expires).
    pub fn new(run: RunId, platform: Arc<LoadedPlatform>, image: AgentImage, events: EventSink) -> Self {
        let lifetime = platform.platform.spec.deadlines.run.get() * 2;
        Self { run, platform, image, events, lifetime, parallel: 8, inspector: None }
    }
}
