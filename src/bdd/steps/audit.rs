//! IAM-09: what a tenant does is on record.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cucumber::{then, when};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::support::{
    api::{Tries as _, typed},
    denials::{Sandwich, Tried},
    logins,
    tenants::{self, Role, all_hold},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{ComparisonRow, Evidence, EvidenceBody, Reason},
    probe::{Accepted, Attempt, Open, VerdictKind},
    profile::{LoadedPlatform, Timespan},
    services::{AuditEvent, AuditLog, oidc::Mint},
    tenant::{Actor, Tenant},
};

/// The pause before the log is read again.
const AGAIN: Duration = Duration::from_millis(250);

/// A request of which a record is expected.
#[derive(Clone, Debug)]
struct Marked {
    user: String,
    verb: &'static str,
    resource: &'static str,
    namespace: String,
    /// Empty where the request is about all of them.
    name: String,
    code: u16,
    began: Timestamp,
    ended: Timestamp,
}

impl std::fmt::Display for Marked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.name.is_empty() { "" } else { "/" };
        write!(
            f,
            "{} {}{slash}{} in {} by {}",
            self.verb, self.resource, self.name, self.namespace, self.user
        )
    }
}

impl Marked {
    /// Whether the event is of this request, whatever it says of its result.
    fn is_of(&self, event: &AuditEvent, leeway: SignedDuration) -> bool {
        let object = event.object_ref.clone().unwrap_or_default();
        event.who() == self.user
            && event.verb == self.verb
            && object.resource == self.resource
            && object.namespace == self.namespace
            && (object.name == self.name || (object.name.is_empty() && self.verb == "create"))
            && event.request_received_timestamp >= self.began - leeway
            && event.request_received_timestamp <= self.ended + leeway
    }
}

/// What a scenario did.
#[derive(Debug)]
struct Done {
    began: Timestamp,
    marked: Vec<Marked>,
    attempts: Vec<Attempt>,
    /// A text that must not be on record.
    mark: Option<String>,
}

impl Done {
    fn new() -> Self {
        Self { began: Timestamp::now(), marked: Vec::new(), attempts: Vec::new(), mark: None }
    }

    /// Does something, and expects it to be on record.
    async fn does<T>(
        &mut self,
        actor: &Actor,
        what: (&'static str, &'static str),
        place: (&str, &str),
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Attempt {
        let (verb, resource) = what;
        let (namespace, name) = place;
        let began = Timestamp::now();
        let attempt = actor.tries(&format!("{verb} {resource} {name} in {namespace}"), request).await;
        let code = match (&attempt.verdict.kind(), verb) {
            (VerdictKind::Open, "create") => 201,
            (VerdictKind::Open, _) => 200,
            _ => u16::try_from(attempt.evidence["code"].as_u64().unwrap_or_default()).unwrap_or_default(),
        };
        self.marked.push(Marked {
            user: actor.user.clone().unwrap_or_else(|| actor.name.clone()),
            verb,
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            code,
            began,
            ended: Timestamp::now(),
        });
        attempt
    }

    /// As [`Done::does`], where it has to work.
    async fn must<T>(
        &mut self,
        actor: &Actor,
        what: (&'static str, &'static str),
        place: (&str, &str),
        request: impl Future<Output = Result<T, kube::Error>>,
    ) {
        let attempt = self.does(actor, what, place, request).await;
        self.attempts.push(attempt);
    }
}

/// A name that nothing else has.
fn marked_name() -> String {
    format!("plimsoll-marked-{:08x}", rand::random::<u32>())
}

fn log(world: &World) -> Result<AuditLog, StepError> {
    let (profile, cluster) = (world.service::<LoadedPlatform>()?, world.service::<Cluster>()?);
    AuditLog::of(&profile, &cluster)
        .ok_or_else(|| StepError::capability("the profile gives no access to the audit log (`spec.audit`)"))
}

/// Every verb that a tenant uses, on a config map with a name of its own.
async fn work(actor: &Actor, namespace: &str) -> Result<Done, StepError> {
    let mut done = Done::new();
    let name = marked_name();
    let (api, place) = (actor.api::<ConfigMap>(namespace), (namespace, name.as_str()));
    let object: ConfigMap = typed(json!({"metadata": {"name": name}, "data": {"a": "1"}}))?;
    done.must(actor, ("create", "configmaps"), place, api.create(&PostParams::default(), &object)).await;
    done.must(actor, ("get", "configmaps"), place, api.get(&name)).await;
    let change = Patch::Merge(json!({"data": {"a": "2"}}));
    done.must(actor, ("patch", "configmaps"), place, api.patch(&name, &PatchParams::default(), &change))
        .await;
    done.must(actor, ("delete", "configmaps"), place, api.delete(&name, &DeleteParams::default())).await;
    Ok(done)
}

#[when(expr = "the {role} of {string} makes, reads, changes and removes a config map")]
async fn works(world: &mut World, role: Role, tenant: String) -> StepResult {
    let tenant = tenants::named(world, &tenant)?;
    let done = work(&tenants::actor(&tenant, role)?, tenant.namespace()).await?;
    world.slots.insert(done);
    Ok(())
}

#[when(
    expr = "a user who logs in with the group of the administrators of {string} makes, reads, changes and removes a config map"
)]
async fn works_by_token(world: &mut World, tenant: String) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let tenant = tenants::named(world, &tenant)?;
    let login = logins::login([tenant.fill(&provider.promise().groups.admin)]);
    let token = logins::token(&provider, &login, Mint::Ordinary).await?;
    let done = work(&logins::actor(&provider, &cluster, &token)?, tenant.namespace()).await?;
    world.slots.insert(done);
    Ok(())
}

