//! People who log in by a token of the identity provider.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, UserInfo};
use kube::{Api, Error, api::PostParams};
use serde_json::json;

use super::api::answer;
use crate::{
    bdd::{StepError, World},
    cluster::Cluster,
    probe::{Attempt, Moment, Span, api::verdict},
    profile::LoadedPlatform,
    services::{
        CommandError,
        oidc::{IdentityProvider, Login, Mint, Token},
    },
    tenant::Actor,
};

/// The user of scenarios that need only one.
pub const USER: &str = "plimsoll-user";

/// What is tried with a token: to be told who one is, which every user may.
const TARGET: &str = "create selfsubjectreviews";

/// The identity provider of the cluster of the run.
pub fn provider(world: &World) -> Result<IdentityProvider, StepError> {
    let cluster = world.service::<Cluster>()?;
    provider_of(world, &cluster)
}

/// The identity provider, for a cluster.
pub fn provider_of(world: &World, cluster: &Cluster) -> Result<IdentityProvider, StepError> {
    let profile = world.service::<LoadedPlatform>()?;
    IdentityProvider::of(&profile, cluster)
        .ok_or_else(|| StepError::capability("the profile names no identity provider (`spec.identity`)"))
}

/// Somebody with groups, who shows a second factor.
pub fn login(groups: impl IntoIterator<Item = impl Into<String>>) -> Login {
    Login { user: USER.to_owned(), groups: groups.into_iter().map(Into::into).collect(), mfa: true }
}

/// Trouble with a program of the profile.
pub fn trouble(error: &CommandError) -> StepError {
    StepError::trouble_from("log in by the identity provider", error)
}

/// A token with these very groups.
pub async fn token(provider: &IdentityProvider, login: &Login, mint: Mint) -> Result<Token, StepError> {
    let token = provider.log_in(login, mint).await.map_err(|error| trouble(&error))?;
    let given = token.claim_list(&provider.promise().claims.groups.claim);
    let mut wanted = login.groups.clone();
    wanted.sort();
    if given == wanted {
        return Ok(token);
    }
    Err(StepError::capability(format!(
        "asked for a token with the groups [{}], the identity provider gave one with [{}]",
        wanted.join(", "),
        given.join(", ")
    )))
}

/// Somebody who acts by a token.
pub fn actor(provider: &IdentityProvider, cluster: &Cluster, token: &Token) -> Result<Actor, StepError> {
    let user = provider.user(token);
    Ok(Actor {
        name: user.clone().unwrap_or_else(|| "a user without a name".to_owned()),
        user,
        groups: provider.groups(token),
        client: cluster.bearer(token.expose()).map_err(StepError::from)?,
    })
}

/// Asks the API server who one is, by a token and nothing else.
pub async fn who_am_i(cluster: &Cluster, token: &Token) -> Result<Result<UserInfo, Error>, StepError> {
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.bearer(token.expose()).map_err(StepError::from)?);
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    Ok(review.map(|review| review.status.and_then(|status| status.user_info).unwrap_or_default()))
}

/// Presents a token. For whom the API server takes the bearer is part of the evidence; the token is not.
pub async fn presented(cluster: &Cluster, who: &str, token: &Token) -> Result<Attempt, StepError> {
    let began = Moment::now();
    let result = who_am_i(cluster, token).await?;
    let evidence = match &result {
        Ok(user) => json!({"username": user.username, "groups": user.groups}),
        Err(_) => answer(&result),
    };
    Ok(Attempt {
        actor: who.to_owned(),
        target: TARGET.to_owned(),
        variant: None,
        verdict: verdict(&result),
        span: Span::since(began),
        took_us: None,
        evidence,
    })
}

/// Presents a fresh good token, as a control: an earlier one may be remembered by the API server.
pub async fn control(
    cluster: &Cluster,
    provider: &IdentityProvider,
    login: &Login,
) -> Result<Attempt, StepError> {
    let token = token(provider, login, Mint::Ordinary).await?;
    Ok(presented(cluster, &login.user, &token).await?.variant("a good token"))
}
