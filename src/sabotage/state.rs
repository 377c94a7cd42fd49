//! What anybody who comes to a cluster has to know: whether it is broken on purpose.

use super::{SabotageError, hold, hold::Hold, ledger};
use crate::cluster::Cluster;

/// A platform that is broken on purpose, or that may be so any moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Who is at work; none where nobody is, and the platform was left broken.
    pub by: Option<String>,
    /// The sabotage in force, where there is one.
    pub sabotage: Option<String>,
    /// The objects that it changed.
    pub objects: Vec<String>,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.by, &self.sabotage) {
            (Some(by), _) => write!(f, "the platform is being broken on purpose just now, by {by}"),
            (None, Some(sabotage)) => write!(
                f,
                "the platform was left broken by the sabotage `{sabotage}`: {}",
                self.objects.join(", ")
            ),
            (None, None) => f.write_str("a run of sabotages died here between two of them"),
        }
    }
}

/// What [`look`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody breaks it, and nothing was left broken.
    Sound,
    /// It is broken on purpose, or may be so any moment.
    Broken(Broken),
    /// Nobody could look.
    Unseen(String),
}

/// Looks whether the platform is broken on purpose.
pub async fn look(cluster: &Cluster) -> Result<Found, SabotageError> {
    let found = futures::try_join!(hold::holder(cluster), ledger::recorded(cluster));
    let (holder, record) = match found {
        Ok(found) => found,
        Err(SabotageError::Cluster(error @ crate::cluster::ClusterError::Forbidden { .. })) => {
            return Ok(Found::Unseen(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    if holder.is_none() && record.is_none() {
        return Ok(Found::Sound);
    }
    let by = holder.filter(|holder| holder.alive).map(|holder| holder.name);
    let (sabotage, objects) = record.map_or((None, Vec::new()), |(name, objects)| (Some(name), objects));
    Ok(Found::Broken(Broken { by, sabotage, objects }))
}

/// Puts back what somebody who died has left broken, and proves it. Refuses while somebody is at work. Says which
/// objects were put back, and which runs the dead one had begun.
pub async fn put_back(cluster: &Cluster) -> Result<(Vec<String>, Vec<String>), SabotageError> {
    let taken = Hold::take(cluster, &[]).await?;
    let restored = ledger::restore(cluster).await;
    taken.hold.release().await?;
    restored.map(|restored| (restored, taken.orphans))
}
