//! NET-11: policies of the whole cluster, beside those of a tenant.

use std::{sync::Arc, time::Duration};

use cucumber::{then, when};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, PostParams},
};

use super::{
    network::{convergence, fleet_of},
    support::{
        agents,
        api::{Tries, dry, dry_delete, typed},
        denials::{self, Sandwich, Tried},
        paths, tenants,
    },
    words,
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, WideAction, WidePolicy, wide_policy_kind},
    engine::{ControlPhase, Evidence, EvidenceBody},
    probe::{Accepted, AddressKind, Attempt, Fleet, Pace, Source, Target, Transport, VerdictKind},
    profile::{ClusterPolicy, LoadedPlatform},
    tenant::{Actor, Tenant, Tier},
};

/// The port of the declared paths, and one that no path of the workload declares.
const DECLARED: u16 = 8080;
const UNDECLARED: u16 = 9090;

/// Early enough to be before every other, and yet room before it.
const EARLY: u16 = 10;
const LATE: u16 = 20;

/// A path with what it came to under the policies of the cluster, and without them before and after.
#[derive(Debug)]
struct Overruled {
    before: Attempt,
    /// The last attempt under the policies, and how long it took until it was so; none where it never was.
    under: Attempt,
    took: Option<Duration>,
    after: Attempt,
}

fn promise(world: &World) -> Result<ClusterPolicy, StepError> {
    let profile = world.service::<LoadedPlatform>()?;
    profile.platform.spec.network.cluster_policy.clone().ok_or_else(|| {
        StepError::capability(
            "the profile does not say in which dialect policies of the whole cluster are written",
        )
        .hint("say so in `spec.network.clusterPolicy`")
    })
}

struct Stage {
    tenant: Arc<Tenant>,
    fleet: Fleet,
    api: Api<DynamicObject>,
    promise: ClusterPolicy,
    within: Duration,
    seed: u64,
}

fn stage(world: &World) -> Result<Stage, StepError> {
    let (tenant, promise) = (tenants::its(world)?, promise(world)?);
    let cluster = world.service::<Cluster>()?;
    let kind = wide_policy_kind(promise.dialect);
    Ok(Stage {
        fleet: fleet_of(world, [&tenant], &[])?,
        api: Api::all_with(cluster.client(), &kind),
        within: convergence(world)?,
        seed: world.scenario().seed() & 0xffff,
        tenant,
        promise,
    })
}

impl Stage {
    fn policy(&self, precedence: u16, action: WideAction) -> WidePolicy {
        WidePolicy {
            name: format!("{}-wide-{:04x}-{precedence}", self.tenant.id(), self.seed),
            precedence,
            namespace: self.tenant.namespace().to_owned(),
            action,
        }
    }

    fn object(&self, world: &World, policy: &WidePolicy) -> Result<DynamicObject, StepError> {
        let mut object: DynamicObject = typed(policy.object(self.promise.dialect))?;
        let ownership = self.tenant.ownership().of_scenario(world.scenario().id().0.clone());
        ownership.stamp(&mut object.metadata);
        Ok(object)
    }

    fn path(&self, port: u16) -> Result<(Source, Target), StepError> {
        // Declared is the way from web to api; a port that nobody declares is on both.
        let place = format!("{}/{}", self.tenant.name(), Tier::Api);
        let target = paths::targets(&self.tenant, &[AddressKind::PodAddress])?
            .into_iter()
            .find(|it| it.place == place && it.port == port && it.transport == Transport::Tcp)
            .ok_or_else(|| StepError::trouble(format!("nothing listens at {place}:{port}")))?;
        Ok((paths::source(&self.tenant, Tier::Web)?, target))
    }

    /// Puts policies in force, waits for the path to become as wanted, takes them away again whatever came of it, and
    /// waits for the path to be as it was.
    async fn overrule(
        &self,
        world: &World,
        policies: &[WidePolicy],
        port: u16,
        wanted: &Accepted,
        otherwise: &Accepted,
    ) -> Result<Overruled, StepError> {
        let cluster = world.service::<Cluster>()?;
        let (source, target) = self.path(port)?;
        let pace = Pace { deadline_ms: 250, attempts_ms: vec![0, 80, 160] };
        let until = async |accepted: &Accepted| {
            let wanted = |kind| accepted.contains(kind);
            let took = agents::until(&self.fleet, &source, &target, &pace, self.within, wanted).await;
            (took, self.fleet.probe(source.clone(), target.clone()).await)
        };
        let (_, before) = until(otherwise).await;
        let mut made = Ok(());
        for policy in policies {
            let object = self.object(world, policy)?;
            let doing = format!("create the policy {} of the cluster", policy.name);
            made = made.and(
                self.api
                    .create(&PostParams::default(), &object)
                    .await
                    .map(drop)
                    .map_err(|error| cluster.error(doing, error)),
            );
        }
        let under = if made.is_ok() { Some(until(wanted).await) } else { None };
        for policy in policies {
            // What was never made is gone already.
            let gone = self.api.delete(&policy.name, &DeleteParams::default()).await;
            if let Err(error) = gone
                && !matches!(&error, kube::Error::Api(status) if status.is_not_found())
            {
                made = made.and(Err(cluster.error(format!("delete the policy {}", policy.name), error)));
            }
        }
        made?;
        let Some((took, under)) = under else {
            return Err(StepError::trouble("no policy of the cluster was made"));
        };
        let (_, after) = until(otherwise).await;
        Ok(Overruled { before, under, took: took.ok(), after })
    }
}

