//! The lab that is measured, and the tenants on it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::cluster::{self, Cluster, ConnectOptions, RunId, SweepSelection, Target};
use plimsoll::engine::EventSink;
use plimsoll::probe::image;
use plimsoll::profile;
use plimsoll::tenant::{AgentImage, PoolSettings, TenantPool};

use crate::arguments::value;

/// A lab, and a run on it.
pub struct Ground {
    pub cluster: Cluster,
    pub pool: TenantPool,
    run: RunId,
}

impl Ground {
    /// Connects to the lab of `--lab`; so many tenants are onboarded at a time.
    pub async fn enter(parallel: usize) -> Result<Self, Box<dyn Error>> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let platform = Arc::new(profile::load_lab()?);
        let options = ConnectOptions { mutating: true, ci: true, request_timeout: None, impersonate: None };
        let name = value("--lab").unwrap_or_else(|| "default".to_owned());
        let cluster = cluster::connect(&Target::Lab { name }, &platform.platform, &options).await?;
        let image = AgentImage { reference: image::agent_reference(), archive: None };
        let run = RunId::random();
        let settings = PoolSettings::new(run.clone(), platform, image, EventSink::discard());
        let pool = TenantPool::new(cluster.clone(), PoolSettings { parallel, ..settings });
        // Asked once a process, whatever is made then.
        cluster.discovery().await?;
        Ok(Self { cluster, pool, run })
    }

    /// Removes all tenants, and tells how long that took. What is left over is an error.
    pub async fn leave(&self, within: Duration) -> Result<(), Box<dyn Error>> {
        let begun = std::time::Instant::now();
        let report = self.pool.close(within).await;
        println!(
            "removed {} in {:.3} s, {} left over",
            report.removed.len(),
            begun.elapsed().as_secs_f64(),
            report.leftovers.len()
        );
        let ours = SweepSelection::Runs([self.run.to_string()].into());
        let left = cluster::find_leftovers(&self.cluster, &ours).await?;
        println!("found afterwards by their label: {}", left.meant.len());
        if report.leftovers.is_empty() && left.meant.is_empty() {
            Ok(())
        } else {
            Err("something is left over".into())
        }
    }
}

/// A figure of the kernel's about this process, in kB: `VmRSS`, `VmHWM`.
pub fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
