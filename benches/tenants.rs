//! How fast tenants come and go: onboarded the lab's way to usable, then removed until nothing is left.
//!
//! `cargo bench --bench tenants -- --lab NAME [--count 100] [--parallel 32]`. Tenants have no workload: what is measured is
//! the way to a namespace that can be used, with its account, its quotas counted and its rights acted upon. The size in
//! memory is that of this process, which holds all tenants at one time as a run would.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::cluster::{self, ConnectOptions, RunId, SweepSelection, Target};
use plimsoll::engine::EventSink;
use plimsoll::probe::image;
use plimsoll::profile;
use plimsoll::tenant::{AgentImage, PoolSettings, TenantPool, TenantSpec};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|it| it == name)?;
        arguments.get(at + 1).cloned()
    };
    let count: usize = value("--count").map_or(Ok(100), |text| text.parse())?;
    let parallel: usize = value("--parallel").map_or(Ok(32), |text| text.parse())?;
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

    let begun = Instant::now();
    let specs = (0..count).map(|index| TenantSpec::subject(format!("t{index:04}")));
    let tenants = pool.acquire_all(specs).await;
    let took = begun.elapsed().as_secs_f64();
    if let Ok(tenants) = &tenants {
        let mut each: Vec<Duration> = tenants.iter().map(|tenant| tenant.onboarding()).collect();
        each.sort_unstable();
        let at = |share: usize| {
            each.get((each.len() * share / 100).min(each.len() - 1)).copied().unwrap_or_default()
        };
        println!("onboarded {count} in {took:.3} s, {:.1} a second", count as f64 / took);
        println!("each: p50 {:.3} s, p99 {:.3} s", at(50).as_secs_f64(), at(99).as_secs_f64());
        println!("resident {} kB, at most {} kB", memory("VmRSS"), memory("VmHWM"));
    }
    let onboarded = tenants.map(drop);
    let begun = Instant::now();
    let report = pool.close(Duration::from_secs(300)).await;
    println!(
        "removed {} in {:.3} s, {} left over",
        report.removed.len(),
        begun.elapsed().as_secs_f64(),
        report.leftovers.len()
    );
    let left = cluster::find_leftovers(&cluster, &SweepSelection::Runs([run.to_string()].into())).await?;
    println!("found afterwards by their label: {}", left.meant.len());
    onboarded?;
    if report.leftovers.is_empty() && left.meant.is_empty() {
        Ok(())
    } else {
        Err("something is left over".into())
    }
}

/// A figure of the kernel's about this process, in kilobytes.
fn memory(field: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or("?").to_owned()
}
