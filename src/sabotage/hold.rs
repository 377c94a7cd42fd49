//! Who breaks a platform just now: one at a time, by a lease on the cluster itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use super::SabotageError;
use super::ledger::{RECORD_NAME, RECORD_NAMESPACE};
use crate::cluster::Cluster;

/// A holder that has not renewed for that long is dead.
const LIFETIME: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(7);
/// Which boot of which machine the holder's process is of, which process it is, and since when it runs.
const PROCESS: &str = "plimsoll.dev/process";
/// The runs of the holder, so that whoever comes after it can remove what they left.
const RUNS: &str = "plimsoll.dev/runs";

/// Who holds a platform, as its lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// For people: `plimsoll at build-7, process 4711, since 2026-01-31T09:30:00Z`.
    pub name: String,
    /// Whether it may still be at work.
    pub alive: bool,
    /// Its runs.
    pub runs: Vec<String>,
}

fn leases(cluster: &Cluster) -> Api<Lease> {
    Api::namespaced(cluster.client(), RECORD_NAMESPACE)
}

/// Who holds the platform, if anybody.
pub(super) async fn holder(cluster: &Cluster) -> Result<Option<Holder>, SabotageError> {
    let lease = leases(cluster)
        .get_opt(RECORD_NAME)
        .await
        .map_err(|error| cluster.error("look who breaks the platform", error))?;
    match lease {
        Some(lease) => Ok(Some(read(cluster, &lease).await?)),
        None => Ok(None),
    }
}

async fn read(cluster: &Cluster, lease: &Lease) -> Result<Holder, SabotageError> {
    let spec = lease.spec.clone().unwrap_or_default();
    let note = |key: &str| lease.annotations().get(key).cloned().unwrap_or_default();
    let renewed = spec.renew_time.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let alive = match process_state(&note(PROCESS)) {
        Process::Gone => false,
        // Its own machine says that it runs; but one that hangs for good must not keep the platform for good.
        Process::Runs | Process::Elsewhere => {
            // The renewals carry the holder's clock; ours may differ, and the API server's is between the two.
            let skew = cluster.clock_skew().await.map_or(0, |skew| skew.ahead_ms.unsigned_abs());
            let grace = LIFETIME + Duration::from_millis(skew);
            let age = Timestamp::now().as_millisecond() - renewed.as_millisecond();
            age < i64::try_from(grace.as_millis()).unwrap_or(i64::MAX)
        }
    };
    let runs = note(RUNS).split(',').filter(|run| !run.is_empty()).map(str::to_owned).collect();
    Ok(Holder { name: spec.holder_identity.unwrap_or_else(|| "somebody".to_owned()), alive, runs })
}

/// The platform, held until this is released. Whoever dies with it in hand loses it by not renewing, or at once where
/// its own machine shows that it is dead.
#[derive(Debug)]
pub(super) struct Hold {
    cluster: Cluster,
    uid: Option<String>,
    lost: CancellationToken,
    renewing: tokio::task::JoinHandle<()>,
}

/// A hold with what a dead holder left.
pub(super) struct Taken {
    pub hold: Hold,
    /// The runs of a holder who died.
    pub orphans: Vec<String>,
}

impl Hold {
    /// Takes the platform, or says who has it.
    pub async fn take(cluster: &Cluster, runs: &[String]) -> Result<Taken, SabotageError> {
        let doing = "take hold of the platform";
        let mut lease = ours(runs);
        let api = leases(cluster);
        let mut orphans = Vec::new();
        let stored = match api.create(&PostParams::default(), &lease).await {
            Ok(stored) => stored,
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let there = api.get(RECORD_NAME).await.map_err(|error| cluster.error(doing, error))?;
                let holder = read(cluster, &there).await?;
                if holder.alive {
                    return Err(SabotageError::Held { holder: holder.name });
                }
                orphans = holder.runs;
                // Of two who come at the same time, the version lets one pass. The orphans stay noted until they are gone.
                lease.metadata.resource_version = there.resource_version();
                let all: Vec<_> = orphans.iter().chain(runs).cloned().collect();
                lease.annotations_mut().insert(RUNS.to_owned(), all.join(","));
                match api.replace(RECORD_NAME, &PostParams::default(), &lease).await {
                    Ok(stored) => stored,
                    Err(kube::Error::Api(status)) if status.is_conflict() => {
                        return Err(SabotageError::Held { holder: "somebody who was faster".to_owned() });
                    }
                    Err(error) => return Err(cluster.error(doing, error).into()),
                }
            }
            Err(error) => return Err(cluster.error(doing, error).into()),
        };
        let lost = CancellationToken::new();
        let uid = stored.uid();
        let renewing = tokio::spawn(renew(cluster.clone(), stored, lost.clone()));
        Ok(Taken { hold: Self { cluster: cluster.clone(), uid, lost, renewing }, orphans })
    }

    /// Cancelled where somebody else has taken the platform, or nobody can tell.
    pub const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Lets go.
    pub async fn release(self) -> Result<(), SabotageError> {
        self.renewing.abort();
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: self.uid, resource_version: None }),
            ..DeleteParams::default()
        };
        match leases(&self.cluster).delete(RECORD_NAME, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(self.cluster.error("let go of the platform", error).into()),
        }
    }
}

