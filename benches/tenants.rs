//! How fast tenants come and go: onboarded the lab's way to usable, then removed until nothing is left.
//!
//! `cargo bench --bench tenants -- --lab NAME [--count 100] [--parallel 32]`. Tenants have no workload: what is measured is
//! the way to a namespace that can be used, with its account, its quotas counted and its rights acted upon. The size in
//! memory is that of this process, which holds all tenants at one time as a run would.

use std::error::Error;
use std::time::{Duration, Instant};

use plimsoll::tenant::TenantSpec;

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/ground.rs"]
mod ground;

use arguments::number;
use ground::{Ground, memory};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = number("--count", 100)?;
    let ground = Ground::enter(number("--parallel", 32)?).await?;

    let begun = Instant::now();
    let specs = (0..count).map(|index| TenantSpec::subject(format!("t{index:04}")));
    let tenants = ground.pool.acquire_all(specs).await;
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
    let left = ground.leave(Duration::from_secs(300)).await;
    onboarded?;
    left
}
