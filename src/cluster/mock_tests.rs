//! The ends of trouble, each by a mock of the API server: no test here needs a cluster.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use super::*;
use crate::engine::{Reason, ReasonKind};
use crate::profile::Impersonation;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(200);

enum Answer {
    Json(u16, Value),
    Text(u16, &'static str),
    /// The connection breaks.
    Broken,
    /// Nothing ever comes.
    Silence,
}

/// A cluster whose API server answers by a function of method and path.
fn cluster(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Cluster {
    cluster_seeing(LONG, move |request| answer(request.method().as_str(), &request.uri().to_string()))
}

fn cluster_seeing(
    request_timeout: Duration,
    answer: impl Fn(&Request<Body>) -> Answer + Send + Sync + 'static,
) -> Cluster {
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer(&request);
        async move {
            let respond = |code: u16, body: Vec<u8>| {
                let answer = Response::builder().status(code).header("date", "Mon, 23 Nov 2026 10:00:00 GMT");
                Ok(answer.body(Body::from(body)).expect("a response"))
            };
            match answer {
                Answer::Json(code, value) => respond(code, serde_json::to_vec(&value).unwrap_or_default()),
                Answer::Text(code, text) => respond(code, text.into()),
                Answer::Broken => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                Answer::Silence => std::future::pending().await,
            }
        }
    });
    Cluster::of_mock(Client::new(service, "default"), request_timeout)
}

fn list(kind: &str, items: Vec<Value>) -> Answer {
    Answer::Json(
        200,
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": "7"}, "items": items}),
    )
}

