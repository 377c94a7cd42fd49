//! NET-11: policies of the whole cluster, beside those of a tenant.

use std::{sync::Arc, time::Duration};

use cucumber::{then, when};
use kube::{
    Api, ResourceExt as _,
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
    engine::{ControlPhase, Evidence, EvidenceBody, micros},
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
    cluster: Arc<Cluster>,
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
        cluster,
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

    /// Puts a policy in force beside others that are there all along, waits for the path to become as wanted, takes the
    /// policy away again whatever came of it, and waits for the path to be as it was.
    async fn overrule(
        &self,
        world: &World,
        beside: &[WidePolicy],
        policy: &WidePolicy,
        port: u16,
        [wanted, otherwise]: [&Accepted; 2],
    ) -> Result<Overruled, StepError> {
        let all: Vec<_> = beside.iter().chain([policy]).collect();
        let objects: Vec<_> = all.iter().map(|it| self.object(world, it)).collect::<Result<_, _>>()?;
        let seen = self.measure(&objects, port, [wanted, otherwise]).await;
        // Whatever came of it. What was never made, or is away by now, is gone already.
        let mut gone = Ok(());
        for policy in &all {
            gone = gone.and(self.remove(&policy.name).await);
        }
        let seen = seen?;
        gone.map(|()| seen)
    }

    async fn measure(
        &self,
        objects: &[DynamicObject],
        port: u16,
        [wanted, otherwise]: [&Accepted; 2],
    ) -> Result<Overruled, StepError> {
        let (source, target) = self.path(port)?;
        let pace = Pace { deadline_ms: 250, attempts_ms: vec![0, 80, 160] };
        let until = async |accepted: &Accepted| {
            let wanted = |kind| accepted.contains(kind);
            let took = agents::until(&self.fleet, &source, &target, &pace, self.within, wanted).await;
            (took.ok(), self.fleet.probe(source.clone(), target.clone()).await)
        };
        let Some((subject, beside)) = objects.split_last() else {
            return Err(StepError::trouble("there is no policy to be made"));
        };
        for object in beside {
            self.make(object).await?;
        }
        let (_, before) = until(otherwise).await;
        self.make(subject).await?;
        let (took, under) = until(wanted).await;
        self.remove(&subject.name_any()).await?;
        let (_, after) = until(otherwise).await;
        Ok(Overruled { before, under, took, after })
    }

    async fn make(&self, object: &DynamicObject) -> Result<(), StepError> {
        let made = self.api.create(&PostParams::default(), object).await;
        let doing = format!("create the policy {} of the cluster", object.name_any());
        Ok(made.map(drop).map_err(|error| self.cluster.error(doing, error))?)
    }

    async fn remove(&self, name: &str) -> Result<(), StepError> {
        match self.api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            removed => {
                let doing = format!("delete the policy {name} of the cluster");
                Ok(removed.map(drop).map_err(|error| self.cluster.error(doing, error))?)
            }
        }
    }

    /// That an allowance of the whole cluster wins over what is closed is not promised everywhere.
    fn allowances_win(&self) -> Result<(), StepError> {
        if self.promise.allows_win {
            return Ok(());
        }
        let message = "the profile does not promise that an allowance of the whole cluster wins";
        Err(StepError::capability(message).hint("say so in `spec.network.clusterPolicy.allowsWin`"))
    }
}

#[when("the platform denies, for the whole cluster, a path that the tenant declares")]
async fn deny(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    let policy = stage.policy(EARLY, WideAction::Deny);
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &[], &policy, DECLARED, [&closed, &open]).await?;
    world.slots.insert(seen);
    Ok(())
}

#[when("the platform allows, for the whole cluster, a path that the tenant does not declare")]
async fn allow(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    stage.allowances_win()?;
    let policy = stage.policy(EARLY, WideAction::Allow);
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &[], &policy, UNDECLARED, [&open, &closed]).await?;
    world.slots.insert(seen);
    Ok(())
}

#[when(
    "the platform allows a path that the tenant declares for the whole cluster, and denies it with more precedence"
)]
async fn deny_before_allow(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    let (late, early) = (stage.policy(LATE, WideAction::Allow), stage.policy(EARLY, WideAction::Deny));
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &[late], &early, DECLARED, [&closed, &open]).await?;
    world.slots.insert(seen);
    Ok(())
}

#[when(
    "the platform denies a path that the tenant declares for the whole cluster, and allows it with more precedence"
)]
async fn allow_before_deny(world: &mut World) -> StepResult {
    let stage = stage(world)?;
    stage.allowances_win()?;
    let (late, early) = (stage.policy(LATE, WideAction::Deny), stage.policy(EARLY, WideAction::Allow));
    let (open, closed) = (Accepted::only(VerdictKind::Open), words::closed(world)?);
    let seen = stage.overrule(world, &[late], &early, DECLARED, [&open, &closed]).await?;
    world.slots.insert(seen);
    Ok(())
}

