//! IAM-04: where rights end.

use std::{fmt, str::FromStr};

use cucumber::{then, when};

use super::support::{
    denials::{self, Sandwich, Tried, summarised},
    tenants::{self, Role},
    verbs::{self, Verb},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, rbac, silent_apis},
    engine::{ComparisonRow, Evidence, EvidenceBody, Reason, ReasonKind, micros},
    oracle::{AccessRow, AccessScope, ExpectedAccess},
    probe::{
        Accepted, Attempt, Open, VerdictKind,
        access::{self, ListedRules, Served},
    },
    profile::{LoadedPlatform, RoleRights, Rule},
    tenant::{Actor, Tenant},
};

/// Whose rights are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(name = "holder", regex = "administrator|viewer|workload")]
pub enum Holder {
    /// A person.
    Role(Role),
    /// The service account that the tenant's pods run under.
    Workload,
}

impl FromStr for Holder {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "workload" { Ok(Self::Workload) } else { word.parse().map(Self::Role) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
            Self::Workload => f.write_str("workload"),
        }
    }
}

/// The answers to every question about one holder of rights.
#[derive(Debug)]
struct Answers {
    role: Holder,
    rows: Vec<AccessRow>,
    listed: ListedRules,
}

/// The attempts that ought to be open.
#[derive(Debug, Default)]
struct Allowed(Vec<Attempt>);

pub(super) fn rights(profile: &LoadedPlatform, role: Holder) -> Result<RoleRights, StepError> {
    let rights = profile.platform.spec.rights.as_ref();
    let of_role = rights.and_then(|rights| match role {
        Holder::Role(Role::Administrator) => Some(rights.admin.clone()),
        Holder::Role(Role::Viewer) => rights.viewer.clone(),
        Holder::Workload => Some(rights.workload.clone().unwrap_or_else(|| RoleRights {
            cluster: rights.admin.cluster.clone(),
            ..RoleRights::default()
        })),
    });
    of_role.ok_or_else(|| {
        StepError::requirement(format!(
            "expected the profile to promise the rights of the {role}, saw none in it"
        ))
        .hint("name them under `spec.rights` of the profile")
    })
}

#[when(
    regex = r#"^the (administrator|viewer|workload) of "([^"]+)" is asked about every verb on every resource that the cluster serves, in its own namespace, in that of "([^"]+)" and on the cluster$"#
)]
async fn ask(world: &mut World, role: Holder, own: String, other: String) -> StepResult {
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let actor = match role {
        Holder::Role(role) => tenants::actor(&own, role)?,
        Holder::Workload => tenants::workload(world, &own).await?,
    };
    ask_as(world, &actor, role, &own, &other).await
}

/// Asks somebody who ought to have the rights of a holder.
pub(super) async fn ask_as(
    world: &mut World,
    actor: &Actor,
    role: Holder,
    own: &Tenant,
    other: &Tenant,
) -> StepResult {
    let cluster = world.service::<Cluster>()?;
    let trouble = |error| cluster.error("ask for the rights of a tenant", error);
    let served = everything_served(&cluster).await?;
    let questions = access::questions(&served, &rbac(&cluster).await?, own.namespace(), other.namespace());
    let asked = questions.len();
    let began = std::time::Instant::now();
    let rows = access::ask(&actor.client, questions).await.map_err(trouble)?;
    let listed = access::listed_rules(&actor.client, own.namespace()).await.map_err(trouble)?;
    world.record(Evidence {
        title: format!("{asked} questions about {} resources, asked as {}", served.len(), actor.name),
        body: EvidenceBody::Timing {
            values_us: vec![("took".to_owned(), micros(began.elapsed()))],
            bound_us: None,
        },
    });
    world.slots.insert(Answers { role, rows, listed });
    Ok(())
}

/// What the cluster serves, provided that everything that it serves answers.
pub(super) async fn everything_served(cluster: &Cluster) -> Result<Vec<Served>, StepError> {
    let silent = silent_apis(cluster).await?;
    if let Some(first) = silent.first() {
        return Err(StepError::trouble(format!(
            "not everything that the cluster serves can be asked about: {first}"
        ))
        .details(silent.iter().skip(1))
        .hint("`kubectl get apiservices` shows it; mend or remove the API, and run again"));
    }
    access::served(&cluster.client())
        .await
        .map_err(|error| cluster.error("discover what the API server serves", error).into())
}

