//! IAM-08: the issuer's keys change, and nobody but the old key is locked out.

use std::{sync::Arc, time::Duration};

use cucumber::{then, when};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::support::{
    denials::{self, Sandwich, Tried},
    logins,
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{Evidence, EvidenceBody, Reason, micros},
    probe::{Accepted, Attempt, Open, VerdictKind},
    profile::KeyRotation,
    services::oidc::{IdentityProvider, Mint, Token},
};

/// How many tokens of the old key are kept for the time after its withdrawal. A token is tried once only: the API
/// server remembers those that it has accepted.
const OLD_TOKENS: usize = 40;
/// How many of them are tried while both keys are published.
const TRIED_IN_BETWEEN: usize = 4;
/// How many have to be refused in a row.
const REFUSED_IN_A_ROW: usize = 3;
/// How many tokens are asked for at the same time.
const AT_ONCE: usize = 4;
/// The pause between two logins of the one who logs in all the time.
const LOGIN_EVERY: Duration = Duration::from_millis(100);

/// What was seen of a rotation.
#[derive(Debug)]
struct Rotation {
    /// Logins with a fresh token each, all the time through.
    throughout: Vec<Attempt>,
    /// Tokens of the old key, while both keys were published.
    overlap: Vec<Attempt>,
    /// The first token of the new key.
    first_of_new: Attempt,
    /// Tokens of the old key after its withdrawal, the last of them refused.
    afterwards: Vec<Sandwich>,
    /// From the order to withdraw the key to the first refusal of a token that is presented for the first time, and of
    /// one that was in use; none if there was none.
    refused_after: [Option<Duration>; 2],
    promise: KeyRotation,
}

async fn old_tokens(provider: &IdentityProvider) -> Result<Vec<Token>, StepError> {
    let login = logins::login(["plimsoll-one"]);
    stream::iter(0..OLD_TOKENS)
        .map(|_| logins::token(provider, &login, Mint::Ordinary))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Logs in again and again, each time with a fresh token.
fn keep_logging_in(
    cluster: &Arc<Cluster>,
    provider: &IdentityProvider,
    enough: &CancellationToken,
) -> JoinHandle<Result<Vec<Attempt>, StepError>> {
    let (cluster, provider, enough) = (Arc::clone(cluster), provider.clone(), enough.clone());
    tokio::spawn(async move {
        let mut seen = Vec::new();
        let login = logins::login(["plimsoll-one"]);
        while !enough.is_cancelled() {
            seen.push(logins::control(&cluster, &provider, &login).await?);
            tokio::select! {
                () = enough.cancelled() => {}
                () = tokio::time::sleep(LOGIN_EVERY) => {}
            }
        }
        Ok(seen)
    })
}

#[when("the issuer signs with a new key and withdraws the old one, while a user logs in again and again")]
async fn rotate(world: &mut World) -> StepResult {
    let (cluster, provider) = (world.service::<Cluster>()?, logins::provider(world)?);
    let promise = provider.promise().rotation.clone().ok_or_else(|| {
        StepError::capability(
            "the profile names no way to rotate the issuer's keys (`identity.oidc.rotation`)",
        )
    })?;
    let tokens = old_tokens(&provider).await?;
    let enough = CancellationToken::new();
    let logins = keep_logging_in(&cluster, &provider, &enough);
    let seen = turn(&cluster, &provider, &promise, tokens).await;
    enough.cancel();
    let throughout =
        logins.await.map_err(|error| StepError::trouble_from("log in again and again", &error))??;
    let Turned { overlap, first_of_new, afterwards, refused_after } = seen?;
    world.slots.insert(Rotation { throughout, overlap, first_of_new, afterwards, refused_after, promise });
    Ok(())
}

/// A token of the old key that has not been presented before.
const FIRST_TIME: &str = "the old key, presented for the first time";
/// A token of the old key that was accepted while the key was published: the API server may remember it.
const IN_USE: &str = "the old key, in use before";

/// Attempts with tokens of the old key after its withdrawal.
#[derive(Debug, Default)]
struct Series {
    refused_after: Option<Duration>,
    in_a_row: usize,
    judged: Vec<Sandwich>,
}

impl Series {
    /// Only refusals that last, and what is open too late, are judged: until then the old key may still be good.
    fn note(&mut self, sandwich: Sandwich, elapsed: Duration, within: Duration) {
        if sandwich.attempt.verdict.kind() == VerdictKind::Unauthenticated {
            self.in_a_row += 1;
            self.refused_after.get_or_insert(elapsed);
            self.judged.push(sandwich);
            return;
        }
        (self.in_a_row, self.refused_after) = (0, None);
        self.judged.clear();
        if elapsed > within {
            self.judged.push(sandwich);
        }
    }

    fn is_settled(&self) -> bool {
        self.in_a_row >= REFUSED_IN_A_ROW
    }
}

struct Turned {
    overlap: Vec<Attempt>,
    first_of_new: Attempt,
    afterwards: Vec<Sandwich>,
    refused_after: [Option<Duration>; 2],
}

async fn turn(
    cluster: &Cluster,
    provider: &IdentityProvider,
    promise: &KeyRotation,
    tokens: Vec<Token>,
) -> Result<Turned, StepError> {
    let login = logins::login(["plimsoll-one"]);
    let old = |token: &Token, variant: &'static str| {
        let token = token.clone();
        async move { Ok::<_, StepError>(logins::presented(cluster, logins::USER, &token).await?.variant(variant)) }
    };
    let mut tokens = tokens.into_iter();
    let old_key = tokens.as_slice().first().and_then(Token::key_id);
    let mut overlap = Vec::new();
    let mut before = logins::control(cluster, provider, &login).await?;
    provider.run(&promise.rotate).await.map_err(|error| logins::trouble(&error))?;
    let new = logins::token(provider, &login, Mint::Ordinary).await?;
    if new.key_id() == old_key {
        return Err(StepError::trouble("the issuer still signs with the old key after its rotation"));
    }
    let first_of_new = logins::presented(cluster, &login.user, &new).await?.variant("the new key");
    for token in tokens.by_ref().take(TRIED_IN_BETWEEN) {
        overlap.push(old(&token, "the old key").await?);
    }
    let in_use = tokens.next().ok_or_else(|| StepError::trouble("there are no tokens of the old key"))?;
    overlap.push(old(&in_use, IN_USE).await?);

    let ordered = Instant::now();
    provider.run(&promise.withdraw).await.map_err(|error| logins::trouble(&error))?;
    let within = promise.refused_within.get();
    let mut afterwards = Vec::new();
    let mut series = [Series::default(), Series::default()];
    let pause = within / u32::try_from(tokens.len().max(1)).unwrap_or(1);
    for token in tokens {
        let elapsed = ordered.elapsed();
        for (series, (token, variant)) in series.iter_mut().zip([(&token, FIRST_TIME), (&in_use, IN_USE)]) {
            let attempt = old(token, variant).await?;
            let after = logins::control(cluster, provider, &login).await?;
            series.note(Sandwich { before: before.clone(), attempt, after: after.clone() }, elapsed, within);
            before = after;
        }
        if elapsed > within || series.iter().all(Series::is_settled) {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let refused_after = series.each_ref().map(|series| series.refused_after);
    afterwards.extend(series.into_iter().flat_map(|series| series.judged));
    Ok(Turned { overlap, first_of_new, afterwards, refused_after })
}

fn seen(world: &World) -> Result<&Rotation, StepError> {
    world.slots.require::<Rotation>("rotation of keys")
}

/// Every attempt was open. Each was with a token that is good: to refuse it is to lock somebody out.
fn all_open(world: &World, attempts: &[Attempt], who: &str) -> StepResult {
    let shut_out: Vec<_> =
        attempts.iter().filter(|attempt| attempt.verdict.kind() != VerdictKind::Open).collect();
    let open = Accepted::only(VerdictKind::Open);
    // One piece of evidence a login would hide those that matter.
    for attempt in attempts.first().into_iter().chain(shut_out.iter().copied().take(10)) {
        world.record(attempt.to_evidence(&open, None));
    }
    let Some(first) = shut_out.first() else {
        return if attempts.is_empty() {
            Err(StepError::trouble(format!("nobody tried: {who}")).into())
        } else {
            Ok(())
        };
    };
    if first.verdict.kind() == VerdictKind::Unauthenticated {
        let message = format!(
            "expected OPEN from {who} all the time, saw {} in {} of {} logins",
            first.verdict,
            shut_out.len(),
            attempts.len()
        );
        return Err(StepError::requirement(message).into());
    }
    Open::try_from((*first).clone()).map_err(|no| StepError::from(Reason::from(no)))?;
    Ok(())
}

#[then(
    "nobody is locked out meanwhile, neither with a fresh token nor with one of the old key while it is published"
)]
async fn nobody_locked_out(world: &mut World) -> StepResult {
    let rotation = seen(world)?;
    let (throughout, overlap) = (rotation.throughout.clone(), rotation.overlap.clone());
    all_open(world, &throughout, "a user with a fresh token")?;
    all_open(world, &overlap, "a user with a token of the old key, which is still published,")
}

