//! The other clusters of the fleet that a run was told of.

use super::Cluster;
use crate::profile::Environment;

/// One of them. It is looked at and logged in to; nothing in it is changed.
#[derive(Clone, Debug)]
pub struct PeerConnection {
    /// Its name in the profile.
    pub name: String,
    /// Whether people depend on it.
    pub environment: Environment,
    /// The connection.
    pub cluster: Cluster,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct PeerClusters(Vec<PeerConnection>);

impl PeerClusters {
    /// These.
    pub const fn new(peers: Vec<PeerConnection>) -> Self {
        Self(peers)
    }

    /// In the order in which they were named.
    pub fn all(&self) -> &[PeerConnection] {
        &self.0
    }
}
