//! Requests that are sent again, because what came of them decides nothing.
//!
//! *Two met at one quota.* Admission charges what is created to the namespace's `ResourceQuota` by a conditional update.
//! If that update lost the race against others several times, the answer is a 409 about *the quota*, an object that the
//! request never named (kubernetes/kubernetes#67761, open since 2018). Nothing was created and nothing was decided:
//! neither the quota nor a policy has spoken. So the request is sent again, also where answers are judged. Whoever updates
//! a quota itself with an old resource version sees that conflict as it is.
//!
//! *The connection was closed.* A server, or what balances the load before it, may close a connection that has had nothing
//! to do in the very moment in which a request is sent on it. Where asking changes nothing it is asked once more; Go's own
//! client does so with what is idempotent (`net/http`, `Transport`). What was to change something may have been done, and
//! is not sent again.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::header::UPGRADE;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use tower::BoxError;
use tower::retry::backoff::{Backoff as _, ExponentialBackoffMaker, MakeBackoff as _};
use tower::util::rng::HasherRng;

/// How often a request is sent at most.
const ATTEMPTS: u32 = 8;
/// Before the second time; it doubles from then on, up to [`LONGEST`]. Half a dozen writers sort themselves out within it.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest pause between two.
const LONGEST: Duration = Duration::from_millis(500);

/// Questions, though they are asked by POST: nothing is stored.
const REVIEWS: [&str; 6] = [
    "localsubjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "subjectaccessreviews",
    "tokenreviews",
];

/// The client, with what decided nothing sent again.
pub(super) fn where_undecided(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            if changes_nothing(&request) {
                ask(&client, request).await
            } else {
                change(&client, request).await
            }
        }
    });
    Client::new(service, namespace)
}

fn changes_nothing<B>(request: &Request<B>) -> bool {
    match *request.method() {
        // A command in a pod is begun by a GET.
        Method::GET => !request.headers().contains_key(UPGRADE),
        Method::POST => {
            request.uri().path().rsplit('/').next().is_some_and(|resource| REVIEWS.contains(&resource))
        }
        _ => false,
    }
}

/// Once more where the connection was closed.
async fn ask(client: &Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let Some(copy) = body.try_clone() else {
        return Ok(client.send(Request::from_parts(parts, body)).await?);
    };
    match client.send(Request::from_parts(parts.clone(), copy)).await {
        Err(error) if was_closed(&error) => {
            tracing::debug!(path = parts.uri.path(), %error, "the connection was closed");
            Ok(client.send(Request::from_parts(parts, body)).await?)
        }
        other => Ok(other?),
    }
}

