//! Real labs: started, used, killed and ended by the real command. They need root and the programs that a lab needs.

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod, Secret, Service};
use kube::api::{ListParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use support::{Machine, TestLab, descendants, mentioning, wait_for};

const AGNHOST: &str = "registry.k8s.io/e2e-test-images/agnhost:2.43";
const PATIENCE: Duration = Duration::from_secs(120);

/// An image with a server and a client in it, built from the pins.
fn agnhost(lab: &TestLab) -> PathBuf {
    let output = lab.command(["build", "agnhost"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("image.tar")
}

/// A pod that is run once.
fn pod(name: &str, node: Option<&str>, arguments: &[&str]) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{ "name": "main", "image": AGNHOST, "imagePullPolicy": "Never", "args": arguments }],
        },
    }))
    .unwrap()
}

async fn run(client: &Client, pod: &Pod) {
    // The account of a namespace's pods comes a moment after the namespace.
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = pods.create(&PostParams::default(), pod).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a pod is in a phase; one that fails instead is shown with its log.
async fn await_phase(client: &Client, name: &str, phase: &str) -> Pod {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let settled = await_condition(pods.clone(), name, |pod: Option<&Pod>| {
        let seen = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        seen == Some(phase) || seen == Some("Failed")
    });
    let outcome = tokio::time::timeout(PATIENCE, settled).await;
    let pod = pods.get(name).await.unwrap();
    let seen = pod.status.as_ref().and_then(|status| status.phase.clone());
    let log = pods.logs(name, &kube::api::LogParams::default()).await.unwrap_or_default();
    assert!(outcome.is_ok() && seen.as_deref() == Some(phase), "{name} is {seen:?}: {log}\n{:?}", pod.status);
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn from_up_to_down_pods_talk_and_nothing_is_left() {
    let lab = TestLab::new("life");
    let before = Machine::look();
    lab.ok(&["up", "--nodes", "2"]);
    assert_eq!(Machine::look(), before, "a running lab shows on the machine");
    let namespaces = lab.namespaces();
    assert!(namespaces.len() >= 3, "the lab and each node have a network of their own: {namespaces:?}");
    let mode = std::fs::metadata(lab.root().join("kubeconfig")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let client = lab.client().await;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap();
    let ranges: Vec<_> =
        nodes.iter().map(|node| node.spec.as_ref().unwrap().pod_cidr.clone().unwrap()).collect();
    assert_eq!(ranges, ["198.19.0.0/24", "198.19.1.0/24"]);

    lab.ok(&["image", "load", agnhost(&lab).to_str().unwrap()]);
    run(&client, &pod("server", Some("node-1"), &["netexec", "--http-port=8080"])).await;
    let service: Service = serde_json::from_value(json!({
        "metadata": { "name": "server" },
        "spec": { "selector": { "app": "server" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
    }))
    .unwrap();
    Api::<Service>::default_namespaced(client.clone())
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    let server = await_phase(&client, "server", "Running").await;
    let address = server.status.unwrap().pod_ip.unwrap();
    assert!(address.starts_with("198.19.0."), "{address}");
    for (name, target) in [
        ("by-address", format!("{address}:8080")),
        ("by-name", "server.default.svc.cluster.local:80".to_owned()),
        ("by-short-name", "server:80".to_owned()),
    ] {
        let mut caller = pod(name, Some("node-2"), &["connect", &target, "--timeout=10s"]);
        // The rules for a new service reach a node a moment after it.
        caller.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
        run(&client, &caller).await;
        await_phase(&client, name, "Succeeded").await;
    }
    // There is no way out: not even a name.
    run(&client, &pod("outside", Some("node-2"), &["connect", "192.0.2.1:80", "--timeout=2s"])).await;
    await_phase(&client, "outside", "Failed").await;

    lab.ok(&["down"]);
    lab.assert_gone(&before, &namespaces);
    assert!(lab.ok(&["down"]).contains("was not there"), "ending it twice is no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_is_set_up_as_promised() {
    let lab = TestLab::new("api");
    lab.ok(&["up", "--nodes", "1"]);
    let client = lab.client().await;

    // Secrets are not in etcd in plain.
    let marker = "plain-text-that-must-not-be-found";
    let secret: Secret =
        serde_json::from_value(json!({ "metadata": { "name": "s" }, "stringData": { "key": marker } }))
            .unwrap();
    Api::<Secret>::default_namespaced(client.clone()).create(&PostParams::default(), &secret).await.unwrap();
    let mut stored = Vec::new();
    collect_files(&lab.root().join("etcd"), &mut stored);
    assert!(!stored.is_empty());
    let contains = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("k8s:enc:secretbox"), "the secret is stored somewhere");
    assert!(!contains(marker));

    // Who did it is on record.
    let audit = lab.root().join("logs/audit.log");
    wait_for("the audit record", PATIENCE, || {
        std::fs::read_to_string(&audit).unwrap().lines().any(|line| {
            line.contains("\"resource\":\"secrets\"")
                && line.contains("\"verb\":\"create\"")
                && line.contains("lab-admin")
        })
    });
    assert!(!std::fs::read_to_string(&audit).unwrap().contains(marker));

    // A namespace that says nothing is held to the baseline.
    let mut privileged = pod("privileged", None, &["pause"]);
    privileged.spec.as_mut().unwrap().host_network = Some(true);
    let refused =
        Api::<Pod>::default_namespaced(client.clone()).create(&PostParams::default(), &privileged).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("PodSecurity"), "{message}");

    // Without credentials there is health, and nothing else.
    let server = lab.status()["server"].as_str().unwrap().to_owned();
    let anonymous = Client::try_from({
        let mut config = kube::Config::new(server.parse().unwrap());
        config.accept_invalid_certs = true;
        config
    })
    .unwrap();
    let ask = |path: &str| http::Request::get(path.to_owned()).body(Vec::new()).unwrap();
    assert_eq!(anonymous.request_text(ask("/readyz")).await.unwrap(), "ok");
    for path in ["/version", "/api", "/apis", "/metrics", "/api/v1/namespaces"] {
        let refused = anonymous.request_text(ask(path)).await.unwrap_err().to_string();
        assert!(refused.contains("Unauthorized"), "{path}: {refused}");
    }
    lab.ok(&["down"]);
}

fn collect_files(directory: &std::path::Path, into: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            collect_files(&entry.path(), into);
        } else {
            into.extend(std::fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_killed_lab_is_gone_and_the_next_command_mends_what_is_left() {
    let lab = TestLab::new("killed");
    let before = Machine::look();
    lab.ok(&["up", "--nodes", "1"]);
    for kind in ["supervisor", "init"] {
        let namespaces = lab.namespaces();
        let members = descendants(lab.process("supervisor"));
        assert!(members.len() > 8, "{members:?}");
        kill(Pid::from_raw(lab.process(kind)), Signal::SIGKILL).unwrap();
        wait_for("the kernel to take the whole lab", PATIENCE, || {
            mentioning(&lab.root().display().to_string()).is_empty()
        });
        assert_eq!(lab.status()["running"], false);
        if kind == "supervisor" {
            lab.ok(&["up", "--nodes", "1"]);
        } else {
            lab.ok(&["down"]);
        }
        if kind == "init" {
            lab.assert_gone(&before, &namespaces);
        }
    }
}

#[test]
fn an_up_that_is_killed_at_any_step_leaves_nothing_that_down_does_not_remove() {
    let lab = TestLab::new("early");
    let before = Machine::look();
    for step in ["start the control plane", "apply the platform", "wait for DNS"] {
        let mut up = lab
            .command(["up", "--nodes", "1", "--name", &lab.name])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begins = BufReader::new(up.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains(&format!("...... {step}")));
        assert!(begins, "{step} never began");
        up.kill().unwrap();
        up.wait().unwrap();
        lab.ok(&["down"]);
        lab.assert_gone(&before, &BTreeSet::new());
    }
}

#[test]
fn two_at_once_make_one_lab_and_two_names_make_two() {
    let first = TestLab::new("one");
    let second = TestLab::beside("two");
    let start = |lab: &TestLab| {
        let mut command = lab.command(["up", "--nodes", "1", "--name", &lab.name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ups = [start(&first), start(&first), start(&second)];
    for up in ups {
        let output = up.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_ne!(first.status()["server"], second.status()["server"]);
    let other = first.run(&["up", "--nodes", "3"]);
    assert_eq!(other.status.code(), Some(2), "a running lab is not silently left as it is");
    assert!(String::from_utf8_lossy(&other.stderr).contains("lab down"));
    first.ok(&["down"]);
    assert_eq!(second.status()["phase"], "running");
    second.ok(&["down"]);
}

#[test]
fn a_node_that_is_killed_as_a_whole_comes_back() {
    let lab = TestLab::new("node");
    lab.ok(&["up", "--nodes", "1"]);
    let root = lab.root().display().to_string();
    let (first, _) = mentioning(&root)
        .into_iter()
        .find(|(_, line)| line.contains(" init-node "))
        .expect("the node's first process");
    let members = descendants(first);
    assert!(members.len() > 5, "{members:?}");
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    wait_for("another first process of the node", PATIENCE, || {
        mentioning(&root).into_iter().any(|(pid, line)| line.contains(" init-node ") && pid != first)
    });
    // Whole means: the node is Ready and its pods answer for DNS again.
    lab.ok(&["up"]);
    wait_for("the kubelet in the status", PATIENCE, || {
        lab.status()["nodes"][0]["units"].to_string().contains("kubelet")
    });
    lab.ok(&["up"]);
    lab.ok(&["down"]);
}

#[test]
fn a_process_that_dies_is_started_again_and_shown() {
    let lab = TestLab::new("restart");
    lab.ok(&["up", "--nodes", "1"]);
    let scheduler = mentioning(&lab.root().display().to_string())
        .into_iter()
        .find(|(_, line)| line.contains("/kube-scheduler "))
        .unwrap()
        .0;
    kill(Pid::from_raw(scheduler), Signal::SIGKILL).unwrap();
    wait_for("the scheduler's restart in the status", PATIENCE, || {
        lab.status()["control_plane"].as_array().unwrap().iter().any(|unit| {
            unit["name"] == "kube-scheduler" && unit["restarts"] == 1 && unit["state"] == "running"
        })
    });
    assert!(lab.ok(&["logs", "kube-scheduler"]).len() > 100);
    lab.ok(&["down"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_can_be_left_to_the_user() {
    let lab = TestLab::new("external");
    lab.ok(&["up", "--nodes", "1", "--cni", "external"]);
    wait_for("the node to say that it has no network", PATIENCE, || {
        let lab = &lab;
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let nodes = Api::<Node>::all(lab.client().await).list(&ListParams::default()).await.unwrap();
                nodes.iter().any(|node| {
                    let conditions = node.status.as_ref().and_then(|status| status.conditions.clone());
                    conditions.unwrap_or_default().iter().any(|condition| {
                        condition.type_ == "Ready"
                            && condition.status == "False"
                            && condition
                                .message
                                .as_ref()
                                .is_some_and(|text| text.contains("cni plugin not initialized"))
                    })
                })
            })
        })
    });
    let units = lab.status()["nodes"][0]["units"].to_string();
    assert!(!units.contains("netpol"), "{units}");
    lab.ok(&["down"]);
}

#[test]
fn a_taken_port_is_said() {
    let lab = TestLab::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = lab.run(&["up", "--nodes", "1", "--api-port", &port]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&port) && said.contains("--api-port"), "{said}");
    assert!(!lab.root().exists());
}

#[test]
fn without_root_it_is_said() {
    // The build directory may be closed to others: the command goes where everybody can run it.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("plimsoll-lab");
    std::fs::copy(env!("CARGO_BIN_EXE_plimsoll-lab"), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["up"])
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env("XDG_CACHE_HOME", "/nonexistent/cache")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("sudo"));
}

#[test]
fn a_missing_program_is_named_with_its_packages() {
    let lab = TestLab::new("missing");
    // /usr/sbin is searched as well, and has some of them; what is in /usr/bin is missed.
    let output = lab.command(["up", "--name", &lab.name]).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("containerd") && said.contains("apt-get install"), "{said}");
}
