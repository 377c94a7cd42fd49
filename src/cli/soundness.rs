//! Whether a cluster is broken on purpose: asked before anything is said about it.

use super::commands::cleanup;
use super::failure::Failure;
use super::{access, output};
use crate::cluster::{Cluster, SweepSelection, find_leftovers, remove_leftovers_of_dead};
use crate::exit::Exit;
use crate::profile::Platform;
use crate::sabotage::{self, Broken, Found, SabotageError};

/// Makes sure that a run judges the platform as it is meant to be. What a dead run of sabotages left broken is put back
/// where the profile says that the cluster is expendable; else nothing is run. `peer` is where another
/// cluster of the fleet is, if it is that one.
pub(super) async fn ensure(
    cluster: &Cluster,
    platform: &Platform,
    peer: Option<&str>,
) -> Result<(), Failure> {
    let broken = match sabotage::look(cluster).await {
        Ok(Found::Sound) => return Ok(()),
        Ok(Found::Broken(broken)) => broken,
        Ok(Found::Unseen(why)) => {
            tracing::info!(%why, "nobody can say whether the platform is broken on purpose");
            return Ok(());
        }
        // A cluster that does not answer is for the run to find, with a journal of it.
        Err(SabotageError::Cluster(error)) => {
            tracing::info!(%error, "nobody can say whether the platform is broken on purpose");
            return Ok(());
        }
        Err(error) => return Err(refused(error)),
    };
    output::note(format_args!("warning: {broken}"));
    if broken.by.is_some() {
        return Err(Failure::trouble("what is measured here now would say nothing of the platform")
            .hint("wait until it is done, or use another cluster")
            .into());
    }
    if !platform.spec.expendable {
        return Err(Failure::trouble("the platform is not as it is meant to be")
            .hint(format!("`{}` puts it back", cleanup(peer, None)))
            .into());
    }
    let runs = put_back(cluster).await?;
    if runs.is_empty() {
        return Ok(());
    }
    let selection = SweepSelection::Runs(runs.into_iter().collect());
    let found = find_leftovers(cluster, &selection).await.map_err(access::refused)?;
    if !found.meant.is_empty() {
        let within = platform.spec.deadlines.teardown.get();
        let kept = remove_leftovers_of_dead(cluster, &found, within).await.map_err(access::refused)?;
        let gone = found.meant.len() - kept.len();
        output::note(format_args!(
            "removed {} that it had left, {} still there",
            output::count(gone, "object"),
            kept.len()
        ));
    }
    Ok(())
}

/// Puts back what a dead run of sabotages left, and says so. Gives the runs that it had begun.
pub(super) async fn put_back(cluster: &Cluster) -> Result<Vec<String>, Failure> {
    let (objects, runs) = sabotage::put_back(cluster).await.map_err(refused)?;
    if !objects.is_empty() {
        output::note(format_args!("put back what an earlier run had left broken: {}", objects.join(", ")));
    }
    Ok(runs)
}

/// What is broken there, for those who only look.
pub(super) async fn broken(cluster: &Cluster) -> Result<Option<Broken>, Failure> {
    Ok(match sabotage::look(cluster).await.map_err(refused)? {
        Found::Broken(broken) => Some(broken),
        Found::Sound | Found::Unseen(_) => None,
    })
}

/// A sabotage's error with its exit code and what to do.
pub(super) fn refused(error: SabotageError) -> Failure {
    let hint = |text: &str| Some(text.to_owned());
    let (exit, hint) = match &error {
        SabotageError::NotExpendable { .. } => (Exit::Usage, hint("use the lab: `--cluster lab`")),
        SabotageError::Unknown { .. } => (Exit::Usage, hint("`plimsoll sabotage list` names them")),
        SabotageError::Nothing => (Exit::NothingSelected, hint("`plimsoll sabotage list` names them")),
        SabotageError::Data { .. }
        | SabotageError::NoBlueprint { .. }
        | SabotageError::NotALab { .. }
        | SabotageError::Edit { .. }
        | SabotageError::Plan { .. } => (Exit::Usage, None),
        SabotageError::Held { .. } => {
            (Exit::Inconclusive, hint("one at a time: wait until it is done, or use another cluster"))
        }
        SabotageError::NotRestored { .. } => {
            let again = cleanup(None, None);
            (Exit::Leftovers, Some(format!("mend what hinders it, then `{again}` tries again")))
        }
        SabotageError::Cluster(error) => (Exit::Inconclusive, error.hint()),
        _ => (Exit::Inconclusive, None),
    };
    Failure::with_hint(exit, hint, error)
}
