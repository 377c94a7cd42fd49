//! What a pool of tenants needs to know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::RunId;
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
}

impl PoolSettings {
    /// With the profile's deadline of a run (and twice as long before anything of it expires).
    pub fn new(run: RunId, platform: Arc<LoadedPlatform>, image: AgentImage, events: EventSink) -> Self {
        let lifetime = platform.platform.spec.deadlines.run.get() * 2;
        Self { run, platform, image, events, lifetime, parallel: 8 }
    }
}
