//! The lab on this machine.

use std::path::{Path, PathBuf};

use futures::future::{BoxFuture, FutureExt as _};

use super::{ImageDelivery, Provider};
use crate::cluster::ClusterError;

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    name: String,
    kubeconfig: PathBuf,
}

impl Lab {
    /// The lab of that name.
    pub fn find(name: &str) -> Result<Self, ClusterError> {
        let state = std::env::var_os("XDG_STATE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".local/state"),
            PathBuf::from,
        );
        let kubeconfig = state.join("plimsoll/labs").join(name).join("kubeconfig");
        if !kubeconfig.is_file() {
            return Err(ClusterError::Provider {
                provider: "lab",
                doing: format!("find the lab `{name}`"),
                why: "it is not up".to_owned(),
                remedy: Some(format!("start it: `plimsoll lab up --name {name}`")),
            });
        }
        Ok(Self { name: name.to_owned(), kubeconfig })
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }
}

impl Provider for Lab {
    fn name(&self) -> &'static str {
        "lab"
    }

    fn loads_images(&self) -> bool {
        true
    }

    fn load_image<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<ImageDelivery, ClusterError>> {
        async move {
            Err(ClusterError::Provider {
                provider: "lab",
                doing: format!("load {} into the lab `{}`", archive.display(), self.name),
                why: "the lab offers no image loading yet".to_owned(),
                remedy: None,
            })
        }
        .boxed()
    }
}
