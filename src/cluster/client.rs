//! The connection to one cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryFutureExt as _;
use http::{HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::client::{Body, ClientBuilder};
use kube::discovery::Discovery;
use kube::{Api, Client, Config};
use thiserror::Error;
use tokio::sync::OnceCell;
use tower::BoxError;

use super::asked_again::where_undecided;
use super::{ClusterError, Provider, api_error};
use crate::profile::Impersonation;

/// The API server did not begin to answer in time.
#[derive(Debug, Error)]
#[error("no answer within {0:?}")]
pub(super) struct TimedOut(pub Duration);

/// The connection to one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    provider: Arc<dyn Provider>,
    context: String,
    server: String,
    /// With kube's retries of 429, 503 and 504.
    client: Client,
    /// Without them, so that such answers are seen as they are.
    raw: Client,
    /// As `raw`, without any credentials.
    nobody: Client,
    /// The kubeconfig's files, for commands of the platform; empty where there is none.
    kubeconfig: String,
    request_timeout: Duration,
    /// As whom the harness acts (`--as`), where not as itself.
    acting_as: Option<String>,
    discovery: OnceCell<Arc<Discovery>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("provider", &self.inner.provider.name())
            .field("context", &self.inner.context)
            .field("server", &self.inner.server)
            .finish_non_exhaustive()
    }
}

/// The API server, as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// `v1.36.3`.
    pub version: String,
    /// Operating system and architecture.
    pub platform: String,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// Version of its kubelet.
    pub kubelet: String,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether an ordinary pod may be placed there: not cordoned, no taint that keeps pods away.
    pub schedulable: bool,
    /// The value of its `kubernetes.io/hostname`.
    pub hostname: String,
    /// Its own addresses.
    pub addresses: Vec<String>,
}

/// How far our clock and the API server's are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    /// Milliseconds by which the server is ahead; negative if it is behind.
    pub ahead_ms: i64,
    /// Milliseconds by which that may be wrong: half the round trip, and the server tells whole seconds only.
    pub uncertainty_ms: i64,
}

