//! IAM-01 to IAM-03: whose tokens are accepted, and what they are good for.

use std::sync::Arc;

use cucumber::{given, then, when};

use super::{
    access as rights,
    support::{
        denials::{self, Sandwich, Tried, summarised},
        logins,
        tenants::{self, Role, all_hold},
        verbs::{self, Verb},
    },
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, PeerClusters, rbac},
    engine::{ComparisonRow, Evidence, EvidenceBody, Reason, ReasonKind},
    oracle::ExpectedAccess,
    probe::{Accepted, Attempt, Open, VerdictKind, access},
    profile::{Environment, LoadedPlatform, RoleRights},
    services::oidc::{Forgery, IdentityProvider, Login, Mint, Token},
    tenant::Tenant,
};

/// The clusters that are compared: one where people depend on it, and one where they do not.
#[derive(Debug)]
struct Pair {
    production: Cluster,
    other: Cluster,
}

/// Attempts that ought to be open.
#[derive(Debug, Default)]
struct LetIn(Vec<Attempt>);

// IAM-01

/// Presents tokens, each between two good ones.
async fn between_good_ones(
    cluster: &Cluster,
    provider: &IdentityProvider,
    login: &Login,
    tokens: Vec<(String, Token)>,
) -> Result<Vec<Sandwich>, StepError> {
    let mut sandwiches = Vec::new();
    // One control serves as the end of one sandwich and the beginning of the next.
    let mut before = logins::control(cluster, provider, login).await?;
    for (how, token) in tokens {
        let attempt = logins::presented(cluster, &login.user, &token).await?.variant(how);
        let after = logins::control(cluster, provider, login).await?;
        sandwiches.push(Sandwich { before, attempt, after: after.clone() });
        before = after;
    }
    Ok(sandwiches)
}

#[when("a good token is presented")]
async fn good(world: &mut World) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let login = logins::login(["plimsoll-one", "plimsoll-two"]);
    let token = logins::token(&provider, &login, Mint::Ordinary).await?;
    let seen = logins::who_am_i(&cluster, &token).await?;
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => {
            let attempt = logins::presented(&cluster, &login.user, &token).await?.variant("a good token");
            let verdict = crate::probe::api::verdict::<()>(&Err(error));
            world.record(attempt.to_evidence(&Accepted::only(VerdictKind::Open), None));
            return Err(refused_or_unclear(
                verdict.kind(),
                format!("expected OPEN from a good token of {}, saw {verdict}", provider.promise().issuer),
            )
            .into());
        }
    };
    let mut groups = seen.groups.unwrap_or_default();
    groups.retain(|group| group != "system:authenticated");
    groups.sort();
    let row = |name: &str, expected: String, seen: String| ComparisonRow {
        name: name.to_owned(),
        holds: expected == seen,
        expected,
        seen,
    };
    let issuer = token.claim("iss").unwrap_or_default();
    let rows = vec![
        row("the issuer of the token", provider.promise().issuer.clone(), issuer),
        row(
            "the user",
            provider.user(&token).unwrap_or_else(|| "the claim is missing".to_owned()),
            seen.username.unwrap_or_default(),
        ),
        row("the groups", provider.groups(&token).join(", "), groups.join(", ")),
    ];
    world.slots.insert(rows);
    Ok(())
}

/// A cluster that takes nobody in breaks its promise; one that does not answer tells nothing.
fn refused_or_unclear(kind: VerdictKind, message: String) -> StepError {
    match kind {
        VerdictKind::Unauthenticated | VerdictKind::Forbidden => StepError::requirement(message),
        _ => StepError::trouble(message),
    }
}

#[then("it is accepted, for the user and the groups that it names and no others")]
async fn accepted_as(world: &mut World) -> StepResult {
    let rows = world.slots.require::<Vec<ComparisonRow>>("what the API server made of the token")?.clone();
    all_hold(world, "for whom the API server takes the bearer of a good token", rows)
}