fn shown(error: ClusterError) -> String {
    let family = error.family();
    let reason = Reason::from(error);
    assert_eq!(reason.kind, ReasonKind::Trouble);
    let mut text = format!("{family:?}: {}", reason.message);
    for detail in &reason.details {
        text.push_str("\n  ");
        text.push_str(detail);
    }
    if let Some(hint) = reason.hint {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    text
}

#[tokio::test]
async fn expired_credentials_end_at_once() {
    let unauthorized = || json!({"kind": "Status", "status": "Failure", "message": "Unauthorized", "reason": "Unauthorized", "code": 401});
    let cluster = cluster(move |_, _| Answer::Json(401, unauthorized()));
    let error = cluster.nodes().await.expect_err("nobody knows us");
    insta::assert_snapshot!(shown(error));
    // A wait does not wait for better credentials, though its deadline is far.
    let error =
        wait_namespaces_gone(&cluster, &["x".to_owned()], None, LONG).await.expect_err("nobody knows us");
    assert!(matches!(error, ClusterError::Credentials { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_api_server_is_named() {
    // Nobody listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let client = kube::client::ClientBuilder::try_from(config).unwrap().build();
    let lost = Cluster::of_mock(client, LONG);
    let error = lost.server_info().await.expect_err("nobody is there");
    insta::assert_snapshot!(shown(error));
}

#[tokio::test]
async fn an_api_server_that_breaks_off_a_watch_is_lost() {
    let cluster = cluster(|_, path| {
        if path.contains("watch=true") { Answer::Broken } else { list("NamespaceList", vec![terminating()]) }
    });
    let error = wait_namespaces_gone(&cluster, &["plim-x7k2-alpha".to_owned()], None, SHORT)
        .await
        .expect_err("the watch breaks");
    assert!(matches!(error, ClusterError::Unreachable { .. }), "{error}");
    insta::assert_snapshot!(shown(error));
}

fn forbidden() -> Answer {
    let message = "namespaces is forbidden: User \"somebody\" cannot list resource \"namespaces\"";
    Answer::Json(
        403,
        json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403,
               "message": message}),
    )
}

/// What `/readyz` says of a server that is starting, and of one that is not ready for another reason.
const STARTING: &str =
    "[+]ping ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed";
const NOT_READY: &str = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed";

/// Namespaces are forbidden so many times; a server that says of itself that it starts says so as long.
fn forbids(times: usize, says_so: bool) -> Cluster {
    let asked = AtomicUsize::new(0);
    cluster(move |_, path| {
        if path.starts_with("/readyz") {
            let starting = says_so && asked.load(Ordering::Relaxed) <= times;
            return Answer::Text(500, if starting { STARTING } else { NOT_READY });
        }
        if asked.fetch_add(1, Ordering::Relaxed) < times {
            forbidden()
        } else {
            list("NamespaceList", vec![])
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_starting_forbids_nothing_yet() {
    let gone = ["plim-x".to_owned()];
    let wait = |cluster: Cluster| {
        let gone = gone.clone();
        async move { wait_namespaces_gone(&cluster, &gone, None, LONG).await }
    };
    assert!(wait(forbids(2, true)).await.is_ok());
    assert!(matches!(wait(forbids(2, false)).await, Err(ClusterError::Forbidden { .. })));
}

#[tokio::test]
async fn who_does_not_see_namespaces_is_not_told_that_nothing_is_left() {
    let kind = listing::Listable {
        resource: kube::api::ApiResource::erase::<Namespace>(&()),
        namespaced: false,
        deletable: true,
    };
    let found = listing::list(&forbids(1, false), vec![kind], None, None, true).await;
    assert!(matches!(found, Err(ClusterError::Forbidden { .. })), "{found:?}");
}

#[test]
fn what_could_not_be_looked_at_is_one_line_however_much_it_is() {
    let unseen =
        |number| Sweep { unseen: vec!["could not list leases: no".to_owned(); number], ..Sweep::default() };
    assert_eq!(unseen(0).blind_spots(), None);
    let start = "there may be more than was found: could not list leases: no";
    assert_eq!(unseen(1).blind_spots().as_deref(), Some(start));
    assert_eq!(unseen(2).blind_spots(), Some(format!("{start} (and one kind more)")));
    assert_eq!(unseen(52).blind_spots(), Some(format!("{start} (and 51 kinds more)")));
}

#[tokio::test(start_paused = true)]
async fn a_server_is_waited_for_while_it_starts_and_no_longer() {
    let asked = AtomicUsize::new(0);
    let comes = cluster(move |_, _| match asked.fetch_add(1, Ordering::Relaxed) {
        0..4 => Answer::Text(500, STARTING),
        _ => Answer::Text(200, "ok"),
    });
    comes.started(LONG).await;
    assert!(!comes.is_starting().await);
    let never = cluster(|_, _| Answer::Text(500, STARTING));
    never.started(SHORT).await;
    assert!(never.is_starting().await);
    assert!(!cluster(|_, _| Answer::Text(500, NOT_READY)).is_starting().await);
}

#[tokio::test]
async fn a_silent_api_server_is_slow() {
    let cluster = cluster_seeing(Duration::from_millis(30), |_| Answer::Silence);
    let error = cluster.nodes().await.expect_err("nothing comes");
    insta::assert_snapshot!(shown(error));
}

fn terminating() -> Value {
    json!({
        "metadata": {"name": "plim-x7k2-alpha", "uid": "1", "resourceVersion": "7",
                     "deletionTimestamp": "2026-11-23T10:00:00Z"},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Terminating", "conditions": [
            {"type": "NamespaceFinalizersRemaining", "status": "True",
             "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"},
        ]},
    })
}

#[tokio::test]
async fn a_namespace_stuck_in_terminating_is_named_with_its_reason() {
    let cluster = cluster(|_, path| {
        if path.contains("watch=true") { Answer::Silence } else { list("NamespaceList", vec![terminating()]) }
    });
    let stuck = wait_namespaces_gone(&cluster, &["plim-x7k2-alpha".to_owned()], None, SHORT).await.unwrap();
    insta::assert_debug_snapshot!(stuck);
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_named_with_its_pod() {
    let pod = |name: &str, state: Value| {
        json!({
            "metadata": {"name": name, "namespace": "alpha", "resourceVersion": "7"},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{"name": "agent", "image": "x", "imageID": "", "ready": false,
                                       "restartCount": 0, "state": state}]},
        })
    };
    let answer = move |_: &str, path: &str| {
        if path.contains("watch=true") {
            return Answer::Silence;
        }
        let pulling = json!({"waiting": {"reason": "ImagePullBackOff",
            "message": "Back-off pulling image \"registry.invalid/agent:1\""}});
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        list("PodList", vec![pod("web", pulling), pod("api", creating)])
    };
    let cluster = cluster(answer);
    let names = ["web", "api", "db"].map(str::to_owned);
    let error = wait_pods_ready(&cluster, cluster.client(), "alpha", "app=x", &names, SHORT)
        .await
        .expect_err("they cannot become ready");
    insta::assert_snapshot!(shown(error));
}

#[tokio::test]
async fn a_pod_that_can_never_be_ready_ends_the_wait_before_its_deadline() {
    let cluster = cluster(|_, path| {
        if path.contains("watch=true") {
            return Answer::Silence;
        }
        list(
            "PodList",
            vec![json!({
                "metadata": {"name": "web", "namespace": "alpha", "resourceVersion": "7"},
                "status": {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."},
            })],
        )
    });
    let error = wait_pods_ready(&cluster, cluster.client(), "alpha", "app=x", &["web".to_owned()], LONG)
        .await
        .expect_err("it has failed");
    assert!(error.to_string().ends_with("failed: Evicted (The node was low on memory.)"), "{error}");
}

#[tokio::test]
async fn clock_skew_is_read_from_the_answers_date() {
    let cluster = cluster(|_, _| Answer::Json(200, json!({})));
    let skew = cluster.clock_skew().await.unwrap();
    let there: jiff::Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    let apart = (jiff::Timestamp::now().as_millisecond() - there.as_millisecond()).abs();
    // The clock of the test is some distance away from the answer's date, however it is set.
    assert_eq!(skew.exceeds(Duration::from_secs(5)), apart > 6_000);
    assert!((skew.ahead_ms.abs() - apart).abs() < 60_000);
}

#[tokio::test]
async fn an_impersonated_client_says_whom_it_acts_for() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    let cluster = cluster_seeing(LONG, move |request| {
        let mut headers: Vec<String> = request
            .headers()
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("impersonate"))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")))
            .collect();
        headers.sort();
        log.lock().expect("the log").extend(headers);
        list("NamespaceList", vec![])
    });
    let who = Impersonation { user: "alpha-admin".into(), groups: vec!["a".into(), "b".into()] };
    let client = cluster.impersonate(&who).unwrap();
    Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap();
    assert_eq!(
        *seen.lock().expect("the log"),
        ["impersonate-group: a", "impersonate-group: b", "impersonate-user: alpha-admin"]
    );
    let wrong = Impersonation { user: "two\nlines".into(), groups: vec![] };
    assert!(cluster.impersonate(&wrong).is_err());
}

#[tokio::test]
async fn a_context_that_the_profile_does_not_allow_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(
        &file,
        "apiVersion: v1\nkind: Config\ncurrent-context: prod\n\
         clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\n\
         users: [{name: u, user: {token: t}}]\n\
         contexts: [{name: prod, context: {cluster: c, user: u}}, {name: plimsoll-default, context: {cluster: c, user: u}}]\n",
    )
    .unwrap();
    let platform = crate::profile::load_lab().unwrap().platform;
    let to = |context: Option<&str>| Target::Kubeconfig {
        file: Some(file.clone()),
        context: context.map(str::to_owned),
    };
    let options = |mutating, ci| ConnectOptions { mutating, ci, request_timeout: None, impersonate: None };
    let refused = async |target, options| {
        let error = connect(&target, &platform, &options).await.expect_err("it must be refused");
        assert_eq!(error.family(), ErrorFamily::Usage);
        format!("{error}\nhint: {}", error.hint().unwrap_or_default())
    };
    let texts = [
        refused(to(None), options(true, false)).await,
        refused(to(None), options(true, true)).await,
        refused(to(Some("prd")), options(true, false)).await,
    ];
    insta::assert_snapshot!(texts.join("\n\n"));
    // To look is allowed, and so is to change what the profile names.
    assert_eq!(connect(&to(None), &platform, &options(false, false)).await.unwrap().context(), "prod");
    connect(&to(Some("plimsoll-default")), &platform, &options(true, true)).await.unwrap();
}

/// The stand-in writes down how it was called, and answers as the command's documentation and sources say.
#[tokio::test]
async fn kind_is_driven_as_its_command_wants() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("kind");
    std::fs::write(&program, include_str!("provider/kind-stand-in.sh")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();

    let kind = Kind::new("qa").with_program(&program);
    assert!(!kind.exists().await.unwrap());
    kind.create(Some(std::path::Path::new("two-nodes.yaml"))).await.unwrap();
    assert!(kind.exists().await.unwrap());
    let kubeconfig = kind.kubeconfig().await.unwrap();
    assert_eq!(kubeconfig.current_context.as_deref(), Some(kind.context().as_str()));
    let archive = directory.path().join("agent.tar");
    std::fs::write(&archive, "x").unwrap();
    assert_eq!(kind.load_image(&archive).await.unwrap(), ImageDelivery::Loaded);
    let error = kind.create(None).await.expect_err("it is there already");
    insta::assert_snapshot!(error, @"kind: could not create the cluster: failed to create cluster: node(s) already exist for a cluster with the name \"qa\" (exit status: 1)");
    kind.delete().await.unwrap();
    assert!(!kind.exists().await.unwrap());

    let calls = std::fs::read_to_string(directory.path().join("calls")).unwrap();
    let calls = calls.replace(&directory.path().display().to_string(), "DIR");
    insta::assert_snapshot!(calls);

    let missing = Kind::new("qa").with_program(directory.path().join("nothing"));
    assert!(missing.exists().await.expect_err("no such program").hint().is_some());
}

/// A cluster that serves kinds as `kind/plural` of `policy.networking.k8s.io/v1alpha2`.
fn serving(kinds: &'static [(&'static str, &'static str)]) -> Cluster {
    const GROUP: &str = "policy.networking.k8s.io";
    let groups = |items: Vec<Value>| {
        let list = json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        });
        Answer::Json(200, list)
    };
    cluster(move |_, path| {
        if !path.starts_with("/apis") || kinds.is_empty() {
            return groups(Vec::new());
        }
        let resource = |(kind, plural): &(&str, &str)| {
            json!({
                "resource": plural,
                "responseKind": {"group": GROUP, "version": "v1alpha2", "kind": kind},
                "scope": "Cluster",
                "singularResource": kind.to_lowercase(),
                "verbs": ["create", "delete", "list"],
            })
        };
        let resources: Vec<_> = kinds.iter().map(resource).collect();
        let versions = json!([{"version": "v1alpha2", "resources": resources, "freshness": "Current"}]);
        groups(vec![json!({"metadata": {"name": GROUP}, "versions": versions})])
    })
}

