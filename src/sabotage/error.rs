//! What can go wrong with a sabotage, apart from its surviving.

use crate::cluster::ClusterError;

/// What can go wrong with a sabotage, apart from its surviving.
#[derive(Debug, thiserror::Error)]
pub enum SabotageError {
    /// The data cannot be read.
    #[error("cannot read the sabotage {file}: {why}")]
    Data {
        /// The file.
        file: String,
        /// What is wrong, with line and column where known.
        why: String,
    },
    /// Nobody has said that the platform may be broken.
    #[error(
        "the profile `{profile}` does not mark its cluster as expendable, so that nothing in it may be broken"
    )]
    NotExpendable {
        /// Name of the profile.
        profile: String,
    },
    /// There is no sabotage of that name.
    #[error("there is no sabotage `{name}`")]
    Unknown {
        /// As asked for.
        name: String,
    },
    /// The blueprint is not ours to edit.
    #[error("the platform onboards by `{adapter}`, and only manifests can be edited")]
    NoBlueprint {
        /// The adapter.
        adapter: &'static str,
    },
    /// An edit does not fit what it edits.
    #[error("cannot edit {what}: {why}")]
    Edit {
        /// `v1/ResourceQuota tenant-quota`.
        what: String,
        /// Why.
        why: String,
    },
    /// Only a lab's configuration is ours to edit.
    #[error("the context `{context}` is not that of a lab, and only a lab's configuration can be edited")]
    NotALab {
        /// The context.
        context: String,
    },
    /// The lab did not do what it was asked.
    #[error("the lab could not {what}: {why}")]
    Lab {
        /// `read authentication.yaml`.
        what: String,
        /// Why.
        why: String,
    },
    /// The cluster did not do what it was asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster is not as it was.
    #[error("{what} is not as it was: {why}; its original is in the config map {record}")]
    NotRestored {
        /// The object.
        what: String,
        /// What differs.
        why: String,
        /// Where the original is.
        record: String,
    },
    /// A file could not be written or read.
    #[error("cannot {doing}: {source}")]
    File {
        /// `write /tmp/x`.
        doing: String,
        /// Why.
        source: std::io::Error,
    },
    /// The run of the scenarios told nothing.
    #[error("the run of the sabotaged scenarios ended with {status} and without a report: {output}")]
    NoReport {
        /// How it ended.
        status: String,
        /// The last lines that it wrote.
        output: String,
    },
}

impl SabotageError {
    pub(super) fn file(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::File { doing, source }
    }
}