#[then("tokens of the new key are OPEN at once")]
async fn new_key_works(world: &mut World) -> StepResult {
    let first = seen(world)?.first_of_new.clone();
    all_open(world, &[first], "a user with the first token of the new key")
}

#[then("tokens of the old key are UNAUTHENTICATED within the promised time, and stay so")]
async fn old_key_refused(world: &mut World) -> StepResult {
    let rotation = seen(world)?;
    let within = rotation.promise.refused_within;
    let (refused_after, afterwards) = (rotation.refused_after, rotation.afterwards.clone());
    let named = [FIRST_TIME, IN_USE].into_iter().zip(refused_after);
    world.record(Evidence {
        title: "from the order to withdraw the key to the first refusal of its tokens".to_owned(),
        body: EvidenceBody::Timing {
            values_us: named
                .clone()
                .filter_map(|(name, took)| Some((name.to_owned(), micros(took?))))
                .collect(),
            bound_us: Some(micros(within.get())),
        },
    });
    for (name, took) in named {
        if took.is_none_or(|took| took > within.get()) {
            let saw =
                took.map_or_else(|| "none".to_owned(), |took| format!("it after {:.1}s", took.as_secs_f64()));
            let message =
                format!("expected UNAUTHENTICATED within {within} from a token of {name}, saw {saw}");
            let attempts = afterwards.iter().map(|one| format!("{}: {}", one.attempt, one.attempt.verdict));
            return Err(StepError::requirement(message).details(attempts).into());
        }
    }
    world.slots.insert(Tried::of(afterwards));
    Ok(denials::each_is(world, &Accepted::only(VerdictKind::Unauthenticated))?)
}

#[then("tokens of the new key were OPEN just before and just after each of these")]
async fn controls(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