impl Overruled {
    /// How long it took until the path was as wanted. A policy that is there, and on which nobody acts, is a promise
    /// broken and not a capability missing.
    fn in_force(&self, accepted: &Accepted) -> Result<Duration, StepError> {
        let kind = self.under.verdict.kind();
        if let Some(took) = self.took
            && accepted.contains(kind)
        {
            return Ok(took);
        }
        let message = format!(
            "expected {accepted} from {} under the policy of the cluster, saw {}",
            self.under, self.under.verdict
        );
        Err(if kind == VerdictKind::ProbeError {
            StepError::trouble(message)
        } else {
            StepError::requirement(message)
        })
    }

    /// That the path was otherwise without the policy. Where it stays open though nothing opens it any more, the
    /// platform has not closed it again.
    fn otherwise(&self, accepted: &Accepted) -> Result<(), StepError> {
        for (attempt, when) in [(&self.before, "before"), (&self.after, "after")] {
            let kind = attempt.verdict.kind();
            if accepted.contains(kind) {
                continue;
            }
            let message = format!(
                "expected {accepted} from {attempt} without the policy of the cluster, {when} it was there, saw {}",
                attempt.verdict
            );
            return Err(if when == "after" && kind == VerdictKind::Open {
                StepError::requirement(message)
            } else {
                StepError::no_control(message)
            });
        }
        Ok(())
    }
}

fn in_time(world: &World, accepted: &Accepted) -> Result<(), StepError> {
    let seen = world.slots.require::<Overruled>("policies of the cluster")?;
    world.record(seen.under.to_evidence(accepted, None));
    let took = seen.in_force(accepted)?;
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
    }
    seen.otherwise(accepted)
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
    let kind = wide_policy_kind(stage.promise.dialect);
    let policy = stage.policy(EARLY, WideAction::Allow);
    let object = stage.object(world, &policy)?;
    let platform = Actor {
        name: "the platform".to_owned(),
        user: None,
        groups: Vec::new(),
        client: stage.cluster.raw(),
    };
    // One that is there, so that its removal is refused for nothing else than the right to it.
    stage.make(&object).await?;
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
    stage.remove(&policy.name).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::ReasonKind, probe::Verdict};

    async fn tried(verdict: Verdict) -> Attempt {
        Attempt::make("charlie/web", "charlie/api tcp 8080 by pod address", async { verdict }).await
    }

    async fn seen(verdicts: [Verdict; 3], took: Option<u64>) -> Overruled {
        let [before, under, after] = verdicts;
        let took = took.map(Duration::from_millis);
        Overruled { before: tried(before).await, under: tried(under).await, took, after: tried(after).await }
    }

    fn kind<T: std::fmt::Debug>(result: Result<T, StepError>) -> ReasonKind {
        result.unwrap_err().reason().kind
    }

    #[tokio::test]
    async fn a_policy_on_which_nobody_acts_is_a_promise_broken() {
        let (open, closed) = (Accepted::only(VerdictKind::Open), Accepted::closed());
        let acted = seen([Verdict::Open, Verdict::Dropped, Verdict::Open], Some(40)).await;
        assert_eq!(acted.in_force(&closed).unwrap(), Duration::from_millis(40));
        acted.otherwise(&open).unwrap();
        let stored = seen([Verdict::Open, Verdict::Open, Verdict::Open], None).await;
        insta::assert_snapshot!(
            stored.in_force(&closed).unwrap_err().reason().message,
            @"expected DROPPED or REJECTED from charlie/web -> charlie/api tcp 8080 by pod address under the policy of the cluster, saw OPEN"
        );
        assert_eq!(kind(stored.in_force(&closed)), ReasonKind::Requirement);
        let wavering = seen([Verdict::Open, Verdict::Open, Verdict::Open], Some(40)).await;
        assert_eq!(kind(wavering.in_force(&closed)), ReasonKind::Requirement);
        let unclear = seen([Verdict::Open, Verdict::probe_error("cut off"), Verdict::Open], None).await;
        assert_eq!(kind(unclear.in_force(&closed)), ReasonKind::Trouble);
    }

    #[tokio::test]
    async fn what_a_path_was_without_the_policy_is_its_control() {
        let (open, closed) = (Accepted::only(VerdictKind::Open), Accepted::closed());
        let shut = seen([Verdict::Dropped, Verdict::Dropped, Verdict::Open], Some(40)).await;
        assert_eq!(kind(shut.otherwise(&open)), ReasonKind::NoControl);
        let still_shut = seen([Verdict::Open, Verdict::Dropped, Verdict::Dropped], Some(40)).await;
        assert_eq!(kind(still_shut.otherwise(&open)), ReasonKind::NoControl);
        let never_shut = seen([Verdict::Open, Verdict::Open, Verdict::Dropped], Some(40)).await;
        assert_eq!(kind(never_shut.otherwise(&closed)), ReasonKind::NoControl);
        let left_open = seen([Verdict::Dropped, Verdict::Open, Verdict::Open], Some(40)).await;
        assert_eq!(kind(left_open.otherwise(&closed)), ReasonKind::Requirement);
    }
}
