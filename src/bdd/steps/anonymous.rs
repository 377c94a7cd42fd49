//! IAM-06: what those get who are not logged in.

use std::collections::BTreeMap;

use cucumber::{then, when};
use futures::{StreamExt, stream};
use kube::Client;

use super::support::{
    api::answer,
    denials::{self, Sandwich, Tried},
    tenants,
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, rbac},
    engine::{ComparisonRow, Evidence, EvidenceBody},
    oracle::{AnonymousBinding, anonymous_bindings},
    probe::{Accepted, Attempt, Moment, Span, VerdictKind, access, api::verdict, urls},
    profile::{Anonymous, LoadedPlatform},
};

/// Requests under way at once.
const CONCURRENCY: usize = 12;

/// How somebody comes who is not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guise {
    /// As anybody.
    Nothing,
    /// With a token that is none.
    EmptyToken,
    /// Asking to be taken for an administrator.
    BorrowedName,
    /// As a proxy in front of the API server says who is behind it, without being that proxy.
    ForgedProxy,
}

impl Guise {
    /// Beside [`Guise::Nothing`], which is none.
    const DISGUISES: [Self; 3] = [Self::EmptyToken, Self::BorrowedName, Self::ForgedProxy];

    const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "without credentials",
            Self::EmptyToken => "with an empty token",
            Self::BorrowedName => "under a borrowed name",
            Self::ForgedProxy => "with the headers of a proxy",
        }
    }

    const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Nothing => &[],
            Self::EmptyToken => &[("authorization", "Bearer ")],
            Self::BorrowedName => {
                &[("impersonate-user", "kubernetes-admin"), ("impersonate-group", "system:masters")]
            }
            Self::ForgedProxy => {
                &[("x-remote-user", "kubernetes-admin"), ("x-remote-group", "system:masters")]
            }
        }
    }
}

/// What each promised path answered.
#[derive(Debug)]
struct Promised(Vec<Attempt>);

fn promise(world: &World) -> Result<Anonymous, StepError> {
    world.service::<LoadedPlatform>()?.platform.spec.anonymous.clone().ok_or_else(|| {
        StepError::requirement(
            "expected the profile to say what those get who are not logged in, saw nothing in it",
        )
        .hint("name paths and roles under `spec.anonymous` of the profile")
    })
}

/// Asks for every path. By path, so that each finds its control.
async fn ask(
    who: &str,
    client: &Client,
    headers: &'static [(&'static str, &'static str)],
    paths: impl IntoIterator<Item = String>,
) -> BTreeMap<String, Attempt> {
    stream::iter(paths)
        .map(|path| async move {
            let began = Moment::now();
            let result = urls::get(client, &path, headers).await;
            let attempt = Attempt {
                actor: who.to_owned(),
                target: format!("get {path}"),
                variant: None,
                verdict: verdict(&result),
                span: Span::since(began),
                took_us: None,
                evidence: answer(&result),
            };
            (path, attempt)
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}

#[when("every path that the API server lists and every kind of object is asked for without credentials")]
async fn every_path(world: &mut World) -> StepResult {
    ask_as(world, &[Guise::Nothing]).await
}

#[when(
    "every path that the API server lists and every kind of object is asked for with an empty token, under a borrowed name, and with the headers of a proxy that nobody trusts"
)]
async fn every_path_in_disguise(world: &mut World) -> StepResult {
    ask_as(world, &Guise::DISGUISES).await
}

