//! The real thing: clusters, tenants and the platform's guard rails on a lab that is up.
//!
//! `plimsoll lab up --name test && PLIMSOLL_TEST_LAB=test cargo test --features lab-tests --test lab`

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use plimsoll::cluster::{
    self, Cluster, ClusterError, ConnectOptions, ImageDelivery, Ownership, RunId, SweepSelection, Target,
};
use plimsoll::engine::{EventSink, TenantRole};
use plimsoll::probe::image;
use plimsoll::profile::{self, Capability};
use plimsoll::tenant::{AgentImage, PoolSettings, TenantPool, TenantSpec, Tier, Workload, agent_pod};
use serde_json::json;

fn lab() -> String {
    std::env::var("PLIMSOLL_TEST_LAB").unwrap_or_else(|_| "test".to_owned())
}

async fn connect() -> Cluster {
    let platform = profile::load_lab().expect("the lab's profile").platform;
    let options = ConnectOptions { mutating: true, ci: true, request_timeout: None, impersonate: None };
    match cluster::connect(&Target::Lab { name: lab() }, &platform, &options).await {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}; {}", error.hint().unwrap_or_default()),
    }
}

/// A pool of a run of its own. The directory holds the image's archive as long as it lives.
async fn pool() -> (TenantPool, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let image = image::agent_image().expect("the agent's image");
    let archive = directory.path().join("agent.tar");
    std::fs::write(&archive, image.archive).expect("the archive");
    let image = AgentImage { reference: image.reference, archive: Some(archive) };
    let platform = Arc::new(profile::load_lab().expect("the lab's profile"));
    let settings = PoolSettings::new(RunId::random(), platform, image, EventSink::discard());
    (TenantPool::new(connect().await, settings), directory)
}

async fn nothing_is_left(pool: &TenantPool) {
    let selection = SweepSelection::Runs([pool.settings().run.to_string()].into());
    let sweep = cluster::find_leftovers(pool.cluster(), &selection).await.expect("a sweep");
    assert_eq!(sweep.meant, Vec::new());
    assert_eq!(sweep.unseen, Vec::<String>::new());
}

#[tokio::test]
async fn tenants_come_are_shared_and_go_without_a_trace() {
    let (pool, _image) = pool().await;
    let specs = [
        TenantSpec::subject("alpha").with(Workload::ThreeTier),
        TenantSpec::subject("bravo").with(Workload::ThreeTier),
        TenantSpec::control("lima").with(Workload::ThreeTier),
        TenantSpec::subject("alpha"),
    ];
    let leases = pool.acquire_all(specs).await.expect("tenants");
    let [alpha, bravo, lima, again] = leases.as_slice() else { panic!("four leases") };
    assert!(Arc::ptr_eq(alpha.tenant(), again.tenant()));
    assert_eq!(pool.leases("alpha", TenantRole::Subject), 2);

    // The same tier of every tenant is on the same node, so that every path has its twin in the control tenant.
    for tier in Tier::ALL {
        let nodes: BTreeSet<String> = [alpha, bravo, lima]
            .map(|tenant| tenant.workload().expect("a workload").pod(tier).expect("a pod").node.clone())
            .into();
        assert_eq!(nodes.len(), 1, "{tier}");
    }
    let deployed = alpha.workload().expect("a workload");
    assert_ne!(deployed.pod(Tier::Web).expect("web").node, deployed.pod(Tier::Api).expect("api").node);
    assert_eq!(deployed.pod(Tier::Web).expect("web").node, deployed.pod(Tier::Db).expect("db").node);

    let inventory = alpha.inventory().await.expect("an inventory");
    assert_eq!(inventory.unseen, Vec::<String>::new());
    let own = alpha.namespace();
    for wanted in [
        format!("v1/Namespace {own}"),
        format!("v1/ResourceQuota {own}/tenant-quota"),
        format!("networking.k8s.io/v1/NetworkPolicy {own}/default-deny"),
        format!("networking.k8s.io/v1/NetworkPolicy {own}/paths-of-web"),
        format!("v1/Pod {own}/db"),
        format!("v1/Service {own}/api-headless"),
    ] {
        assert!(inventory.references().contains(wanted.as_str()), "{wanted} is not in {inventory:#?}");
    }
    let bravos = bravo.inventory().await.expect("an inventory");
    assert!(bravos.references().is_disjoint(&inventory.references()), "{bravos:#?}");
    assert!(
        lima.inventory()
            .await
            .expect("an inventory")
            .references()
            .iter()
            .all(|item| !item.contains("NetworkPolicy"))
    );

    let (alpha, bravo) = (Arc::clone(alpha.tenant()), Arc::clone(bravo.tenant()));
    drop(leases);
    assert_eq!(pool.leases("alpha", TenantRole::Subject), 0);
    let report = pool.close(Duration::from_secs(60)).await;
    assert_eq!(report.leftovers, Vec::<(String, String)>::new());
    assert_eq!(report.removed.len(), 3);
    for tenant in [&alpha, &bravo] {
        assert_eq!(tenant.inventory().await.expect("an inventory").items, Vec::new());
    }
    nothing_is_left(&pool).await;
    let closed = pool.acquire(TenantSpec::subject("alpha")).await.expect_err("the pool is closed");
    assert!(closed.to_string().contains("after the tenants of the run were removed"), "{closed}");
}

