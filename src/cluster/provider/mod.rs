//! Where clusters come from. A provider is one file here and one arm in [`super::connect`].

mod kind;
mod kubeconfig;
mod lab;

use std::fmt;
use std::path::Path;

use futures::future::BoxFuture;

use super::ClusterError;

pub use kind::Kind;
pub(super) use kubeconfig::{Access, KubeconfigProvider, read};
pub(super) use lab::Lab;

/// How the agent's image gets onto the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageDelivery {
    /// It was put onto every node; pods must not pull it.
    Loaded,
    /// Nodes pull it by its reference.
    ByReference,
}

/// Where a cluster comes from.
pub trait Provider: fmt::Debug + Send + Sync {
    /// `lab`, `kubeconfig`, `kind`.
    fn name(&self) -> &'static str;

    /// Whether images can be put onto the nodes directly.
    fn loads_images(&self) -> bool {
        false
    }

    /// The lab that the cluster is, if it is one.
    fn lab(&self) -> Option<&plimsoll_lab::Lab> {
        None
    }

    /// Parts of the cluster that are not the real thing, where the provider knows of such. Every report names them,
    /// whatever the profile says.
    fn stand_ins(&self) -> Vec<String> {
        Vec::new()
    }

    /// What is broken on purpose in the cluster's own equipment, where the provider knows of such things. Every report
    /// names it.
    fn planted(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Puts an image archive onto every node, where the provider can.
    fn load_image<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<ImageDelivery, ClusterError>>;
}
