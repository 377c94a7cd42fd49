//! Runs of sabotages that are killed, that meet another, or that are interrupted. Whatever happens, the platform is as
//! it was in the end.

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ApiResource, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use plimsoll::cluster::{Cluster, RUN_LABEL};
use plimsoll::sabotage::{RECORD_NAME, RECORD_NAMESPACE};
use serde_json::Value;

use crate::program::{Program, SOON, alone, connect, plimsoll};

/// One that changes two objects, so that there is a time between.
const TWO: &str = "namespace-labels-writable";

/// What these sabotages change, as far as it says anything.
async fn platform(cluster: &Cluster) -> Vec<Value> {
    let kinds = [
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ];
    let mut all = Vec::new();
    for (group, kind) in kinds {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let api: Api<DynamicObject> = Api::all_with(cluster.client(), &resource);
        for object in api.list(&ListParams::default()).await.expect("a list") {
            let mut data = object.data.clone();
            data.as_object_mut().expect("fields").remove("status");
            all.push(serde_json::json!({"kind": kind, "name": object.name_any(), "labels": object.labels(), "data": data}));
        }
    }
    all
}

fn records(cluster: &Cluster) -> Api<ConfigMap> {
    Api::namespaced(cluster.client(), RECORD_NAMESPACE)
}

async fn is_as_it_was(cluster: &Cluster, before: &[Value]) {
    assert_eq!(platform(cluster).await, before, "the platform");
    assert!(records(cluster).get_opt(RECORD_NAME).await.expect("an answer").is_none(), "the record is gone");
    let leases: Api<Lease> = Api::namespaced(cluster.client(), RECORD_NAMESPACE);
    assert!(leases.get_opt(RECORD_NAME).await.expect("an answer").is_none(), "nobody holds it");
}

async fn tenants(cluster: &Cluster) -> Vec<String> {
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let ours = ListParams::default().labels(RUN_LABEL);
    namespaces.list(&ours).await.expect("a list").items.iter().map(ResourceExt::name_any).collect()
}

/// Kills when the record appears: before the first change, between the two, or just after them.
#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_breaks_the_next_start_puts_back() {
    let _alone = alone().await;
    let cluster = connect().await;
    let before = platform(&cluster).await;
    let mut broken = 0;
    for round in 0..4_u64 {
        let only = WatchParams::default().fields(&format!("metadata.name={RECORD_NAME}"));
        let api = records(&cluster);
        let version = api.list(&ListParams::default()).await.expect("a list").metadata.resource_version;
        let stream = api.watch(&only, &version.expect("a version")).await.expect("a watch");
        let program = Program::start(&["sabotage", "run", TWO]);
        let mut stream = std::pin::pin!(stream);
        let seen = tokio::time::timeout(SOON, async {
            while let Some(event) = stream.next().await {
                if matches!(event, Ok(WatchEvent::Added(_))) {
                    return true;
                }
            }
            false
        });
        assert!(seen.await.expect("a record in time"));
        // A little later each time, so that it dies at several points.
        tokio::time::sleep(std::time::Duration::from_millis(round * 15)).await;
        program.kill();
        broken += usize::from(platform(&cluster).await != before);
        let (code, _, stderr) = plimsoll(&["sabotage", "run", "viewer-reads-secrets"]);
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.contains("put back what an earlier run had left"), "{stderr}");
        is_as_it_was(&cluster, &before).await;
    }
    assert!(broken > 0, "it never died with something broken, so that this shows nothing");
    assert_eq!(tenants(&cluster).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_scenarios_run_a_run_puts_back_and_judges_the_sound_platform() {
    let _alone = alone().await;
    let cluster = connect().await;
    let before = platform(&cluster).await;
    let mut program = Program::start(&["sabotage", "run", TWO]);
    program.says("broken");
    program.kill();
    assert_ne!(platform(&cluster).await, before, "it died with the platform broken");

    // Who only looks, says so and touches nothing.
    let (code, stdout, _) = plimsoll(&["doctor", "-o", "json"]);
    assert_eq!(code, 2, "{stdout}");
    assert!(stdout.contains(&format!("left broken by the sabotage `{TWO}`")), "{stdout}");
    let (_, _, stderr) = plimsoll(&["cleanup", "--dry-run"]);
    assert!(stderr.contains("left broken"), "{stderr}");
    assert_ne!(platform(&cluster).await, before, "nothing was touched");

    let scenario = "tenancy/guard-rails/the-administrator-cannot-trick#1";
    let directory = tempfile::tempdir().expect("a directory");
    let runs = directory.path().to_str().expect("a name");
    let (code, _, stderr) = plimsoll(&["run", "--scenario", scenario, "--reports-dir", runs]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("put back what an earlier run had left broken"), "{stderr}");
    is_as_it_was(&cluster, &before).await;
    assert_eq!(tenants(&cluster).await, Vec::<String>::new(), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_mends_cleanup_finishes_and_removes_the_tenants() {
    let _alone = alone().await;
    let cluster = connect().await;
    let before = platform(&cluster).await;
    for wait in [0, 20, 60] {
        let mut program = Program::start(&["sabotage", "run", TWO]);
        program.says("mending");
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        program.kill();
        let (code, _, stderr) = plimsoll(&["cleanup"]);
        assert_eq!(code, 0, "{stderr}");
        is_as_it_was(&cluster, &before).await;
        assert_eq!(tenants(&cluster).await, Vec::<String>::new(), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_among_blueprints_the_next_start_removes_the_tenants() {
    let _alone = alone().await;
    let cluster = connect().await;
    let before = platform(&cluster).await;
    // One of them holds an object back by a finalizer.
    let program = Program::start(&[
        "sabotage",
        "run",
        "offboarding-leaves-a-role",
        "own-namespace-open",
        "quota-off-by-one",
    ]);
    let deadline = std::time::Instant::now() + SOON;
    while tenants(&cluster).await.is_empty() {
        assert!(std::time::Instant::now() < deadline, "no tenant in time");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    program.kill();
    let (code, _, stderr) = plimsoll(&["sabotage", "run", "viewer-reads-secrets"]);
    assert_eq!(code, 0, "{stderr}");
    is_as_it_was(&cluster, &before).await;
    assert_eq!(tenants(&cluster).await, Vec::<String>::new(), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_and_interrupted_it_puts_back() {
    let _alone = alone().await;
    let cluster = connect().await;
    let before = platform(&cluster).await;
    let mut program = Program::start(&["sabotage", "run", TWO, "viewer-touches", "rights-over-rights"]);
    program.says("broken");
    for second in [&["sabotage", "run", "viewer-touches"][..], &["run", "--suite", "smoke"]] {
        let (code, _, stderr) = plimsoll(second);
        assert_eq!(code, 3, "{second:?}: {stderr}");
        assert!(stderr.contains("being broken on purpose just now, by plimsoll at"), "{second:?}: {stderr}");
    }
    let (code, stdout, _) = plimsoll(&["doctor", "-o", "json"]);
    assert_eq!(code, 2, "{stdout}");
    assert!(stdout.contains("being broken on purpose just now"), "{stdout}");
    program.signal("INT");
    let (code, said) = program.ends();
    assert_eq!(code, 130, "{said}");
    is_as_it_was(&cluster, &before).await;
    assert_eq!(tenants(&cluster).await, Vec::<String>::new(), "{said}");
}