/// A kind that is served may be one on which nobody acts: so much only traffic shows.
#[tokio::test]
async fn policies_of_the_whole_cluster_are_looked_for_in_the_dialect_of_the_profile() {
    let mut platform = crate::profile::load_lab().unwrap().platform;
    let with = serving(&[("ClusterNetworkPolicy", "clusternetworkpolicies")]);
    let without = serving(&[]);
    let (shown, probe) = detect::cluster_policy(&with, &platform).await.unwrap();
    assert_eq!(shown, None);
    insta::assert_snapshot!(probe, @"policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy is served; whether it is acted upon, only traffic shows");
    let (shown, probe) = detect::cluster_policy(&without, &platform).await.unwrap();
    assert_eq!(shown, Some(false));
    insta::assert_snapshot!(probe, @"policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy is not served");
    if let Some(promise) = &mut platform.spec.network.cluster_policy {
        promise.dialect = crate::profile::ClusterPolicyDialect::Calico;
    }
    let (shown, _) = detect::cluster_policy(&with, &platform).await.unwrap();
    assert_eq!(shown, Some(false), "another dialect than the promised one is served");
    platform.spec.network.cluster_policy = None;
    assert_eq!(detect::cluster_policy(&with, &platform).await.unwrap().0, None);
    let (shown, probe) = detect::cluster_policy(&without, &platform).await.unwrap();
    assert_eq!(shown, Some(false));
    insta::assert_snapshot!(probe, @"policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy is not served, policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy is not served, projectcalico.org/v3 GlobalNetworkPolicy is not served");
}