/// Whether a connection that stood was closed before an answer came.
fn was_closed(error: &(dyn Error + 'static)) -> bool {
    let by_hyper = |error: &hyper::Error| error.is_incomplete_message() || error.is_closed();
    let by_system = |error: &io::Error| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(by_hyper) || error.downcast_ref().is_some_and(by_system) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Again and again where it lost at a quota.
async fn change(client: &Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    if names_a_quota(request.uri().path()) {
        return Ok(client.send(request).await?);
    }
    let (parts, body) = request.into_parts();
    let mut pauses = ExponentialBackoffMaker::new(SHORTEST, LONGEST, 0.5, HasherRng::new())?.make_backoff();
    for attempt in 1..ATTEMPTS {
        // A body that flows cannot flow twice.
        let Some(copy) = body.try_clone() else { break };
        let answer = client.send(Request::from_parts(parts.clone(), copy)).await?;
        if answer.status() != StatusCode::CONFLICT {
            return Ok(answer);
        }
        let (head, answer) = answer.into_parts();
        let bytes = answer.collect_bytes().await?;
        match serde_json::from_slice::<Status>(&bytes) {
            Ok(status) if lost_at_a_quota(&status) => {
                tracing::debug!(
                    attempt,
                    path = parts.uri.path(),
                    message = status.message,
                    "lost at a quota"
                );
                pauses.next_backoff().await;
            }
            _ => return Ok(Response::from_parts(head, Body::from(bytes))),
        }
    }
    Ok(client.send(Request::from_parts(parts, body)).await?)
}

/// Whether the request is about a quota itself.
fn names_a_quota(path: &str) -> bool {
    path.split('/').any(is_a_quota)
}

/// Upstream's, and OpenShift's over several namespaces.
fn is_a_quota(resource: &str) -> bool {
    matches!(resource, "resourcequotas" | "clusterresourcequotas")
}

fn lost_at_a_quota(status: &Status) -> bool {
    status.is_conflict() && status.details.as_ref().is_some_and(|details| is_a_quota(&details.kind))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
    use kube::Api;
    use kube::api::PostParams;
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::probe::Verdict;

    /// A client whose server answers a number of times by a conflict about that kind of object, then by the object.
    fn losing(times: u32, kind: &'static str) -> (Client, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let service = tower::service_fn(move |request: Request<Body>| {
            let attempt = count.fetch_add(1, Ordering::SeqCst);
            async move {
                let sent = request.into_body().collect_bytes().await.map_err(BoxError::from)?;
                let (code, body) = if attempt < times {
                    let message = format!(
                        "Operation cannot be fulfilled on {kind} \"q\": the object has been modified"
                    );
                    (
                        409,
                        json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409,
                        "message": message, "details": {"name": "q", "kind": kind}}),
                    )
                } else {
                    // What comes back is what was sent: the body has not got lost on the way.
                    (201, serde_json::from_slice::<Value>(&sent)?)
                };
                Ok::<_, BoxError>(
                    Response::builder().status(code).body(Body::from(serde_json::to_vec(&body)?))?,
                )
            }
        });
        (where_undecided(Client::new(service, "default")), asked)
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "web"}})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_lost_at_a_quota_is_sent_again() {
        let (client, asked) = losing(3, "resourcequotas");
        let made = Api::<Pod>::default_namespaced(client).create(&PostParams::default(), &pod()).await;
        assert_eq!(made.unwrap().metadata.name.as_deref(), Some("web"));
        assert_eq!(asked.load(Ordering::SeqCst), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_wins_ends_and_tells_nothing() {
        let (client, asked) = losing(u32::MAX, "resourcequotas");
        let made = Api::<Pod>::default_namespaced(client).create(&PostParams::default(), &pod()).await;
        assert_eq!(asked.load(Ordering::SeqCst), ATTEMPTS);
        assert!(matches!(crate::probe::api::verdict(&made), Verdict::ProbeError { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn other_conflicts_are_seen_as_they_are() {
        let (client, asked) = losing(1, "pods");
        let made = Api::<Pod>::default_namespaced(client).create(&PostParams::default(), &pod()).await;
        let error = made.unwrap_err().to_string();
        assert!(error.contains("pods \"q\""), "{error}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);

        let (client, asked) = losing(1, "resourcequotas");
        let quota = serde_json::from_value(json!({"metadata": {"name": "q"}})).unwrap();
        let made = Api::<ResourceQuota>::default_namespaced(client)
            .replace("q", &PostParams::default(), &quota)
            .await;
        assert!(made.is_err());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    /// A server that closes each connection at the second request on it, and how many requests it has seen.
    async fn closing() -> (Client, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                for answered in [true, false] {
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        stream.read_line(&mut line).await.unwrap();
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    if answered {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                        stream.get_mut().write_all(answer).await.unwrap();
                    }
                }
            }
        });
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        (where_undecided(Client::try_from(config).unwrap()), asked)
    }

    #[tokio::test]
    async fn what_changes_nothing_is_asked_once_more_where_the_connection_was_closed() {
        let (client, asked) = closing().await;
        for total in [1, 3] {
            let question = Request::get("/version").body(Vec::new()).unwrap();
            client.request_text(question).await.unwrap();
            assert_eq!(asked.load(Ordering::SeqCst), total);
        }
        let (client, asked) = closing().await;
        let change = || Request::delete("/api/v1/namespaces/x").body(Vec::new()).unwrap();
        client.request_text(change()).await.unwrap();
        client.request_text(change()).await.expect_err("it may have been done");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn questions_are_known_from_what_changes_something() {
        let request =
            |method: Method, path: &str| Request::builder().method(method).uri(path).body(()).unwrap();
        let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert!(changes_nothing(&request(Method::POST, reviews)));
        assert!(changes_nothing(&request(Method::GET, "/api/v1/pods?watch=true")));
        assert!(!changes_nothing(&request(Method::POST, "/api/v1/namespaces/a/pods")));
        assert!(!changes_nothing(&request(Method::DELETE, "/api/v1/namespaces/a/pods/b")));
        let mut command = request(Method::GET, "/api/v1/namespaces/a/pods/b/exec");
        command.headers_mut().insert(UPGRADE, http::HeaderValue::from_static("websocket"));
        assert!(!changes_nothing(&command));
    }
}