async fn make_secret(
    done: &mut Done,
    actor: &Actor,
    tenant: &Tenant,
    value: &str,
) -> Result<String, StepError> {
    let name = marked_name();
    let secret: Secret = typed(json!({"metadata": {"name": name}, "stringData": {"value": value}}))?;
    let api = actor.api::<Secret>(tenant.namespace());
    let place = (tenant.namespace(), name.as_str());
    done.must(actor, ("create", "secrets"), place, api.create(&PostParams::default(), &secret)).await;
    Ok(name)
}

#[when(expr = "the administrator of {string} tries to read a secret of {string}")]
async fn tries_a_foreign_secret(world: &mut World, own: String, other: String) -> StepResult {
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let intruder = tenants::actor(&own, Role::Administrator)?;
    let owner = tenants::actor(&other, Role::Administrator)?;
    let mut done = Done::new();
    let name = make_secret(&mut done, &owner, &other, "nothing secret").await?;
    let place = (other.namespace(), name.as_str());
    let get = async |done: &mut Done, actor: &Actor| {
        let api = actor.api::<Secret>(place.0);
        done.does(actor, ("get", "secrets"), place, api.get(place.1)).await
    };
    let before = get(&mut done, &owner).await;
    let attempt = get(&mut done, &intruder).await;
    let after = get(&mut done, &owner).await;
    world.slots.insert(Tried::of(vec![Sandwich { before, attempt, after }]));
    world.slots.insert(done);
    Ok(())
}