impl ClockSkew {
    /// Whether the clocks are surely further apart than that.
    pub fn exceeds(&self, bound: Duration) -> bool {
        let bound = i64::try_from(bound.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.saturating_abs().saturating_sub(self.uncertainty_ms) > bound
    }
}

impl Cluster {
    /// Builds the clients; nothing is sent yet.
    pub(super) fn new(
        provider: Arc<dyn Provider>,
        context: String,
        kubeconfig: String,
        mut config: Config,
        request_timeout: Duration,
    ) -> Result<Self, ClusterError> {
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        config.connect_timeout = Some(request_timeout.min(Duration::from_secs(10)));
        config.headers.push((
            HeaderName::from_static("user-agent"),
            HeaderValue::from_static(concat!("plimsoll/", env!("CARGO_PKG_VERSION"))),
        ));
        let build = |retry: bool, login: bool| {
            let mut config = config.clone();
            config.default_retry = retry;
            if !login {
                config.auth_info = kube::config::AuthInfo::default();
            }
            let place = || format!("of the context `{context}`");
            ClientBuilder::try_from(config)
                .map(|builder| where_undecided(with_timeout(builder.build(), request_timeout)))
                .map_err(|error| ClusterError::Kubeconfig { place: place(), source: Box::new(error) })
        };
        let (client, raw, nobody) = (build(true, true)?, build(false, true)?, build(false, false)?);
        let acting_as = config.auth_info.impersonate.clone();
        let inner = Inner {
            provider,
            context,
            server,
            client,
            raw,
            nobody,
            kubeconfig,
            request_timeout,
            acting_as,
            discovery: OnceCell::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// From a client that is there already; how tests put a mock in.
    #[cfg(test)]
    pub(crate) fn of_mock(client: Client, request_timeout: Duration) -> Self {
        let client = where_undecided(with_timeout(client, request_timeout));
        let inner = Inner {
            provider: Arc::new(super::provider::KubeconfigProvider),
            context: "mock".to_owned(),
            server: "https://mock".to_owned(),
            raw: client.clone(),
            nobody: client.clone(),
            client,
            kubeconfig: String::new(),
            request_timeout,
            acting_as: None,
            discovery: OnceCell::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The client for the harness's own work: it repeats what was answered by 429, 503 or 504.
    pub fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// The client for what is judged: every answer is seen as it is, but for what decides nothing (a request that lost the
    /// race for its charge at a quota is sent again, and a question whose connection was closed).
    pub fn raw(&self) -> Client {
        self.inner.raw.clone()
    }

    /// A client without credentials and without retries: what anybody can send who reaches the API server.
    pub fn nobody(&self) -> Client {
        self.inner.nobody.clone()
    }

    /// A client without retries that logs in by a token.
    pub fn bearer(&self, token: &str) -> Result<Client, ClusterError> {
        let mut header =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| ClusterError::Api {
                doing: "log in by a token".to_owned(),
                code: 0,
                message: "the token has signs that no HTTP header can carry".to_owned(),
            })?;
        header.set_sensitive(true);
        let base = self.nobody();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let base = base.clone();
            request.headers_mut().insert(http::header::AUTHORIZATION, header.clone());
            async move { base.send(request).map_err(BoxError::from).await }
        });
        Ok(Client::new(service, "default"))
    }

    /// A client without retries that acts as somebody else. It shares connections and credentials with
    /// [`Cluster::raw`], so that hundreds of identities cost nothing.
    pub fn impersonate(&self, who: &Impersonation) -> Result<Client, ClusterError> {
        if let Some(other) = &self.inner.acting_as {
            // The API server looks at one user only: the tenant's request would go out as that other one.
            return Err(ClusterError::Api {
                doing: format!("act as `{}`", who.user),
                code: 0,
                message: format!("this run acts as `{other}` (`--as`) already, and that does not nest"),
            });
        }
        let header = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| ClusterError::Api {
                doing: format!("act as `{text}`"),
                code: 0,
                message: "the name has signs that no HTTP header can carry".to_owned(),
            })
        };
        let user = header(&who.user)?;
        let groups = who.groups.iter().map(|group| header(group)).collect::<Result<Vec<_>, _>>()?;
        let base = self.inner.raw.clone();
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let base = base.clone();
            request.headers_mut().insert("impersonate-user", user.clone());
            for group in &groups {
                request.headers_mut().append("impersonate-group", group.clone());
            }
            async move { base.send(request).map_err(BoxError::from).await }
        });
        Ok(Client::new(service, "default"))
    }

    /// The provider.
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.inner.provider
    }

    /// The context's name.
    pub fn context(&self) -> &str {
        &self.inner.context
    }

    /// The API server's address.
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// What KUBECONFIG would have to be for a command that is to reach the same cluster.
    pub fn kubeconfig(&self) -> &str {
        &self.inner.kubeconfig
    }

    /// How long one request may take.
    pub fn request_timeout(&self) -> Duration {
        self.inner.request_timeout
    }

    /// Turns kube's error into ours.
    pub fn error(&self, doing: impl Into<String>, error: kube::Error) -> ClusterError {
        api_error::doing(self.server(), doing, error)
    }

    /// The API server's version; also the first sign of life.
    pub async fn server_info(&self) -> Result<ServerInfo, ClusterError> {
        let info = self
            .inner
            .client
            .apiserver_version()
            .await
            .map_err(|error| self.error("read the API server's version", error))?;
        Ok(ServerInfo { version: info.git_version, platform: info.platform })
    }

    /// Whether the API server says of itself that it is still starting. Until it has read the roles and who holds them
    /// it forbids everything to everybody, which is no decision yet. A server that does not say is not starting, nor is
    /// one that is not ready for another reason (its etcd is gone, it is being ended).
    pub async fn is_starting(&self) -> bool {
        let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
        let answer = self.inner.client.request_text(request).await;
        // Its checks, one a line, each with the mark of how it went.
        let of_start =
            |line: &str| ["[-]poststarthook/", "[-]informer-sync"].iter().any(|at| line.starts_with(at));
        matches!(answer, Err(kube::Error::Api(status))
            if status.code == 500 && status.message.lines().any(of_start))
    }

    /// Waits until the API server does not say any more that it is starting, or the time has passed.
    pub async fn started(&self, within: Duration) {
        // It has nothing to be watched by.
        let started = async {
            while self.is_starting().await {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        let _ = tokio::time::timeout(within, started).await;
    }

    /// What the API server serves; asked once.
    pub async fn discovery(&self) -> Result<Arc<Discovery>, ClusterError> {
        self.inner.discovery.get_or_try_init(|| self.discover()).await.map(Arc::clone)
    }

    async fn discover(&self) -> Result<Arc<Discovery>, ClusterError> {
        // Two requests instead of one a group; servers before 1.30 may not have it.
        let found = match Discovery::new(self.client()).run_aggregated().await {
            Ok(found) => Ok(found),
            Err(_) => Discovery::new(self.client()).run().await,
        };
        found.map(Arc::new).map_err(|error| self.error("discover what the API server serves", error))
    }

    /// Every node, by name.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, ClusterError> {
        let nodes: Api<Node> = Api::all(self.client());
        let list =
            nodes.list(&ListParams::default()).await.map_err(|error| self.error("list nodes", error))?;
        let mut nodes: Vec<NodeInfo> = list.items.into_iter().map(node_info).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// How far our clock and the API server's are apart, by the `Date` of an answer.
    pub async fn clock_skew(&self) -> Result<ClockSkew, ClusterError> {
        let doing = "read the API server's clock";
        let unclear = |message: &str| ClusterError::Api {
            doing: doing.to_owned(),
            code: 0,
            message: message.to_owned(),
        };
        let request = Request::get("/version")
            .body(Body::empty())
            .map_err(|_| unclear("the request could not be built"))?;
        let (before, started) = (Timestamp::now(), Instant::now());
        let answer = self.inner.raw.send(request).await.map_err(|error| self.error(doing, error))?;
        let round_trip = started.elapsed();
        let date = answer
            .headers()
            .get("date")
            .and_then(|date| date.to_str().ok())
            .and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok())
            .ok_or_else(|| unclear("its answer has no `Date` that can be read"))?;
        Ok(skew(before, round_trip, date))
    }
}

