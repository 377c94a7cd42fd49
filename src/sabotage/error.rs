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
    /// Nothing meets the criteria.
    #[error("no sabotage meets all the criteria")]
    Nothing,
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
    /// Somebody else breaks this platform just now.
    #[error("the platform is being broken on purpose just now, by {holder}")]
    Held {
        /// Who.
        holder: String,
    },
    /// Somebody has taken the platform from us.
    #[error("the hold on the platform is lost: {why}")]
    HoldLost {
        /// How that is known.
        why: String,
    },
    /// A change was made, and did not come into effect.
    #[error("{what} did not come into effect within {within:?}: {why}")]
    NotEffective {
        /// What was changed.
        what: String,
        /// How long was waited.
        within: std::time::Duration,
        /// What was last seen.
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
    /// The scenarios could not be planned.
    #[error("the scenarios of the sabotage cannot be run: {why}")]
    Plan {
        /// Why.
        why: String,
    },
    /// The run of the scenarios told nothing.
    #[error("the run of the sabotaged scenarios told nothing: {why}")]
    NoReport {
        /// Why.
        why: String,
    },
}

impl SabotageError {
    pub(super) fn file(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::File { doing, source }
    }

    /// Whether it says only that this one sabotage could not be made: the others can go on.
    pub(super) const fn is_of_one(&self) -> bool {
        matches!(self, Self::NotEffective { .. } | Self::Edit { .. } | Self::Lab { .. })
    }
}