async fn ask_as(world: &mut World, guises: &[Guise]) -> StepResult {
    const HARNESS: &str = "the harness";
    let promise = promise(world)?;
    let cluster = world.service::<Cluster>()?;
    let trouble = |error| cluster.error("list the paths of the API server", error);
    let served = access::served(&cluster.client()).await.map_err(trouble)?;
    let paths = urls::known(&cluster.client(), &served).await.map_err(trouble)?;
    let (raw, nobody) = (cluster.raw(), cluster.nobody());
    // Below a promised path there are hundreds of others. They are asked for plainly, and not in every disguise.
    let disguised = !guises.contains(&Guise::Nothing);
    let below = |path: &str| promise.paths.iter().any(|promised| path.starts_with(&format!("{promised}/")));
    let denied: Vec<String> = paths
        .into_iter()
        .filter(|path| !(promise.paths.contains(path) || disguised && below(path)))
        .collect();
    let before = ask(HARNESS, &raw, &[], denied.clone()).await;
    let mut tried = Vec::new();
    for guise in guises {
        for (path, attempt) in ask("anybody", &nobody, guise.headers(), denied.clone()).await {
            tried.push((path, attempt.variant(guise.words())));
        }
    }
    let controlled: Vec<String> = before
        .iter()
        .filter(|(_, attempt)| attempt.verdict.kind() == VerdictKind::Open)
        .map(|(path, _)| path.clone())
        .collect();
    let after = ask(HARNESS, &raw, &[], controlled).await;
    world.record(Evidence {
        title: format!("{} paths asked for, {} of them open to the harness", before.len(), after.len()),
        body: EvidenceBody::Text {
            lines: tried
                .iter()
                .map(|(path, attempt)| {
                    let control = before.get(path).map_or_else(String::new, |it| it.verdict.to_string());
                    let guise = attempt.variant.as_deref().unwrap_or_default();
                    format!("{path} {guise}: {}; to the harness {control}", attempt.verdict)
                })
                .collect(),
        },
    });
    let mut sandwiches = Vec::new();
    for (path, attempt) in tried {
        let Some(control) = before.get(&path) else { continue };
        match after.get(&path) {
            Some(last) => {
                sandwiches.push(Sandwich { before: control.clone(), attempt, after: last.clone() });
            }
            // There is nothing to be had there, unless somebody who is not logged in gets it all the same.
            None if attempt.verdict.kind().is_breach() => {
                sandwiches.push(Sandwich { before: control.clone(), attempt, after: control.clone() });
            }
            None => {}
        }
    }
    let has = |target: &str| sandwiches.iter().any(|one| one.attempt.target.contains(target));
    if let Some(missing) =
        ["get /apis", "get /version", "/secrets?limit=1"].into_iter().find(|path| !has(path))
    {
        return Err(StepError::no_control(format!("the harness itself could not {missing}")).into());
    }
    let promised = ask("anybody", &nobody, &[], promise.paths.clone()).await;
    world.slots.insert(Promised(promised.into_values().collect()));
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

#[then("exactly the promised paths are OPEN")]
async fn promised_open(world: &mut World) -> StepResult {
    let attempts = world.slots.require::<Promised>("answers of the promised paths")?.0.clone();
    let open = Accepted::only(VerdictKind::Open);
    for attempt in attempts {
        world.record(attempt.to_evidence(&open, None));
        let kind = attempt.verdict.kind();
        if open.contains(kind) {
            continue;
        }
        // Not to be let in is clear here: nobody has shown who they are.
        let unclear = matches!(kind, VerdictKind::ProbeError | VerdictKind::RateLimited);
        let message = format!("expected {open} from {attempt}, saw {}", attempt.verdict);
        let error = if unclear { StepError::trouble(message) } else { StepError::requirement(message) };
        return Err(error.into());
    }
    Ok(())
}

#[then(regex = r"^every other path is ([A-Z_]+(?: or [A-Z_]+)*)$")]
async fn others(world: &mut World, words: String) -> StepResult {
    let accepted = super::words::accepted(&words)?;
    Ok(denials::each_is_without_evidence(world, &accepted)?)
}

#[then("each of these was OPEN for the harness itself just before and just after")]
async fn controls(world: &mut World) -> StepResult {
    Ok(denials::each_was_open_without_evidence(world)?)
}

/// What is bound to those who are not logged in.
#[derive(Debug)]
struct Bound(Vec<AnonymousBinding>);

#[when("every binding of those who are not logged in is read")]
async fn bindings(world: &mut World) -> StepResult {
    let promise = promise(world)?;
    let cluster = world.service::<Cluster>()?;
    let rbac = rbac(&cluster).await?;
    if rbac.bindings.is_empty() || rbac.roles.is_empty() {
        return Err(StepError::trouble("the cluster lists no role or no binding at all").into());
    }
    world.slots.insert(Bound(anonymous_bindings(&rbac, &promise)));
    Ok(())
}

#[then("each binds a role that the profile declares, and grants nothing beyond it")]
async fn declared(world: &mut World) -> StepResult {
    let bound = &world.slots.require::<Bound>("bindings")?.0;
    let rows: Vec<_> = bound
        .iter()
        .map(|one| ComparisonRow {
            name: format!("what {} grants to {}", one.binding, one.subject),
            expected: "declared".to_owned(),
            seen: if one.excess.is_empty() { "declared".to_owned() } else { one.excess.join(", ") },
            holds: one.excess.is_empty(),
        })
        .collect();
    if rows.is_empty() {
        world.record(Evidence {
            title: "bindings of those who are not logged in".to_owned(),
            body: EvidenceBody::Text { lines: vec!["there is none".to_owned()] },
        });
        return Ok(());
    }
    tenants::all_hold(world, "bindings of those who are not logged in", rows)
}
