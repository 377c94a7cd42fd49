//! The tenants that a scenario begins with.

use cucumber::given;

use super::support::tenants;
use crate::{
    bdd::{StepResult, World},
    tenant::{TenantSpec, Workload},
};

#[given(expr = "tenant {string}, onboarded the platform's way")]
async fn one(world: &mut World, name: String) -> StepResult {
    Ok(tenants::take(world, vec![TenantSpec::subject(name)]).await?)
}

#[given(expr = "tenants {string} and {string}, onboarded the platform's way")]
async fn two(world: &mut World, one: String, other: String) -> StepResult {
    Ok(tenants::take(world, vec![TenantSpec::subject(one), TenantSpec::subject(other)]).await?)
}

#[given(expr = "a tenant {string} of its own")]
async fn own(world: &mut World, name: String) -> StepResult {
    Ok(tenants::take(world, vec![TenantSpec::subject(name).exclusive()]).await?)
}

#[given(expr = "tenant {string}, onboarded the platform's way, with a running workload")]
async fn one_running(world: &mut World, name: String) -> StepResult {
    Ok(tenants::take(world, vec![TenantSpec::subject(name).with(Workload::ThreeTier)]).await?)
}
