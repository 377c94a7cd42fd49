//! Breaking, looking who notices, mending.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use serde_json::Value;
use tokio::process::Command;

use super::{Grade, Graded, Sabotage, SabotageError, batches, grade, ledger, platform};
use crate::{
    cluster::{Cluster, PeerClusters},
    profile::LoadedPlatform,
};

/// What is to be graded, and by which program.
#[derive(Clone, Debug)]
pub struct Order {
    /// The program whose scenarios are graded: `plimsoll`.
    pub program: PathBuf,
    /// Its arguments that name the cluster: `--cluster lab:NAME`.
    pub target: Vec<String>,
    /// Its arguments that name the other clusters of the fleet: `--peer production=lab:NAME`.
    pub peer_target: Vec<String>,
    /// The other clusters of the fleet.
    pub peers: PeerClusters,
    /// The sound platform.
    pub platform: Arc<LoadedPlatform>,
    /// What is broken.
    pub sabotages: Vec<Sabotage>,
    /// Where edited profiles and the results of the runs go.
    pub directory: PathBuf,
    /// Whether the scenarios are run on the sound platform, too.
    pub sound: bool,
}

/// Told as it goes on.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Somebody had died at work; this has been put back.
    Restored(Vec<String>),
    /// These are broken now, and their scenarios run: batch, batches, names.
    Breaking(usize, usize, Vec<String>),
    /// It needs something that the run has not.
    NotTried(String, String),
    /// What became of one.
    Judged(Graded),
}

/// Breaks, runs the scenarios that must notice, mends, and proves that it is mended. One batch after the other.
pub async fn run(
    cluster: &Cluster,
    order: &Order,
    mut tell: impl FnMut(Progress),
) -> Result<Grade, SabotageError> {
    if !order.platform.platform.spec.expendable {
        let profile = order.platform.platform.metadata.name.clone();
        return Err(SabotageError::NotExpendable { profile });
    }
    let restored = restore_everywhere(cluster, &order.peers).await?;
    if !restored.is_empty() {
        tell(Progress::Restored(restored));
    }
    ledger::release(cluster, &order.sabotages.iter().collect::<Vec<_>>()).await?;
    let mut result = Grade::default();
    let (sabotages, left_out) = possible(order);
    for (name, why) in left_out {
        tell(Progress::NotTried(name.clone(), why.clone()));
        result.not_tried.insert(name, why);
    }
    let all = batches(&sabotages)?;
    for (index, batch) in all.iter().enumerate() {
        let names = batch.iter().map(|one| one.name.clone()).collect();
        tell(Progress::Breaking(index + 1, all.len(), names));
        let directory = order.directory.join(format!("batch-{index}"));
        let blueprint: Vec<_> = batch.iter().flat_map(|one| &one.blueprint).collect();
        let profile = platform::write(&order.platform, &blueprint, &directory)?;
        let edits: Vec<_> = batch.iter().flat_map(|one| &one.cluster).collect();
        let lab_edits: Vec<_> = batch.iter().flat_map(|one| &one.lab).collect();
        let (here, elsewhere): (Vec<_>, Vec<_>) = lab_edits.into_iter().partition(|edit| edit.peer.is_none());
        ledger::break_cluster(cluster, &edits, &here).await?;
        for peer in order.peers.all() {
            let there: Vec<_> =
                elsewhere.iter().copied().filter(|edit| edit.peer.as_ref() == Some(&peer.name)).collect();
            ledger::break_cluster(&peer.cluster, &[], &there).await?;
        }
        let scenarios = batch.iter().flat_map(|one| one.scenarios.iter().map(String::as_str));
        let report = scenarios_red_or_not(order, &profile, &directory, scenarios.collect()).await;
        // Mended first, whatever the run came to.
        restore_everywhere(cluster, &order.peers).await?;
        ledger::release(cluster, batch).await?;
        let report = report?;
        for one in batch {
            let graded = grade::judge(one, &report);
            tell(Progress::Judged(graded.clone()));
            result.sabotages.push(graded);
        }
    }
    if order.sound {
        let directory = order.directory.join("sound");
        let profile = platform::write(&order.platform, &[], &directory)?;
        let mut scenarios: Vec<_> =
            order.sabotages.iter().flat_map(|one| one.scenarios.iter().map(String::as_str)).collect();
        scenarios.sort_unstable();
        scenarios.dedup();
        let report = scenarios_red_or_not(order, &profile, &directory, scenarios).await?;
        result.false_alarms = Some(grade::not_passed(&report));
    }
    result.sabotages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(result)
}

/// Those that can be tried, and the others with what they lack.
fn possible(order: &Order) -> (Vec<Sabotage>, Vec<(String, String)>) {
    let (mut can, mut cannot) = (Vec::new(), Vec::new());
    for sabotage in &order.sabotages {
        let missing = sabotage.peers().find(|name| !order.peers.all().iter().any(|peer| peer.name == *name));
        match missing {
            Some(name) => {
                cannot.push((
                    sabotage.name.clone(),
                    format!("it needs the peer `{name}`: --peer {name}=lab:NAME"),
                ));
            }
            None => can.push(sabotage.clone()),
        }
    }
    (can, cannot)
}

async fn restore_everywhere(cluster: &Cluster, peers: &PeerClusters) -> Result<Vec<String>, SabotageError> {
    let mut restored = ledger::restore_leftovers(cluster).await?;
    for peer in peers.all() {
        restored.extend(ledger::restore_leftovers(&peer.cluster).await?);
    }
    Ok(restored)
}

/// Runs scenarios by the program itself, in a process of its own, and reads its report.
async fn scenarios_red_or_not(
    order: &Order,
    profile: &Path,
    directory: &Path,
    mut scenarios: Vec<&str>,
) -> Result<Value, SabotageError> {
    scenarios.sort_unstable();
    scenarios.dedup();
    let report = directory.join("report.json");
    let mut command = Command::new(&order.program);
    command
        .arg("run")
        .args(&order.target)
        .args(&order.peer_target)
        .arg("--profile")
        .arg(profile)
        .arg("--reports-dir")
        .arg(directory.join("runs"))
        .arg("--report")
        .arg(format!("json={}", report.display()));
    for scenario in scenarios {
        command.args(["--scenario", scenario]);
    }
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(SabotageError::file(format!("start {}", order.program.display())))?;
    let no_report = |why: &str| {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<_> = said.lines().rev().take(15).collect();
        let lines: Vec<_> = last.into_iter().rev().collect();
        SabotageError::NoReport { status: format!("{} ({why})", output.status), output: lines.join("\n") }
    };
    let text = std::fs::read_to_string(&report).map_err(|error| no_report(&error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| no_report(&error.to_string()))
}
