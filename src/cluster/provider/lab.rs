//! The lab on this machine.

use std::path::{Path, PathBuf};

use futures::future::{BoxFuture, FutureExt as _};
use plimsoll_lab::LabError;

use super::{ImageDelivery, Provider};
use crate::cluster::ClusterError;

/// A lab that is up.
#[derive(Debug)]
pub struct Lab(plimsoll_lab::Lab);

impl Lab {
    /// The lab of that name, if it is up.
    pub fn find(name: &str) -> Result<Self, ClusterError> {
        let doing = || format!("find the lab `{name}`");
        let lab = plimsoll_lab::Lab::open(name).map_err(|error| failed(doing(), &error))?;
        if !lab.is_running() {
            return Err(ClusterError::Provider {
                provider: "lab",
                doing: doing(),
                why: "it is not up".to_owned(),
                remedy: Some(format!("start it: `plimsoll lab up --name {name}`")),
            });
        }
        Ok(Self(lab))
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.0.kubeconfig_path()
    }
}

fn failed(doing: String, error: &LabError) -> ClusterError {
    ClusterError::Provider {
        provider: "lab",
        doing,
        why: crate::cluster::api_error::chain(error),
        remedy: Some("`plimsoll lab status` says how it is".to_owned()),
    }
}

impl Provider for Lab {
    fn name(&self) -> &'static str {
        "lab"
    }

    fn lab(&self) -> Option<&plimsoll_lab::Lab> {
        Some(&self.0)
    }

    fn loads_images(&self) -> bool {
        true
    }

    fn stand_ins(&self) -> Vec<String> {
        self.0.stand_ins().into_iter().map(ToOwned::to_owned).collect()
    }

    fn planted(&self) -> BoxFuture<'_, Vec<String>> {
        async move {
            match self.0.planted().await {
                Ok(Some(defect)) => vec![format!(
                    "BROKEN ON PURPOSE: {}, planted in the NetworkPolicy dataplane (`plimsoll lab defect`)",
                    defect.name()
                )],
                // A lab that does not say is judged as it shows itself.
                Ok(None) | Err(_) => Vec::new(),
            }
        }
        .boxed()
    }

    fn load_image<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<ImageDelivery, ClusterError>> {
        async move {
            let doing = || format!("load the image into the lab `{}`", self.0.name());
            self.0.load_image(archive).await.map_err(|error| failed(doing(), &error))?;
            Ok(ImageDelivery::Loaded)
        }
        .boxed()
    }
}