/// The server's clock against ours. It tells whole seconds, cut off, so on average half a second is missing.
fn skew(before: Timestamp, round_trip: Duration, date: Timestamp) -> ClockSkew {
    let half = i64::try_from(round_trip.as_millis()).unwrap_or(i64::MAX / 4) / 2;
    let middle = before.as_millisecond() + half;
    ClockSkew { ahead_ms: date.as_millisecond() + 500 - middle, uncertainty_ms: half + 500 }
}

/// Ends a request that the server does not begin to answer in time. Streams, once begun, are not limited.
fn with_timeout(client: Client, within: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            match tokio::time::timeout(within, client.send(request)).await {
                Ok(answer) => answer.map_err(BoxError::from),
                Err(_) => Err(BoxError::from(TimedOut(within))),
            }
        }
    });
    Client::new(service, namespace)
}

fn node_info(node: Node) -> NodeInfo {
    let name = node.metadata.name.unwrap_or_default();
    let labels: BTreeMap<String, String> = node.metadata.labels.unwrap_or_default();
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let tainted =
        spec.taints.iter().flatten().any(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    NodeInfo {
        hostname: labels.get("kubernetes.io/hostname").cloned().unwrap_or_else(|| name.clone()),
        kubelet: status.node_info.map(|info| info.kubelet_version).unwrap_or_default(),
        ready,
        schedulable: ready && !tainted && !spec.unschedulable.unwrap_or_default(),
        addresses: status.addresses.into_iter().flatten().map(|address| address.address).collect(),
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_counts_only_beyond_its_own_uncertainty() {
        let now: Timestamp = "2026-11-23T10:00:00.400Z".parse().unwrap();
        let same = skew(now, Duration::from_millis(20), "2026-11-23T10:00:00Z".parse().unwrap());
        assert_eq!((same.ahead_ms, same.uncertainty_ms), (90, 510));
        assert!(!same.exceeds(Duration::ZERO));
        let ahead = skew(now, Duration::from_millis(20), "2026-11-23T10:00:31Z".parse().unwrap());
        assert!(ahead.exceeds(Duration::from_secs(30)));
        let behind = skew(now, Duration::from_millis(20), "2026-11-23T09:59:00Z".parse().unwrap());
        assert!(behind.ahead_ms < 0 && behind.exceeds(Duration::from_secs(30)));
    }
}
