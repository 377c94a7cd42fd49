//! IAM-07: who may come to be administrator of the whole cluster.

use cucumber::{then, when};

use super::support::denials::summarised;
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, rbac},
    engine::{Evidence, EvidenceBody, ReasonKind},
    oracle::{AdminPath, admin_paths, undeclared},
    profile::{LoadedPlatform, Power},
};

/// Every path that was found.
#[derive(Debug)]
struct Paths(Vec<AdminPath>);

#[when(
    "every role and every binding of the cluster is read, and every path to its administrator is followed"
)]
async fn follow(world: &mut World) -> StepResult {
    let cluster = world.service::<Cluster>()?;
    let rbac = rbac(&cluster).await?;
    let paths = admin_paths(&rbac);
    world.record(Evidence {
        title: format!(
            "{} paths by {} bindings of {} roles",
            paths.len(),
            rbac.bindings.len(),
            rbac.roles.len()
        ),
        body: EvidenceBody::Text { lines: paths.iter().map(ToString::to_string).collect() },
    });
    world.slots.insert(Paths(paths));
    Ok(())
}

/// The control: whoever does not see the binding that every cluster has, has not seen the others either.
#[then("the path that every cluster has is among them")]
async fn known(world: &mut World) -> StepResult {
    let paths = &world.slots.require::<Paths>("paths")?.0;
    let known = paths.iter().any(|path| {
        path.power == Power::Everything && path.holder.name == "system:masters" && path.within.is_none()
    });
    if known {
        return Ok(());
    }
    Err(StepError::no_control(
        "the binding of cluster-admin to system:masters, which every cluster has, was not among those that were read",
    )
    .into())
}

#[then("every path is one that the profile declares")]
async fn declared(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let declared = profile.platform.spec.cluster_admins.as_deref().ok_or_else(|| {
        StepError::requirement(
            "expected the profile to declare who may come to be administrator of the cluster, saw nothing in it",
        )
        .hint("name them under `spec.clusterAdmins` of the profile")
    })?;
    let paths = &world.slots.require::<Paths>("paths")?.0;
    let holes: Vec<_> = undeclared(paths, declared)
        .into_iter()
        .map(|path| {
            format!(
                "expected no path to the administrator of the cluster but the declared ones, saw that {path}"
            )
        })
        .collect();
    if holes.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, holes).into()) }
}