/// Renews until it is told to stop, or until somebody else has it.
async fn renew(cluster: Cluster, mut lease: Lease, lost: CancellationToken) {
    let api = leases(&cluster);
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        match api.replace(RECORD_NAME, &PostParams::default(), &lease).await {
            Ok(stored) => {
                lease = stored;
                renewed = tokio::time::Instant::now();
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                return lost.cancel();
            }
            Err(error) if renewed.elapsed() > LIFETIME => {
                tracing::warn!(%error, "the hold on the platform could not be renewed");
                return lost.cancel();
            }
            Err(_) => {}
        }
    }
}

fn ours(runs: &[String]) -> Lease {
    let now = Timestamp::now();
    let process = this_process();
    let host = host();
    let since = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut lease = Lease {
        metadata: ObjectMeta { name: Some(RECORD_NAME.to_owned()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(format!(
                "plimsoll at {host}, process {}, since {since}",
                std::process::id()
            )),
            lease_duration_seconds: i32::try_from(LIFETIME.as_secs()).ok(),
            acquire_time: Some(MicroTime(now)),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    };
    let notes = lease.annotations_mut();
    notes.insert(RUNS.to_owned(), runs.join(","));
    notes.insert(PROCESS.to_owned(), process);
    lease
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "an unnamed machine".to_owned(), |name| name.trim().to_owned())
}

/// Which boot of which machine, and which process since when: no other process ever has the same.
fn this_process() -> String {
    let pid = std::process::id();
    match (boot(), started(pid)) {
        (Some(boot), Some(started)) => format!("{boot}/{pid}/{started}"),
        _ => String::new(),
    }
}

fn boot() -> Option<Arc<str>> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // A container on the same machine has other process ids: its own namespace tells.
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{}:{}", id.trim(), space.display()).into())
}

/// Ticks from the boot to the start of a process; none where there is no such process.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name, in parentheses, and may hold anything; the start is the 22nd.
    let rest = &stat[stat.rfind(')')? + 1..];
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    // One that only waits to be noticed by its parent works no more.
    (state != "Z" && state != "X").then(|| fields.nth(18).map(str::to_owned)).flatten()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    Runs,
    Gone,
    /// On another machine, or of a kind that cannot be looked at.
    Elsewhere,
}

fn process_state(note: &str) -> Process {
    let mut parts = note.rsplitn(3, '/');
    let (Some(start), Some(pid), Some(of)) = (parts.next(), parts.next(), parts.next()) else {
        return Process::Elsewhere;
    };
    let Ok(pid) = pid.parse() else { return Process::Elsewhere };
    if boot().as_deref() != Some(of) {
        return Process::Elsewhere;
    }
    if started(pid).as_deref() == Some(start) { Process::Runs } else { Process::Gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_boot_its_number_and_its_start() {
        let own = this_process();
        assert_eq!(process_state(&own), Process::Runs);
        assert_eq!(process_state(&format!("{own}1")), Process::Gone);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start = started(child.id()).unwrap_or_default();
        child.wait().unwrap();
        let gone = format!("{}/{}/{start}", boot().unwrap(), child.id());
        assert_eq!(process_state(&gone), Process::Gone);
        assert_eq!(process_state("another-boot:pid/1/2"), Process::Elsewhere);
        assert_eq!(process_state(""), Process::Elsewhere);
    }
}