#[when("the platform denies, for the whole cluster, a path that the tenant declares")]
async fn deny(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    let policies = [stage.policy(EARLY, WideAction::Deny)];
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &policies, DECLARED, &closed, &open).await?;
    world.slots.insert(seen);
    Ok(())
}

#[when("the platform allows, for the whole cluster, a path that the tenant does not declare")]
async fn allow(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    if !stage.promise.allows_win {
        let message = "the profile does not promise that an allowance of the whole cluster wins";
        return Err(StepError::capability(message)
            .hint("say so in `spec.network.clusterPolicy.allowsWin`")
            .into());
    }
    let policies = [stage.policy(EARLY, WideAction::Allow)];
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &policies, UNDECLARED, &open, &closed).await?;
    world.slots.insert(seen);
    Ok(())
}

#[when(
    "the platform allows a path that the tenant declares for the whole cluster, and denies it with more precedence"
)]
async fn deny_before_allow(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    // The later one is made first, so that the order of making cannot be what decides.
    let policies = [stage.policy(LATE, WideAction::Allow), stage.policy(EARLY, WideAction::Deny)];
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &policies, DECLARED, &closed, &open).await?;
    world.slots.insert(seen);
    Ok(())
}

fn in_time(world: &World, accepted: &Accepted) -> Result<(), StepError> {
    let seen = world.slots.require::<Overruled>("policies of the cluster")?;
    world.record(seen.under.to_evidence(accepted, None));
    let Some(took) = seen.took else {
        let message = format!(
            "expected {accepted} from {} under the policy of the cluster, saw {}",
            seen.under, seen.under.verdict
        );
        let unclear = seen.under.verdict.kind() == VerdictKind::ProbeError;
        return Err(if unclear { StepError::trouble(message) } else { StepError::requirement(message) });
    };
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    world.record(Evidence {
        title: "from the making of the policy until it was in force".to_owned(),
        body: EvidenceBody::Timing {
            values_us: vec![("took".to_owned(), micros(took))],
            bound_us: Some(micros(convergence(world)?)),
        },
    });
    Ok(())
}

#[then(regex = r"^that path is ([A-Z_]+(?: or [A-Z_]+)*) within the promised time$")]
async fn overruled(world: &mut World, words: String) -> StepResult {
    let accepted = words::closed_as(world, &words)?;
    Ok(in_time(world, &accepted)?)
}

fn around(world: &World, accepted: &Accepted) -> Result<(), StepError> {
    let seen = world.slots.require::<Overruled>("policies of the cluster")?;
    for (attempt, phase) in [(&seen.before, ControlPhase::Before), (&seen.after, ControlPhase::After)] {
        world.record(attempt.to_evidence(accepted, Some(phase)));
        if !accepted.contains(attempt.verdict.kind()) {
            return Err(StepError::no_control(format!(
                "expected {accepted} from {attempt} without the policy of the cluster, saw {}",
                attempt.verdict
            )));
        }
    }
    Ok(())
}

#[then("it was OPEN without it just before and just after")]
async fn open_without(world: &mut World) -> StepResult {
    Ok(around(world, &Accepted::only(VerdictKind::Open))?)
}

#[then(regex = r"^without it the path was ([A-Z_]+(?: or [A-Z_]+)*) just before, and is so again$")]
async fn closed_without(world: &mut World, words: String) -> StepResult {
    let accepted = words::closed_as(world, &words)?;
    Ok(around(world, &accepted)?)
}

#[when("the administrator of the tenant tries to make a policy of the whole cluster, and to remove one")]
async fn try_to_write(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    let cluster = world.service::<Cluster>()?;
    let kind = wide_policy_kind(stage.promise.dialect);
    let policy = stage.policy(EARLY, WideAction::Allow);
    let object = stage.object(world, &policy)?;
    let platform =
        Actor { name: "the platform".to_owned(), user: None, groups: Vec::new(), client: cluster.raw() };
    // One that is there, so that its removal is refused for nothing else than the right to it.
    let made = stage.api.create(&PostParams::default(), &object).await;
    made.map_err(|error| cluster.error(format!("create the policy {} of the cluster", policy.name), error))?;
    let mut other = object.clone();
    other.metadata.name = Some(format!("{}-other", policy.name));
    let tried = async |actor: &Actor| {
        let api: Api<DynamicObject> = Api::all_with(actor.client.clone(), &kind);
        let create = actor.tries(&format!("create {}", kind.plural), api.create(&dry(), &other)).await;
        let delete =
            actor.tries(&format!("delete {}", kind.plural), api.delete(&policy.name, &dry_delete())).await;
        [create, delete]
    };
    let before = tried(&platform).await;
    let attempts = tried(stage.tenant.admin()).await;
    let after = tried(&platform).await;
    let gone = stage.api.delete(&policy.name, &DeleteParams::default()).await;
    gone.map(drop).map_err(|error| cluster.error(format!("delete the policy {}", policy.name), error))?;
    let sandwiches = before
        .into_iter()
        .zip(attempts)
        .zip(after)
        .map(|((before, attempt), after)| Sandwich { before, attempt, after })
        .collect();
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[then("the platform could do so just before and just after")]
async fn platform_could(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