/// Judges the answers of one scope. The table shows what is allowed and what ought to be: the thousands of rights that
/// are rightly refused would hide it.
fn judge(world: &World, scope: AccessScope) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let answers = world.slots.require::<Answers>("answers about rights")?;
    let promised = rights(&profile, answers.role)?;
    let expected = ExpectedAccess::new(&promised);
    let rows: Vec<_> = answers.rows.iter().filter(|row| row.scope == scope).collect();
    let word = |allowed: bool| if allowed { "allowed" } else { "refused" }.to_owned();
    let shown = rows
        .iter()
        .map(|row| {
            let promised = expected.allows(scope, &row.group, &row.resource, &row.verb);
            let dot = if row.group.is_empty() { "" } else { "." };
            ComparisonRow {
                name: format!("{} {}{dot}{}", row.verb, row.resource, row.group),
                expected: word(promised),
                seen: word(row.allowed),
                holds: promised == row.allowed,
            }
        })
        .filter(|row| !row.holds || row.seen == "allowed")
        .collect();
    world.record(Evidence {
        title: format!("rights in {}: {} asked, those allowed or amiss", scope.word(), rows.len()),
        body: EvidenceBody::Comparison { rows: shown },
    });
    if rows.is_empty() {
        return Err(StepError::trouble(format!("nothing was asked about {}", scope.word())).into());
    }
    let deviations = expected.deviations(rows);
    if deviations.is_empty() {
        return Ok(());
    }
    let lines = deviations.iter().map(|deviation| format!("{deviation} for the {}", answers.role)).collect();
    Err(summarised(ReasonKind::Requirement, lines).into())
}

#[then("its rights in its own namespace are exactly those that the profile promises")]
async fn own_rights(world: &mut World) -> StepResult {
    judge(world, AccessScope::Own)
}

#[then(regex = r#"^it has no rights in the namespace of "[^"]+"$"#)]
async fn other_rights(world: &mut World) -> StepResult {
    judge(world, AccessScope::Other)
}

#[then("on the cluster it has only what every user has")]
async fn cluster_rights(world: &mut World) -> StepResult {
    judge(world, AccessScope::Cluster)
}

/// Group, resource and verb of everything that a rule grants, stars as they stand.
fn grants(rule: &Rule) -> impl Iterator<Item = (&String, &String, &String)> {
    rule.api_groups.iter().flat_map(move |group| {
        rule.resources
            .iter()
            .flat_map(move |resource| rule.verbs.iter().map(move |verb| (group, resource, verb)))
    })
}

#[then("the rules that the cluster lists for it agree with its answers")]
async fn rules_agree(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let Answers { role, rows, listed } = world.slots.require::<Answers>("answers about rights")?;
    let promised = rights(&profile, *role)?;
    let expected = ExpectedAccess::new(&promised);
    // A right on named objects is never asked about, since a question without a name is not about them.
    let unpromised = listed.named.iter().flat_map(|(rule, names)| {
        grants(rule)
            .filter(|(group, resource, verb)| !expected.allows(AccessScope::Own, group, resource, verb))
            .map(move |(_, resource, verb)| {
                format!("expected no rule for `{verb} {resource}` of {}, saw one listed", names.join(", "))
            })
    });
    let differing: Vec<_> = rows
        .iter()
        .filter(|row| row.scope == AccessScope::Own)
        .filter(|row| {
            let listed_as = listed.grants(&row.group, &row.resource, &row.verb);
            // A list that is not complete may lack what is allowed, but not hold what is refused.
            listed_as != row.allowed && (listed.complete || listed_as)
        })
        .map(|row| {
            let said = if row.allowed { "allowed" } else { "refused" };
            format!(
                "expected the listed rules to agree that `{} {}` is {said}, saw the opposite",
                row.verb, row.resource
            )
        })
        .chain(unpromised)
        .collect();
    if differing.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, differing).into()) }
}