#[when(
    regex = r"^a token is presented (of an issuer that does not exist|whose .+|that says .+|that brings .+|sealed .+|signed .+)$"
)]
async fn forged(world: &mut World, how: String) -> StepResult {
    let forgery: Forgery = how.parse().map_err(|error: String| StepError::trouble(error))?;
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let login = logins::login(["plimsoll-one"]);
    let good = logins::token(&provider, &login, Mint::Ordinary).await?;
    let keys = provider.keys().await.ok_or_else(|| {
        StepError::capability("the profile does not say how to get the issuer's keys (`identity.oidc.keys`)")
    })?;
    let keys = keys.map_err(|error| logins::trouble(&error))?;
    let forged =
        forgery.forge(&good, &keys).map_err(|why| StepError::trouble(format!("could not forge: {why}")))?;
    let tokens = forged.into_iter().map(|forged| (forged.how, forged.token)).collect();
    let sandwiches = between_good_ones(&cluster, &provider, &login, tokens).await?;
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[when(regex = r"^a token is presented (for another audience|that has expired|that is not yet good)$")]
async fn minted(world: &mut World, which: String) -> StepResult {
    let mint = match which.as_str() {
        "for another audience" => Mint::OtherAudience,
        "that has expired" => Mint::Expired,
        _ => Mint::NotYet,
    };
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    if let Some(why) = provider.cannot_mint(mint) {
        return Err(StepError::capability(why).into());
    }
    let login = logins::login(["plimsoll-one"]);
    let token = logins::token(&provider, &login, mint).await?;
    let sandwiches = between_good_ones(&cluster, &provider, &login, vec![(which, token)]).await?;
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[when("a token is presented of another issuer that exists")]
async fn of_a_stranger(world: &mut World) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let login = logins::login(["plimsoll-one"]);
    let token = provider.log_in_elsewhere(&login).await.ok_or_else(|| {
        StepError::capability("the profile names no other issuer that exists (`identity.oidc.stranger`)")
    })?;
    let token = token.map_err(|error| logins::trouble(&error))?;
    let issuer = token.claim("iss").unwrap_or_default();
    if issuer == provider.promise().issuer {
        let why = format!("the token of another issuer is of {issuer}, the trusted one");
        return Err(StepError::trouble(why).into());
    }
    let tokens = vec![(format!("a token of {issuer}"), token)];
    let sandwiches = between_good_ones(&cluster, &provider, &login, tokens).await?;
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[then("a good token of the same user was OPEN just before and just after")]
#[then("with the group of the administrators each was OPEN for the same user just before and just after")]
#[then("with a second factor it was OPEN for the same user just before and just after")]
async fn good_ones_were_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}

// IAM-02

/// The group of a role, as the issuer knows it.
fn group(provider: &IdentityProvider, tenant: &Tenant, role: Role) -> Result<String, StepError> {
    let groups = &provider.promise().groups;
    let group = match role {
        Role::Administrator => Some(&groups.admin),
        Role::Viewer => groups.viewer.as_ref(),
    };
    let group = group.ok_or_else(|| {
        StepError::capability(format!("the profile names no group of the {role} of a tenant"))
    })?;
    Ok(tenant.fill(group))
}

#[when(
    regex = r#"^a user who logs in with the group of the (administrator|viewer)s of "([^"]+)" is asked about every verb on every resource that the cluster serves, there, in the namespace of "([^"]+)" and on the cluster$"#
)]
async fn ask_member(world: &mut World, role: Role, own: String, other: String) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let login = logins::login([group(&provider, &own, role)?]);
    let token = logins::token(&provider, &login, Mint::Ordinary).await?;
    let actor = logins::actor(&provider, &cluster, &token)?;
    rights::ask_as(world, &actor, rights::Holder::Role(role), &own, &other).await
}

/// The groups of somebody who is not a member, but nearly.
fn nearly(which: &str, group: &str, foreign: String, prefix: &str) -> Option<Vec<String>> {
    let swapped = |text: &str| {
        text.chars()
            .map(
                |sign| {
                    if sign.is_lowercase() { sign.to_ascii_uppercase() } else { sign.to_ascii_lowercase() }
                },
            )
            .collect::<String>()
    };
    let shorter = || {
        let mut text = group.to_owned();
        text.pop();
        text
    };
    Some(match which {
        "without that group" => Vec::new(),
        "with a group whose name goes on after it" => {
            vec![format!("{group}-emeriti"), format!("{group}:former")]
        }
        "with a group whose name ends with it" => vec![format!("former:{group}"), format!("x{group}")],
        "with a group whose name stops short of it" => vec![shorter()],
        "with the group in other letters" => vec![swapped(group), group.to_ascii_uppercase()],
        "with the group of another tenant" => vec![foreign],
        // Two names of one group would be a way around whoever hands out names.
        "with the group as the cluster calls it" => vec![format!("{prefix}{group}")],
        "with the cluster's own group of masters" => vec!["system:masters".to_owned()],
        _ => return None,
    })
}

