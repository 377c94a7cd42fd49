//! The tenants of a scenario, and who acts for them.

use std::{fmt, str::FromStr, sync::Arc};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, api::PostParams};

use super::denials::summarised;
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{ComparisonRow, Evidence, EvidenceBody, ReasonKind},
    profile::{Identity, Impersonation, LoadedPlatform},
    tenant::{Actor, Tenant, TenantLease, TenantPool, TenantSpec, Workload},
};

/// The tenants of a scenario, in the order in which it named them. They are given back when the scenario is over.
#[derive(Debug, Default)]
struct Tenants {
    leases: Vec<TenantLease>,
    controls: Vec<TenantLease>,
}

/// Takes tenants from the pool, all at one time.
pub async fn take(world: &mut World, specs: Vec<TenantSpec>) -> Result<(), StepError> {
    let pool = world.service::<TenantPool>()?;
    let leases = pool.acquire_all(specs).await.map_err(StepError::from)?;
    world.slots.entry::<Tenants>().leases.extend(leases);
    Ok(())
}

/// Takes the scenario's tenants again, with what else they shall have.
pub async fn take_again(world: &mut World, specs: Vec<TenantSpec>) -> Result<(), StepError> {
    let pool = world.service::<TenantPool>()?;
    let leases = pool.acquire_all(specs).await.map_err(StepError::from)?;
    world.slots.entry::<Tenants>().leases = leases;
    Ok(())
}

/// Takes control tenants, each with the three-tier workload.
pub async fn take_controls(world: &mut World, names: &[&str]) -> Result<(), StepError> {
    let pool = world.service::<TenantPool>()?;
    let specs = names.iter().map(|name| TenantSpec::control(*name).with(Workload::ThreeTier));
    let leases = pool.acquire_all(specs).await.map_err(StepError::from)?;
    world.slots.entry::<Tenants>().controls = leases;
    Ok(())
}

fn tenants(world: &World) -> Result<&Tenants, StepError> {
    world.slots.require::<Tenants>("tenants")
}

/// The subjects of the scenario.
pub fn all(world: &World) -> Result<Vec<Arc<Tenant>>, StepError> {
    Ok(tenants(world)?.leases.iter().map(|lease| Arc::clone(lease.tenant())).collect())
}

/// The subject of that name.
pub fn named(world: &World, name: &str) -> Result<Arc<Tenant>, StepError> {
    tenants(world)?
        .leases
        .iter()
        .find(|lease| lease.name() == name)
        .map(|lease| Arc::clone(lease.tenant()))
        .ok_or_else(|| {
            StepError::trouble(format!("no earlier step of the scenario names the tenant `{name}`"))
        })
}

/// The subject that "its" refers to: the one named last.
pub fn its(world: &World) -> Result<Arc<Tenant>, StepError> {
    let lease = tenants(world)?.leases.last();
    lease
        .map(|lease| Arc::clone(lease.tenant()))
        .ok_or_else(|| StepError::trouble("no earlier step of the scenario names a tenant"))
}

/// The control tenants.
pub fn controls(world: &World) -> Result<Vec<Arc<Tenant>>, StepError> {
    Ok(tenants(world)?.controls.iter().map(|lease| Arc::clone(lease.tenant())).collect())
}

/// The control tenant, or the first of them.
pub fn control(world: &World) -> Result<Arc<Tenant>, StepError> {
    let lease = tenants(world)?.controls.first();
    lease
        .map(|lease| Arc::clone(lease.tenant()))
        .ok_or_else(|| StepError::trouble("no earlier step of the scenario asks for a control tenant"))
}

/// Takes the tenant named last out of the scenario, in order to remove it.
pub fn surrender(world: &mut World) -> Result<TenantLease, StepError> {
    world
        .slots
        .require_mut::<Tenants>("tenants")?
        .leases
        .pop()
        .ok_or_else(|| StepError::trouble("no earlier step of the scenario names a tenant"))
}

/// Who acts for a tenant in a role.
pub fn actor(tenant: &Tenant, role: Role) -> Result<Actor, StepError> {
    Ok(match role {
        Role::Administrator => tenant.admin().clone(),
        Role::Viewer => tenant.viewer().map_err(StepError::from)?.clone(),
    })
}

/// The workload of a tenant, as the cluster knows it: the service account that its pods run under, with a token of its
/// own, as a pod would have one.
pub async fn workload(world: &World, tenant: &Tenant) -> Result<Actor, StepError> {
    const ACCOUNT: &str = "default";
    let cluster = world.service::<Cluster>()?;
    let namespace = tenant.namespace();
    let user = format!("system:serviceaccount:{namespace}:{ACCOUNT}");
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(600), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
    let issued = accounts
        .create_token_request(ACCOUNT, &PostParams::default(), &request)
        .await
        .map_err(|error| cluster.error(format!("issue a token of {user}"), error))?;
    let token = issued
        .status
        .map(|status| status.token)
        .ok_or_else(|| StepError::trouble(format!("the token of {user} was not in the answer")))?;
    Ok(Actor {
        name: user.clone(),
        user: Some(user),
        groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
        client: cluster.bearer(&token)?,
    })
}

/// Somebody who may do everything, for controls: a member of `system:masters` where the run may act under other
/// names, else the run itself. What it does in controls is a dry run, or leads nowhere.
pub fn cluster_administrator(world: &World) -> Result<Actor, StepError> {
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let who = match &profile.platform.spec.tenancy.identities.admin {
        Identity::Impersonate(_) => Some(Impersonation {
            user: "plimsoll-control".to_owned(),
            groups: vec!["system:masters".to_owned()],
        }),
        Identity::Kubeconfig(_) => None,
    };
    Ok(match who {
        Some(who) => Actor {
            name: "the administrator of the cluster".to_owned(),
            client: cluster.impersonate(&who)?,
            user: Some(who.user),
            groups: who.groups,
        },
        None => {
            Actor { name: "the harness".to_owned(), user: None, groups: Vec::new(), client: cluster.raw() }
        }
    })
}

/// The image that every pod of the run is made from, so that a platform's rules about images are kept, too.
pub fn image(world: &World) -> Result<String, StepError> {
    Ok(world.service::<TenantPool>()?.settings().image.reference.clone())
}

/// A role of a tenant, as features call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(name = "role", regex = "administrator|viewer")]
pub enum Role {
    /// Runs the tenant.
    Administrator,
    /// May look only.
    Viewer,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "administrator" => Ok(Self::Administrator),
            "viewer" => Ok(Self::Viewer),
            _ => Err(format!("`{word}` is no role; the roles are administrator and viewer")),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Administrator => "administrator",
            Self::Viewer => "viewer",
        })
    }
}

/// Evidence of compared values, and a failure that names each that does not hold.
pub fn all_hold(world: &World, title: &str, rows: Vec<ComparisonRow>) -> StepResult {
    if rows.is_empty() {
        return Err(StepError::trouble(format!("nothing to compare: {title}")).into());
    }
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| !row.holds)
        .map(|row| format!("expected {} to be {}, saw {}", row.name, row.expected, row.seen))
        .collect();
    world.record(Evidence { title: title.to_owned(), body: EvidenceBody::Comparison { rows } });
    if wrong.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, wrong).into()) }
}