#[when(
    expr = "the administrator of {string} makes, changes, reads, lists and removes a secret with a marked value"
)]
async fn keeps_a_secret(world: &mut World, tenant: String) -> StepResult {
    let tenant = tenants::named(world, &tenant)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let mut done = Done::new();
    let mark = format!("plimsoll-mark-{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
    let name = make_secret(&mut done, &actor, &tenant, &mark).await?;
    let (api, place) = (actor.api::<Secret>(tenant.namespace()), (tenant.namespace(), name.as_str()));
    let change = Patch::Merge(json!({"stringData": {"again": mark}}));
    done.must(&actor, ("patch", "secrets"), place, api.patch(&name, &PatchParams::default(), &change)).await;
    done.must(&actor, ("get", "secrets"), place, api.get(&name)).await;
    let all = (tenant.namespace(), "");
    done.must(&actor, ("list", "secrets"), all, api.list(&ListParams::default())).await;
    done.must(&actor, ("delete", "secrets"), place, api.delete(&name, &DeleteParams::default())).await;
    done.mark = Some(mark);
    world.slots.insert(done);
    Ok(())
}

/// What the log says of what a scenario did.
#[derive(Debug, Default)]
struct Record {
    /// The event of each request, where there is one.
    found: Vec<Option<AuditEvent>>,
    /// Which events hold the marked value. The lines themselves are not told.
    holding: Vec<String>,
}

/// Reads the log since the scenario began to act, again until no request is missing or the time is over.
async fn record_of(log: &AuditLog, done: &Done, leeway: SignedDuration) -> Result<Record, StepError> {
    let marks: Vec<String> =
        done.mark.iter().flat_map(|mark| [mark.clone(), STANDARD.encode(mark)]).collect();
    let deadline = tokio::time::Instant::now() + log.promise().recorded_within.get();
    loop {
        let over = tokio::time::Instant::now() >= deadline;
        let (mut events, mut holding) = (Vec::new(), Vec::new());
        log.each(done.began - leeway, |line, event| {
            if marks.iter().any(|mark| line.contains(mark)) {
                holding.push(format!("{} of {} on level {}", event.verb, event.audit_id, event.level));
            }
            if event.stage == "ResponseComplete"
                && done.marked.iter().any(|marked| marked.is_of(&event, leeway))
            {
                events.push(event);
            }
        })
        .await
        .map_err(|error| StepError::trouble_from("read the audit log", &error))?;
        // Each event stands for one request: the same done twice has to be there twice.
        let mut found = Vec::new();
        for marked in &done.marked {
            let place = events.iter().position(|event| {
                marked.is_of(event, leeway)
                    && event.response_status.as_ref().is_some_and(|s| s.code == marked.code)
            });
            let place = place.or_else(|| events.iter().position(|event| marked.is_of(event, leeway)));
            found.push(place.map(|place| events.swap_remove(place)));
        }
        if over || found.iter().all(Option::is_some) {
            return Ok(Record { found, holding });
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn leeway(world: &World) -> Result<SignedDuration, StepError> {
    let profile = world.service::<LoadedPlatform>()?;
    let skew = profile.platform.spec.bounds.clock_skew.map_or(Duration::from_secs(5), Timespan::get);
    SignedDuration::try_from(skew)
        .map_err(|error| StepError::trouble_from("read the bound on clock skew", &error))
}

#[then("each of these is on record within the promised time, with user, verb, object, result and time")]
async fn on_record(world: &mut World) -> StepResult {
    let (log, leeway) = (log(world)?, leeway(world)?);
    let done = world.slots.require::<Done>("requests")?;
    let open = Accepted::only(VerdictKind::Open);
    for attempt in done.attempts.clone() {
        world.record(attempt.to_evidence(&open, None));
        // What did not work proves nothing about the record of what does.
        if attempt.verdict.kind() != VerdictKind::Open {
            return Err(StepError::no_control(format!(
                "expected OPEN from {attempt}, saw {}",
                attempt.verdict
            ))
            .into());
        }
        Open::try_from(attempt).map_err(|no| StepError::from(Reason::from(no)))?;
    }
    let Record { found, .. } = record_of(&log, done, leeway).await?;
    let within = log.promise().recorded_within;
    let rows = done
        .marked
        .iter()
        .zip(&found)
        .map(|(marked, event)| {
            let expected = format!("on record within {within} with result {}", marked.code);
            let seen = event.as_ref().map_or_else(
                || "nothing on record".to_owned(),
                |event| {
                    let code = event.response_status.as_ref().map_or(0, |status| status.code);
                    if code == marked.code {
                        expected.clone()
                    } else {
                        format!("on record with result {code}")
                    }
                },
            );
            ComparisonRow { name: marked.to_string(), holds: seen == expected, expected, seen }
        })
        .collect();
    let shown = found.iter().flatten().map(|event| {
        let at = event.request_received_timestamp;
        format!("{at} {} {} {} ({})", event.who(), event.verb, event.level, event.audit_id)
    });
    world.record(Evidence {
        title: "events of the audit log".to_owned(),
        body: EvidenceBody::Text { lines: shown.collect() },
    });
    all_hold(world, "what was done, and what is on record", rows)
}

#[then("the marked value is nowhere on record, neither plain nor encoded")]
async fn value_not_on_record(world: &mut World) -> StepResult {
    let (log, leeway) = (log(world)?, leeway(world)?);
    let done = world.slots.require::<Done>("requests")?;
    if done.mark.is_none() {
        return Err(StepError::trouble("no earlier step marked a value").into());
    }
    let Record { holding, .. } = record_of(&log, done, leeway).await?;
    if holding.is_empty() {
        return Ok(());
    }
    let message = format!(
        "expected no event of the audit log to hold the value of a secret, saw {} that do",
        holding.len()
    );
    Err(StepError::requirement(message).details(holding).into())
}
