//! What can go wrong, told apart by who has to act.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a lab command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// This machine lacks something; the remedy says what to do about it.
    #[error("{problem}\n  {remedy}")]
    Precondition {
        /// What is missing or in the way.
        problem: String,
        /// What the reader can do about it.
        remedy: String,
    },
    /// The command was called with something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A file, a process or the kernel refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A component could not be built.
    #[error("building {component} failed: {detail}\n  the whole output is in {}", log.display())]
    Build {
        /// The component's name.
        component: String,
        /// The compiler's last words.
        detail: String,
        /// Where all of its words are.
        log: PathBuf,
    },
    /// A process of the lab did not do its part.
    #[error("{component}: {detail}")]
    Component {
        /// Which process.
        component: String,
        /// What it did or said.
        detail: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {}s; last seen: {last_seen}", limit.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The state at the end of the wait.
        last_seen: String,
    },
    /// The lab's API server refused or could not be reached.
    #[error("{what}: {source}")]
    Cluster {
        /// What was being done.
        what: String,
        /// What the client said.
        source: Box<kube::Error>,
    },
    /// There is no running lab of that name.
    #[error("the lab \"{0}\" is not running; start it with `plimsoll lab up --name {0}`")]
    NotRunning(String),
}

impl LabError {
    /// A precondition that does not hold, with what to do about it.
    pub fn precondition(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Precondition { problem: problem.into(), remedy: remedy.into() }
    }

    pub(crate) fn component(component: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Component { component: component.into(), detail: detail.into() }
    }

    /// The exit status that a command ends with: 2 where the caller or the machine must change, 3 where the lab
    /// itself failed.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Precondition { .. } | Self::Usage(_) | Self::NotRunning(_) => 2,
            Self::Io { source, .. } if is_disk_full(source) => 2,
            _ => 3,
        }
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The result of anything in this crate.
pub type Result<T, E = LabError> = std::result::Result<T, E>;

/// Adds what was being done to an error of the operating system.
pub(crate) trait Context<T> {
    /// Names what was being done; called on failure only.
    fn context<W: Into<String>>(self, what: impl FnOnce() -> W) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context<W: Into<String>>(self, what: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|source| LabError::Io { what: what().into(), source })
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context<W: Into<String>>(self, what: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|errno| LabError::Io { what: what().into(), source: errno.into() })
    }
}

impl<T> Context<T> for std::result::Result<T, kube::Error> {
    fn context<W: Into<String>>(self, what: impl FnOnce() -> W) -> Result<T> {
        self.map_err(|source| LabError::Cluster { what: what().into(), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_who_has_to_act() {
        assert_eq!(LabError::precondition("no root", "use sudo").exit_code(), 2);
        assert_eq!(LabError::Usage("bad".into()).exit_code(), 2);
        assert_eq!(LabError::component("etcd", "died").exit_code(), 3);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(LabError::Io { what: "writing".into(), source: full }.exit_code(), 2);
    }

    #[test]
    fn a_lab_that_is_down_is_started_by_its_name() {
        let error = LabError::NotRunning("b".into());
        assert!(error.to_string().contains("`plimsoll lab up --name b`"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