#[when(regex = r#"^a user of "([^"]+)" who logs in (.+) does each verb on a config map there$"#)]
async fn nearly_member(world: &mut World, own: String, which: String) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let own = tenants::named(world, &own)?;
    let others: Vec<Arc<Tenant>> = tenants::all(world)?;
    let foreign = others
        .iter()
        .find(|tenant| tenant.name() != own.name())
        .ok_or_else(|| StepError::trouble("no earlier step of the scenario names another tenant"))?;
    let member = group(&provider, &own, Role::Administrator)?;
    let foreign = group(&provider, foreign, Role::Administrator)?;
    let prefix = provider.promise().claims.groups.prefix.clone();
    if prefix.is_empty() && which.ends_with("as the cluster calls it") {
        return Err(
            StepError::capability("the cluster calls groups as the issuer does, without a prefix").into()
        );
    }
    let groups = nearly(&which, &member, foreign, &prefix)
        .ok_or_else(|| StepError::trouble(format!("nobody logs in `{which}`")))?;
    let sample = verbs::Sample::config_map(&own).await?;
    let log_in = async |groups: Vec<String>| {
        let token = logins::token(&provider, &logins::login(groups), Mint::Ordinary).await?;
        logins::actor(&provider, &cluster, &token)
    };
    let outsider = log_in(groups.clone()).await?;
    // What the rights hang on is the token, so that the control is the same user with another one.
    let (before, after) = (log_in(vec![member.clone()]).await?, log_in(vec![member]).await?);
    let mut sandwiches = Vec::new();
    for verb in Verb::ALL {
        let before = sample.tried(verb, &before).await;
        let attempt = sample.tried(verb, &outsider).await.variant(which.clone());
        let after = sample.tried(verb, &after).await;
        sandwiches.push(Sandwich { before, attempt, after });
    }
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[when(
    expr = "a user who logs in without any group is asked about every verb on every resource that the cluster serves, in the namespaces of {string} and {string} and on the cluster"
)]
async fn ask_nobody(world: &mut World, own: String, other: String) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let profile = world.service::<LoadedPlatform>()?;
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let login = logins::login(Vec::<String>::new());
    let token = logins::token(&provider, &login, Mint::Ordinary).await?;
    let actor = logins::actor(&provider, &cluster, &token)?;
    let trouble = |error| cluster.error("ask for the rights of a user", error);
    let served = rights::everything_served(&cluster).await?;
    let questions = access::questions(&served, &rbac(&cluster).await?, own.namespace(), other.namespace());
    let rows = access::ask(&actor.client, questions).await.map_err(trouble)?;
    let everyone = profile.platform.spec.rights.as_ref().map(|rights| rights.admin.cluster.clone());
    let promised = RoleRights { cluster: everyone.unwrap_or_default(), ..RoleRights::default() };
    let expected = ExpectedAccess::new(&promised);
    let deviations: Vec<String> = expected
        .deviations(&rows)
        .iter()
        .map(|deviation| format!("{deviation} for a user without any group"))
        .collect();
    let allowed = rows.iter().filter(|row| row.allowed).count();
    world.record(Evidence {
        title: format!("{} questions asked as {}, {allowed} allowed", rows.len(), actor.name),
        body: EvidenceBody::Text { lines: deviations.clone() },
    });
    world.slots.insert(Deviations { allowed, lines: deviations });
    Ok(())
}

/// Rights that nobody promised.
#[derive(Debug)]
struct Deviations {
    allowed: usize,
    lines: Vec<String>,
}

#[then("it has only what every user has, and that it has")]
async fn only_what_all_have(world: &mut World) -> StepResult {
    let deviations = world.slots.require::<Deviations>("answers about rights")?;
    if !deviations.lines.is_empty() {
        return Err(summarised(ReasonKind::Requirement, deviations.lines.clone()).into());
    }
    if deviations.allowed == 0 {
        return Err(
            StepError::no_control("nothing at all was allowed, not even what every user may do").into()
        );
    }
    Ok(())
}

