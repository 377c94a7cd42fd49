//! Files of the running lab's configuration, to be changed and put back: what a sabotage of the control plane edits.

use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::error::{Context as _, LabError, Result};
use crate::internal::Request;
use crate::lab::{Lab, blocking};
use crate::paths::write_private;

/// How long the API server may take to be started anew.
const RESTART: Duration = Duration::from_secs(120);

/// A file of configuration that may be changed while the lab runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum ConfigurationFile {
    /// Whose tokens the API server accepts.
    Authentication,
    /// What the API server records.
    AuditPolicy,
    /// Settings that are arguments of the API server.
    ApiServer,
    /// Settings of the identity provider, which reads them whenever it is asked.
    Issuer,
}

impl ConfigurationFile {
    const fn name(self) -> &'static str {
        match self {
            Self::Authentication => config::AUTHENTICATION,
            Self::AuditPolicy => config::AUDIT,
            Self::ApiServer => config::APISERVER,
            Self::Issuer => config::ISSUER,
        }
    }

    fn path(self, lab: &Lab) -> PathBuf {
        lab.paths.config().join(self.name())
    }

    /// Whether the API server reads it at its start. It takes changes of `authentication.yaml` up while it runs, too,
    /// but only ten seconds later; to start it anew takes three.
    const fn is_of_apiserver(self) -> bool {
        !matches!(self, Self::Issuer)
    }
}

/// The text of a file.
pub(crate) fn read(lab: &Lab, file: ConfigurationFile) -> Result<String> {
    let path = file.path(lab);
    std::fs::read_to_string(&path).context(|| format!("reading {}", path.display()))
}

/// Replaces files, and waits until they are in force. Where the API server does not start with them, the earlier ones
/// are put back.
pub(crate) async fn put(lab: &Lab, files: &[(ConfigurationFile, String)]) -> Result<()> {
    if !lab.is_running() {
        return Err(LabError::NotRunning(lab.name().to_owned()));
    }
    let mut earlier = Vec::new();
    for (file, text) in files {
        earlier.push((*file, read(lab, *file)?));
        write_private(&file.path(lab), text)?;
    }
    if !files.iter().any(|(file, _)| file.is_of_apiserver()) {
        return Ok(());
    }
    if let Err(error) = restart(lab).await {
        for (file, text) in earlier {
            write_private(&file.path(lab), text)?;
        }
        restart(lab).await?;
        return Err(error);
    }
    Ok(())
}

async fn restart(lab: &Lab) -> Result<()> {
    let lab = lab.clone();
    blocking(move || lab.tell(&Request::RestartApiServer, RESTART * lab.patience())).await
}
