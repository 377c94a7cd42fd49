//! Breaking, looking who notices, mending.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use serde_json::Value;
use tokio::process::Command;

use super::{Grade, Graded, Sabotage, SabotageError, batches, grade, ledger, platform};
use crate::{cluster::Cluster, profile::LoadedPlatform};

/// What is to be graded, and by which program.
#[derive(Clone, Debug)]
pub struct Order {
    /// The program whose scenarios are graded: `plimsoll`.
    pub program: PathBuf,
    /// Its arguments that name the cluster: `--cluster lab:NAME`.
    pub target: Vec<String>,
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
    let restored = ledger::restore_leftovers(cluster).await?;
    if !restored.is_empty() {
        tell(Progress::Restored(restored));
    }
    ledger::release(cluster, &order.sabotages.iter().collect::<Vec<_>>()).await?;
    let mut result = Grade::default();
    let all = batches(&order.sabotages)?;
    for (index, batch) in all.iter().enumerate() {
        let names = batch.iter().map(|one| one.name.clone()).collect();
        tell(Progress::Breaking(index + 1, all.len(), names));
        let directory = order.directory.join(format!("batch-{index}"));
        let blueprint: Vec<_> = batch.iter().flat_map(|one| &one.blueprint).collect();
        let profile = platform::write(&order.platform, &blueprint, &directory)?;
        let edits: Vec<_> = batch.iter().flat_map(|one| &one.cluster).collect();
        ledger::break_cluster(cluster, &edits).await?;
        let scenarios = batch.iter().flat_map(|one| one.scenarios.iter().map(String::as_str));
        let report = scenarios_red_or_not(order, &profile, &directory, scenarios.collect()).await;
        // Mended first, whatever the run came to.
        ledger::restore_leftovers(cluster).await?;
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
