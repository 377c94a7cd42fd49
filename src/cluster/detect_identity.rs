//! Whether people can log in by OpenID Connect, and whether the audit log can be read.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::Api;
use kube::api::PostParams;

use super::{Cluster, ClusterError};
use crate::probe::{VerdictKind, api::verdict};
use crate::profile::LoadedPlatform;
use crate::services::AuditLog;
use crate::services::oidc::{IdentityProvider, Login, Mint};

type Seen = (Option<bool>, String);

/// Logs in.
pub(super) async fn oidc(cluster: &Cluster, profile: &LoadedPlatform) -> Result<Seen, ClusterError> {
    let Some(provider) = IdentityProvider::of(profile, cluster) else {
        return Ok((None, "the profile names no identity provider to log in by".to_owned()));
    };
    let login = Login { user: "plimsoll-detect".to_owned(), groups: Vec::new(), mfa: true };
    let token = match provider.log_in(&login, Mint::Ordinary).await {
        Ok(token) => token,
        Err(error) => return Ok((None, format!("no token could be had: {error}"))),
    };
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.bearer(token.expose())?);
    let answer = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let tried = verdict(&answer);
    let issuer = &provider.promise().issuer;
    Ok(match (answer, tried.kind()) {
        (Ok(review), _) => {
            let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
            let user = user.username.unwrap_or_default();
            (Some(true), format!("by a token of {issuer}, the API server sees `{user}`"))
        }
        (Err(_), VerdictKind::Unauthenticated | VerdictKind::Forbidden) => {
            (Some(false), format!("a token of {issuer}: {tried}"))
        }
        (Err(_), _) => (None, format!("a token of {issuer}: {tried}")),
    })
}

/// Reads the log of the last minutes.
pub(super) async fn audit(cluster: &Cluster, profile: &LoadedPlatform) -> Seen {
    let Some(log) = AuditLog::of(profile, cluster) else {
        return (None, "the profile gives no access to an audit log".to_owned());
    };
    let mut events = 0_usize;
    let read = log.each(Timestamp::now() - SignedDuration::from_mins(5), |_, _| events += 1).await;
    match read {
        // Whether what is done just now is there too is for the features to say.
        Ok(()) => (Some(events > 0), format!("the audit log of the last minutes has {events} events")),
        Err(error) => (None, error.to_string()),
    }
}