/// Tries verbs on the sample object of a tenant, each between two tries by its administrator.
async fn between_controls(
    actor: &Actor,
    host: &Tenant,
    sample: &verbs::Sample,
    chosen: &[Verb],
) -> Result<Vec<Sandwich>, StepError> {
    let owner = tenants::actor(host, Role::Administrator)?;
    let mut sandwiches = Vec::new();
    for verb in chosen {
        let before = sample.tried(*verb, &owner).await;
        let attempt = sample.tried(*verb, actor).await;
        let after = sample.tried(*verb, &owner).await;
        sandwiches.push(Sandwich { before, attempt, after });
    }
    Ok(sandwiches)
}

#[when(
    expr = "the administrator of {string} does each verb on a config map in its own namespace and in that of {string}"
)]
async fn each_verb_twice(world: &mut World, own: String, other: String) -> StepResult {
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let actor = tenants::actor(&own, Role::Administrator)?;
    let here = verbs::Sample::config_map(&own).await?;
    let there = verbs::Sample::config_map(&other).await?;
    let mut open = Vec::new();
    for verb in Verb::ALL {
        open.push(here.tried(verb, &actor).await);
    }
    world.slots.insert(Allowed(open));
    let sandwiches = between_controls(&actor, &other, &there, &Verb::ALL).await?;
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[when(expr = "the viewer of {string} does each verb on a config map in its own namespace")]
async fn viewer_each_verb(world: &mut World, own: String) -> StepResult {
    let own = tenants::named(world, &own)?;
    let actor = tenants::actor(&own, Role::Viewer)?;
    let sample = verbs::Sample::config_map(&own).await?;
    let mut open = Vec::new();
    for verb in Verb::LOOKING {
        open.push(sample.tried(verb, &actor).await);
    }
    world.slots.insert(Allowed(open));
    let sandwiches = between_controls(&actor, &own, &sample, &Verb::CHANGING).await?;
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[when(
    regex = r#"^the (administrator|viewer) of "([^"]+)" gets, lists and watches the secrets of "[^"]+" and of "([^"]+)"$"#
)]
async fn secrets(world: &mut World, role: Role, own: String, other: String) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let promised = rights(&profile, Holder::Role(role))?;
    let expected = ExpectedAccess::new(&promised);
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let actor = tenants::actor(&own, role)?;
    let here = verbs::Sample::secret(&own).await?;
    let there = verbs::Sample::secret(&other).await?;
    let (promised, refused): (Vec<_>, Vec<_>) = Verb::LOOKING
        .into_iter()
        .partition(|verb| expected.allows(AccessScope::Own, "", "secrets", verb.word()));
    let mut open = Vec::new();
    for verb in promised {
        open.push(here.tried(verb, &actor).await);
    }
    world.slots.insert(Allowed(open));
    let mut sandwiches = between_controls(&actor, &own, &here, &refused).await?;
    sandwiches.extend(between_controls(&actor, &other, &there, &Verb::LOOKING).await?);
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[then("in its own namespace every verb is OPEN")]
#[then("looking is OPEN")]
#[then("every verb that the profile promises is OPEN")]
async fn allowed(world: &mut World) -> StepResult {
    let attempts = world.slots.require::<Allowed>("attempts that ought to be open")?.0.clone();
    let open = Accepted::only(VerdictKind::Open);
    for attempt in attempts {
        world.record(attempt.to_evidence(&open, None));
        Open::try_from(attempt).map_err(|no| StepError::from(Reason::from(no)))?;
    }
    Ok(())
}

#[then(regex = r#"^in the namespace of "[^"]+" every verb is FORBIDDEN$"#)]
#[then("every change is FORBIDDEN")]
#[then("every other verb, and every verb in the other namespace, is FORBIDDEN")]
async fn forbidden(world: &mut World) -> StepResult {
    Ok(denials::each_is(world, &Accepted::only(VerdictKind::Forbidden))?)
}

#[then(
    regex = r#"^each (?:change )?was OPEN for the administrator (?:of "[^"]+"|there) just before and just after$"#
)]
async fn controls(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