#[tokio::test]
async fn an_exclusive_tenant_is_removed_at_once_and_says_what_holds_it() {
    let (pool, _image) = pool().await;
    let one = pool.acquire(TenantSpec::subject("mike").exclusive()).await.expect("a tenant");
    let two = pool.acquire(TenantSpec::subject("mike").exclusive()).await.expect("another tenant");
    assert_ne!(one.id(), two.id());

    let held = ConfigMap {
        metadata: ObjectMeta {
            name: Some("held".to_owned()),
            finalizers: Some(vec!["example.com/hold".to_owned()]),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(pool.cluster().client(), one.namespace());
    maps.create(&PostParams::default(), &held).await.expect("a config map");
    let namespace = one.namespace().to_owned();

    let mut platform = profile::load_lab().expect("the lab's profile");
    platform.platform.spec.deadlines.namespace_removed = "8s".parse().expect("a duration");
    let impatient = TenantPool::new(
        pool.cluster().clone(),
        PoolSettings { platform: Arc::new(platform), ..pool.settings().clone() },
    );
    let removal = impatient.offboard(one).await.expect("an answer");
    let [(reference, why)] = removal.leftovers.as_slice() else { panic!("{removal:?}") };
    assert_eq!(*reference, format!("v1/Namespace {namespace}"));
    assert!(why.contains("example.com/hold"), "{why}");

    // The sweep finds it, too, and says the same.
    let selection = SweepSelection::Runs([pool.settings().run.to_string()].into());
    let sweep = cluster::find_leftovers(pool.cluster(), &selection).await.expect("a sweep");
    let stuck = sweep.meant.iter().find(|left| left.reference == *reference).expect("the stuck namespace");
    assert!(stuck.stuck.as_ref().is_some_and(|why| why.contains("example.com/hold")), "{stuck:?}");

    let release = json!({"metadata": {"finalizers": null}});
    maps.patch("held", &PatchParams::default(), &Patch::Merge(release)).await.expect("the hold is off");
    let rest = cluster::find_leftovers(pool.cluster(), &selection).await.expect("a sweep");
    let kept = cluster::remove_leftovers(pool.cluster(), &rest.meant, Duration::from_secs(60)).await;
    assert_eq!(kept.expect("a sweep"), Vec::new());
    drop(two);
    nothing_is_left(&pool).await;
}

#[tokio::test]
async fn a_sweep_takes_what_is_meant_and_nothing_else() {
    let cluster = connect().await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let make = async |run: &RunId, lifetime: Duration| {
        let mut namespace = Namespace {
            metadata: ObjectMeta { name: Some(format!("plim-{run}-sweep")), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        let mut ownership = Ownership::of_run(run.clone(), lifetime);
        if lifetime.is_zero() {
            ownership.expires = jiff::Timestamp::UNIX_EPOCH;
        }
        ownership.stamp(&mut namespace.metadata);
        namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace").name_any()
    };
    let (alive, dead) = (RunId::random(), RunId::random());
    let alive_namespace = make(&alive, Duration::from_secs(3600)).await;
    let dead_namespace = make(&dead, Duration::ZERO).await;

    let expired = cluster::find_leftovers(&cluster, &SweepSelection::Expired).await.expect("a sweep");
    let ours: Vec<_> = expired
        .meant
        .into_iter()
        .filter(|left| left.run == dead.as_str() || left.run == alive.as_str())
        .collect();
    let references: Vec<&str> = ours.iter().map(|left| left.reference.as_str()).collect();
    assert_eq!(references, [format!("v1/Namespace {dead_namespace}")]);
    assert!(expired.others.contains_key(alive.as_str()));
    let kept = cluster::remove_leftovers(&cluster, &ours, Duration::from_secs(60)).await.expect("a sweep");
    assert_eq!(kept, Vec::new());
    assert!(namespaces.get_opt(&alive_namespace).await.expect("an answer").is_some());

    let named = SweepSelection::Runs([alive.to_string()].into());
    let named = cluster::find_leftovers(&cluster, &named).await.expect("a sweep");
    let kept =
        cluster::remove_leftovers(&cluster, &named.meant, Duration::from_secs(60)).await.expect("a sweep");
    assert_eq!(kept, Vec::new());
    assert!(namespaces.get_opt(&alive_namespace).await.expect("an answer").is_none());
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_named() {
    let (pool, _image) = pool().await;
    let lease = pool.acquire(TenantSpec::subject("november").exclusive()).await.expect("a tenant");
    let labels = [("app".to_owned(), "none".to_owned())].into();
    let pod = agent_pod(
        "none",
        lease.id(),
        &labels,
        &[8080],
        None,
        "plimsoll.dev/lab/none:1",
        ImageDelivery::Loaded,
    );
    let mut pod: Pod = serde_json::from_value(pod).expect("a pod");
    lease.ownership().stamp(&mut pod.metadata);
    Api::<Pod>::namespaced(lease.admin().client.clone(), lease.namespace())
        .create(&PostParams::default(), &pod)
        .await
        .expect("the pod is admitted");
    let cluster = pool.cluster();
    // Hours: the wait must end by itself, since nothing will bring the image.
    let hours = Duration::from_secs(7200);
    let names = ["none".to_owned()];
    let error =
        cluster::wait_pods_ready(cluster, cluster.client(), lease.namespace(), "app=none", &names, hours)
            .await
            .expect_err("it cannot start");
    let ClusterError::Wait(wait) = &error else { panic!("{error}") };
    assert!(wait.last.contains("ErrImageNeverPull"), "{error}");
    let removal = pool.offboard(lease).await.expect("an answer");
    assert!(removal.leftovers.is_empty(), "{removal:?}");
}

#[tokio::test]
async fn the_lab_has_what_its_profile_claims() {
    let cluster = connect().await;
    // The profile's `@plimsoll` is the program that runs, which is this test.
    let text = profile::LAB_PROFILE.replace("@plimsoll", env!("CARGO_BIN_EXE_plimsoll"));
    let profile = profile::load_str("@lab", &text, std::path::Path::new(".")).expect("the lab's profile");
    let ownership = Ownership::of_run(RunId::random(), Duration::from_secs(600));
    let report = cluster::doctor(&cluster, &profile, &ownership, &[], true).await.expect("a report");
    assert!(report.is_healthy(), "{:#?}", report.findings);
    for check in &report.capabilities {
        // Whether policies are enforced, only traffic shows.
        let by_traffic = matches!(check.capability, Capability::NetworkPolicy | Capability::ClusterPolicy);
        let expected = (!by_traffic).then_some(true);
        assert_eq!(check.detected, expected, "{check:?}");
        assert_eq!(check.disagreement(), None);
    }
    assert!(!report.skew.exceeds(Duration::from_secs(1)), "{:?}", report.skew);
}

#[tokio::test]
async fn commands_of_the_platform_bring_tenants_in_and_out() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().expect("a directory");
    let script = |name: &str, body: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\nset -eu\n{body}\n")).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("an executable");
    };
    // What a platform's own tool would do, in two requests.
    script(
        "onboard.sh",
        "kubectl create namespace \"$1\"\nkubectl label namespace \"$1\" platform.example.com/tenant=\"$1\"\nkubectl -n \"$1\" create rolebinding admins --clusterrole=tenant-admin --group=\"oidc:tenant:$1:admins\"\necho \"$PLIMSOLL_LABELS\" > \"$1.labels\"",
    );
    script("offboard.sh", "kubectl delete namespace \"$1\" --wait=false");
    script("fail.sh", "echo 'the ticket system is down' >&2\nexit 3");

    let text = |onboard: &str| {
        profile::LAB_PROFILE.replace(
            "      manifests:\n        directory: \"@lab/tenant\"",
            &format!(
                "      command:\n        onboard: [./{onboard}, \"${{tenant}}\"]\n        offboard: [./offboard.sh, \"${{tenant}}\"]"
            ),
        )
    };
    let (base, _image) = pool().await;
    let with = |onboard: &str| {
        let platform = profile::load_str("test.yaml", &text(onboard), directory.path()).expect("a profile");
        TenantPool::new(
            base.cluster().clone(),
            PoolSettings { platform: Arc::new(platform), ..base.settings().clone() },
        )
    };
    let pool = with("onboard.sh");
    let lease = pool.acquire(TenantSpec::subject("papa")).await.expect("a tenant");
    assert_eq!(lease.adapter(), "command");
    let labels =
        std::fs::read_to_string(directory.path().join(format!("{}.labels", lease.id()))).expect("labels");
    assert!(labels.contains(&format!("plimsoll.dev/run={}", pool.settings().run)), "{labels}");
    // The harness labels what the command has not, so that a sweep finds it.
    let namespaces: Api<Namespace> = Api::all(pool.cluster().client());
    let namespace = namespaces.get(lease.namespace()).await.expect("its namespace");
    assert_eq!(namespace.labels().get(cluster::TENANT_LABEL).map(String::as_str), Some(lease.id()));
    drop(lease);
    assert!(pool.close(Duration::from_secs(60)).await.leftovers.is_empty());

    let error = with("fail.sh").acquire(TenantSpec::subject("papa")).await.expect_err("the command fails");
    let reason = plimsoll::engine::Reason::from(error);
    assert!(reason.message.contains("ended with exit status: 3"), "{reason:?}");
    assert_eq!(reason.details, ["the ticket system is down"]);
    nothing_is_left(&base).await;
}

#[tokio::test]
async fn a_directory_without_the_tenants_namespace_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("blueprint")).expect("a directory");
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: default}\n";
    std::fs::write(directory.path().join("blueprint/a.yaml"), manifest).expect("a manifest");
    let text = profile::LAB_PROFILE.replace("\"@lab/tenant\"", "blueprint");
    let (base, _image) = pool().await;
    let platform = profile::load_str("test.yaml", &text, Path::new(directory.path())).expect("a profile");
    let pool = TenantPool::new(
        base.cluster().clone(),
        PoolSettings { platform: Arc::new(platform), ..base.settings().clone() },
    );
    let error = pool.acquire(TenantSpec::subject("quebec")).await.expect_err("no namespace is made");
    assert!(error.to_string().contains("`blueprint` makes no namespace"), "{error}");
    nothing_is_left(&base).await;
}

#[tokio::test]
async fn a_namespace_of_somebody_else_is_left_alone() {
    let cluster = connect().await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let name = format!("theirs-{}", RunId::random());
    let theirs = Namespace {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    namespaces.create(&PostParams::default(), &theirs).await.expect("a namespace");
    let all = cluster::find_leftovers(&cluster, &SweepSelection::All).await.expect("a sweep");
    assert!(all.meant.iter().all(|left| !left.reference.contains(&name)), "{all:?}");
    namespaces.delete(&name, &DeleteParams::background()).await.expect("it goes");
}