// IAM-03

/// Tries without a second factor, between two tries with one.
async fn without_second_factor(world: &World, cluster: &Cluster) -> Result<Sandwich, StepError> {
    let provider = logins::provider_of(world, cluster)?;
    if let Some(why) = provider.cannot_choose_mfa() {
        return Err(StepError::capability(why));
    }
    let with = logins::login(["plimsoll-one"]);
    let without = Login { mfa: false, ..with.clone() };
    let before = logins::control(cluster, &provider, &with).await?.variant("with a second factor");
    let token = logins::token(&provider, &without, Mint::Ordinary).await?;
    let attempt = logins::presented(cluster, &without.user, &token).await?;
    let variant = format!("without a second factor, in {}", cluster.context());
    let after = logins::control(cluster, &provider, &with).await?.variant("with a second factor");
    Ok(Sandwich { before, attempt: attempt.variant(variant), after })
}

#[when("a user logs in without a second factor")]
async fn one_factor(world: &mut World) -> StepResult {
    let cluster = world.service::<Cluster>()?;
    let sandwich = without_second_factor(world, &cluster).await?;
    world.slots.insert(LetIn(vec![
        sandwich.before.clone(),
        sandwich.attempt.clone(),
        sandwich.after.clone(),
    ]));
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

#[then("it is let in, unless the cluster is a production cluster")]
async fn as_the_environment_has_it(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    match profile.platform.spec.environment {
        Environment::NonProduction => all_let_in(world),
        Environment::Production => {
            denials::each_is(world, &Accepted::only(VerdictKind::Unauthenticated))?;
            Ok(denials::each_was_open(world)?)
        }
    }
}

/// Every attempt was open. One that the API server did not recognise is a promise broken here: this user it knows.
fn all_let_in(world: &World) -> StepResult {
    let open = Accepted::only(VerdictKind::Open);
    for attempt in world.slots.require::<LetIn>("attempts that ought to be open")?.0.clone() {
        world.record(attempt.to_evidence(&open, None));
        if attempt.verdict.kind() == VerdictKind::Unauthenticated {
            return Err(StepError::requirement(format!(
                "expected OPEN from {attempt}, saw {}",
                attempt.verdict
            ))
            .into());
        }
        Open::try_from(attempt).map_err(|no| StepError::from(Reason::from(no)))?;
    }
    Ok(())
}

#[given("a production cluster, and one that is not")]
async fn pair(world: &mut World) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let own = (profile.platform.spec.environment, world.service::<Cluster>()?.as_ref().clone());
    let peers = world.service::<PeerClusters>()?;
    let all: Vec<_> = std::iter::once(own)
        .chain(peers.all().iter().map(|peer| (peer.environment, peer.cluster.clone())))
        .collect();
    let find = |wanted: Environment| {
        let found = all.iter().find(|(environment, _)| *environment == wanted);
        found.map(|(_, cluster)| cluster.clone()).ok_or_else(|| {
            let word = match wanted {
                Environment::Production => "production",
                Environment::NonProduction => "non-production",
            };
            StepError::capability(format!("the run has no {word} cluster: it was given {} in all", all.len()))
                .hint("name another cluster of the profile's `peers`: `--peer NAME=CLUSTER`")
        })
    };
    let pair = Pair { production: find(Environment::Production)?, other: find(Environment::NonProduction)? };
    world.slots.insert(pair);
    Ok(())
}

#[when("the same user logs in to each without a second factor")]
async fn one_factor_each(world: &mut World) -> StepResult {
    let pair = world.slots.require::<Pair>("clusters")?;
    let (production, other) = (pair.production.clone(), pair.other.clone());
    let let_in = without_second_factor(world, &other).await?;
    let refused = without_second_factor(world, &production).await?;
    world.slots.insert(LetIn(vec![let_in.before, let_in.attempt, let_in.after]));
    world.slots.insert(Tried::of(vec![refused]));
    Ok(())
}

#[then("in the production cluster the attempt is UNAUTHENTICATED")]
async fn refused_in_production(world: &mut World) -> StepResult {
    Ok(denials::each_is(world, &Accepted::only(VerdictKind::Unauthenticated))?)
}

#[then("in the other cluster it is OPEN with and without")]
async fn open_elsewhere(world: &mut World) -> StepResult {
    all_let_in(world)
}
