//! Clusters that the `kind` command makes.
//!
//! The command is driven as its documentation says. It has been tried against a stand-in of the command only
//! (`kind-stand-in.sh`), since no container engine was at hand.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures::future::{BoxFuture, FutureExt as _};
use kube::config::Kubeconfig;
use tokio::process::Command;

use super::{ImageDelivery, Provider};
use crate::cluster::ClusterError;

/// One cluster of the `kind` command.
#[derive(Clone, Debug)]
pub struct Kind {
    name: String,
    program: PathBuf,
}

impl Kind {
    /// The cluster of that name, which need not be there yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), program: PathBuf::from("kind") }
    }

    /// The same with another program in place of the `kind` in PATH.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// The context that `kind` writes into kubeconfigs.
    pub fn context(&self) -> String {
        format!("kind-{}", self.name)
    }

    /// Whether the cluster is there.
    pub async fn exists(&self) -> Result<bool, ClusterError> {
        let clusters = self.run("list clusters", ["get", "clusters"]).await?;
        Ok(clusters.lines().any(|line| line.trim() == self.name))
    }

    /// Makes the cluster, with a configuration if one is given, and waits until its control plane is ready.
    pub async fn create(&self, config: Option<&Path>) -> Result<(), ClusterError> {
        let mut arguments: Vec<&OsStr> =
            ["create", "cluster", "--name", &self.name, "--wait", "120s"].map(OsStr::new).to_vec();
        if let Some(config) = config {
            arguments.extend([OsStr::new("--config"), config.as_os_str()]);
        }
        self.run("create the cluster", arguments).await.map(drop)
    }

    /// Removes the cluster.
    pub async fn delete(&self) -> Result<(), ClusterError> {
        self.run("delete the cluster", ["delete", "cluster", "--name", &self.name]).await.map(drop)
    }

    /// The kubeconfig by which the cluster is reached from here.
    pub(in crate::cluster) async fn kubeconfig(&self) -> Result<Kubeconfig, ClusterError> {
        let text = self.run("get the kubeconfig", ["get", "kubeconfig", "--name", &self.name]).await?;
        Kubeconfig::from_yaml(&text).map_err(|error| ClusterError::Kubeconfig {
            place: format!("of the kind cluster `{}`", self.name),
            source: Box::new(error),
        })
    }

    async fn run<S: AsRef<OsStr>>(
        &self,
        doing: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<String, ClusterError> {
        let failed = |why: String| ClusterError::Provider {
            provider: "kind",
            doing: doing.to_owned(),
            why,
            remedy: None,
        };
        let output = Command::new(&self.program)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => ClusterError::NoProgram {
                    provider: "kind",
                    program: self.program.display().to_string(),
                    remedy: "install kind (https://kind.sigs.k8s.io), or use the lab: `--cluster lab`",
                },
                _ => failed(error.to_string()),
            })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        // kind writes `ERROR: ...` last; what comes before it is progress.
        let stderr = String::from_utf8_lossy(&output.stderr);
        let why = stderr
            .lines()
            .rev()
            .find(|line| line.starts_with("ERROR"))
            .or_else(|| stderr.lines().rfind(|line| !line.trim().is_empty()))
            .unwrap_or("it said nothing");
        Err(failed(format!("{} ({})", why.trim_start_matches("ERROR: "), output.status)))
    }
}

impl Provider for Kind {
    fn name(&self) -> &'static str {
        "kind"
    }

    fn loads_images(&self) -> bool {
        true
    }

    fn load_image<'a>(&'a self, archive: &'a Path) -> BoxFuture<'a, Result<ImageDelivery, ClusterError>> {
        async move {
            let arguments = [
                OsStr::new("load"),
                OsStr::new("image-archive"),
                archive.as_os_str(),
                OsStr::new("--name"),
                OsStr::new(&self.name),
            ];
            self.run("load the image", arguments).await?;
            Ok(ImageDelivery::Loaded)
        }
        .boxed()
    }
}
