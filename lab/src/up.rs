//! Brings a lab up: builds what is missing, starts it, waits until it is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tokio::time::Instant;

use crate::component::{self, Component, IMAGE_ARCHIVE};
use crate::error::{Context as _, LabError, Result};
use crate::internal::{Phase, Request, Role};
use crate::lab::{Lab, blocking};
use crate::patience::{LOOK_AGAIN, Patience};
use crate::progress::Progress;
use crate::state::{Cni, Environment, LabSpec, LabState, ProcessIdentity};
use crate::{address, apply, credentials, down, manifests, preflight};

/// How long the supervisor may take to have made the namespaces.
const SUPERVISOR_START: Duration = Duration::from_secs(20);
/// How long control plane and nodes may take to be started.
const START: Duration = Duration::from_secs(240);
/// How long the nodes may take to be Ready, and then the DNS to answer.
const READY: Duration = Duration::from_secs(180);
/// Tells that a lab was whole once, and with which manifests.
const COMPLETE: &str = "complete";

/// What a lab is to be; what is `None` is as it is, or the default for a new one.
#[derive(Debug, Clone, Default)]
pub struct UpOptions {
    /// How many nodes (2).
    pub nodes: Option<u16>,
    /// The loopback port of the API server (any free one).
    pub api_port: Option<u16>,
    /// Who brings the network (the lab).
    pub cni: Option<Cni>,
    /// What the cluster is for (non-production).
    pub environment: Option<Environment>,
    /// How much longer than usual it may take (what it was started with, or what the environment says).
    pub patience: Option<Patience>,
}

/// The component that is not needed before the nodes have joined.
const LATER: &str = "coredns";

const START_STEP: &str = "start the control plane";
const JOIN: &str = "wait for the nodes";
const DNS: &str = "wait for DNS";
const PLATFORM: &str = "apply the platform";

/// Brings it up, or makes sure that it is.
pub(crate) async fn up(lab: &Lab, options: UpOptions, progress: Arc<dyn Progress>) -> Result<()> {
    preflight::check_rights()?;
    let (lab, listener) = (lab.clone(), Arc::clone(&progress));
    // The lock is a file's: it is held by the handle and not by a thread.
    let locked = lab.clone();
    let _lock = blocking(move || locked.lock(&*listener)).await?;
    let spec = match running(&lab).await? {
        Some(spec) => {
            check_same(&spec, &options)?;
            if spec.components != components(&lab) {
                progress.note(
                    "the running lab has components of other versions: `lab down` and `lab up` renew it",
                );
            }
            spec
        }
        None => start(&lab, &options, &progress).await?,
    };
    let patience = options.patience.unwrap_or(spec.patience);
    complete(&lab, &spec, patience, &progress).await
}

/// What the lab is if it runs. One that failed to start does not count: it is started anew.
async fn running(lab: &Lab) -> Result<Option<LabSpec>> {
    if !lab.is_running() {
        return Ok(None);
    }
    let asked = lab.clone();
    let status = blocking(move || asked.ask(&Request::Status, Duration::from_secs(10))).await;
    if status.is_ok_and(|status| matches!(status.phase, Phase::Failed(_))) {
        return Ok(None);
    }
    LabSpec::read(&lab.paths)
}

/// The components that every lab needs, and where they are once they are built.
fn components(lab: &Lab) -> BTreeMap<String, PathBuf> {
    component::ALL
        .iter()
        .filter(|component| !component.optional)
        .map(|component| (component.name.to_owned(), component.directory(&lab.home)))
        .collect()
}

fn check_same(spec: &LabSpec, options: &UpOptions) -> Result<()> {
    let differs = options.nodes.is_some_and(|nodes| nodes != spec.nodes)
        || options.cni.is_some_and(|cni| cni != spec.cni)
        || options.environment.is_some_and(|environment| environment != spec.environment)
        || options.api_port.is_some_and(|port| port != 0 && port != spec.api_port);
    if !differs {
        return Ok(());
    }
    Err(LabError::Usage(format!(
        "the lab \"{0}\" runs, with other settings: {1} nodes, API port {2}, CNI {3:?}, {4}; \
         end it first with `lab down --name {0}`, or choose another name",
        spec.name,
        spec.nodes,
        if spec.api_port == 0 { "any".to_owned() } else { spec.api_port.to_string() },
        spec.cni,
        spec.environment
    )))
}

/// Starts a lab that does not run, anew: what is left of an earlier one is removed.
async fn start(lab: &Lab, options: &UpOptions, progress: &Arc<dyn Progress>) -> Result<LabSpec> {
    let nodes = options.nodes.unwrap_or(2);
    if !(1..=address::MAX_NODES).contains(&nodes) {
        return Err(LabError::Usage(format!("a lab has 1 to {} nodes, not {nodes}", address::MAX_NODES)));
    }
    let missing: Vec<&'static Component> = component::ALL
        .iter()
        .filter(|component| !component.optional && !component.directory(&lab.home).exists())
        .collect();
    let api_port = options.api_port.unwrap_or(0);
    let patience = match options.patience {
        Some(patience) => patience,
        None => Patience::from_env()?.unwrap_or_default(),
    };

    // What an earlier lab of this name left is removed first: it may be what is in the way.
    let cleaned = lab.clone();
    blocking(move || down::remove(&cleaned)).await?;
    preflight::check_machine(lab.paths.root(), lab.home.cache(), missing.len(), nodes)?;
    preflight::check_port(api_port)?;
    let remaining = [START_STEP, PLATFORM, JOIN, DNS];
    // The DNS runs in the cluster: it is built while the rest comes up.
    let first: Vec<&'static Component> =
        missing.into_iter().filter(|component| component.name != LATER).collect();
    for (index, component) in first.iter().enumerate() {
        let left = first[index + 1..].iter().map(|component| build_step(component));
        progress.begin(
            &build_step(component),
            &left.chain(remaining.iter().map(ToString::to_string)).collect::<Vec<_>>(),
        );
        build(lab, component, progress).await?;
        progress.done(&build_step(component));
    }

    progress.begin(START_STEP, &remaining[1..].iter().map(ToString::to_string).collect::<Vec<_>>());
    let spec = LabSpec {
        name: lab.name().to_owned(),
        nodes,
        api_port,
        cni: options.cni.unwrap_or_default(),
        environment: options.environment.unwrap_or_default(),
        patience,
        kubernetes: component::find("kubernetes").and_then(Component::version).map(ToOwned::to_owned),
        components: components(lab),
    };
    let (starting, wanted) = (lab.clone(), spec.clone());
    blocking(move || {
        spec_files(&starting, &wanted)?;
        start_supervisor(&starting, patience)
    })
    .await?;
    Ok(spec)
}

fn build_step(component: &Component) -> String {
    format!("build {}", component.name)
}

async fn build(lab: &Lab, component: &'static Component, progress: &Arc<dyn Progress>) -> Result<()> {
    let (home, progress) = (lab.home.clone(), Arc::clone(progress));
    blocking(move || component::build(component, &home, &*progress).map(drop)).await
}

fn spec_files(lab: &Lab, spec: &LabSpec) -> Result<()> {
    spec.write(&lab.paths)?;
    manifests::write_out(&lab.paths.manifests())?;
    credentials::write_all(&lab.paths, spec)
}

fn start_supervisor(lab: &Lab, patience: Patience) -> Result<()> {
    let log = lab.paths.log("supervisor");
    let open = || std::fs::File::options().create(true).append(true).open(&log);
    let what = || format!("opening {}", log.display());
    let (output, errors) = (open().context(what)?, open().context(what)?);
    let mut child = Role::Supervisor { root: lab.paths.root().to_owned(), lock: lab.life_lock() }
        .command()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .context(|| "starting the supervisor")?;
    let limit = SUPERVISOR_START * patience;
    let deadline = std::time::Instant::now() + limit;
    let outcome = loop {
        if LabState::read(&lab.paths)?.is_some_and(|state| state.init.is_some()) {
            break Ok(());
        }
        if let Some(status) = child.try_wait().context(|| "waiting for the supervisor")? {
            break Err(supervisor_failed(status.code(), &log));
        }
        if std::time::Instant::now() > deadline {
            break Err(LabError::Timeout {
                what: "the start of the supervisor".into(),
                limit,
                last_seen: tail(&log),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    // A long-lived caller must not keep its remains.
    std::thread::spawn(move || child.wait());
    outcome
}

fn supervisor_failed(code: Option<i32>, log: &std::path::Path) -> LabError {
    let said = tail(log);
    if code == Some(2) {
        return LabError::precondition("the lab cannot be started on this machine", said);
    }
    LabError::component("supervisor", said)
}

/// The last lines of a log, for an error.
fn tail(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    format!("{}\n  the whole log is {}", lines.join("\n  "), log.display())
}

/// Waits until a started lab is whole. Does nothing twice: it can be called again after it was interrupted.
async fn complete(lab: &Lab, spec: &LabSpec, patience: Patience, progress: &Arc<dyn Progress>) -> Result<()> {
    let state = LabState::read(&lab.paths)?.ok_or_else(|| LabError::NotRunning(lab.name().to_owned()))?;
    lab.publish(spec, &state)?;
    let marker = lab.paths.root().join(COMPLETE);
    // Which manifests are in force, if the lab was whole once.
    let applied = std::fs::read_to_string(&marker).ok();
    let current = manifests::fingerprint();
    let (note, ()) = tokio::try_join!(
        await_running(lab, &state, patience),
        load_dns_image(lab, spec, progress, applied.is_some())
    )?;
    progress.done(START_STEP);
    if let Some(note) = note {
        progress.note(&note);
    }
    let client = apply::client(&lab.paths.kubeconfig()).await?;
    if applied.as_ref() != Some(&current) {
        progress.begin(PLATFORM, &[JOIN.into(), DNS.into()]);
        manifests::write_out(&lab.paths.manifests())?;
        apply::apply_all(&client, &manifests::system()?, patience).await?;
        apply::apply_all(&client, &manifests::platform()?, patience).await?;
        apply::apply_all(&client, &manifests::environment(&spec.name, spec.environment)?, patience).await?;
        progress.done(PLATFORM);
    }
    if spec.cni == Cni::External {
        progress.note("the nodes become Ready, and DNS answers, once a network add-on is installed");
        return crate::paths::write(&marker, current);
    }
    progress.begin(JOIN, &[DNS.into()]);
    await_nodes(&client, spec, patience).await?;
    progress.done(JOIN);
    progress.begin(DNS, &[]);
    let (asked, limit) = (lab.clone(), READY * patience);
    // The lab gives up first, so that its reason is heard.
    blocking(move || asked.tell(&Request::AwaitDns { limit }, limit + Duration::from_secs(10))).await?;
    progress.done(DNS);
    crate::paths::write(&marker, current)
}

async fn await_running(lab: &Lab, state: &LabState, patience: Patience) -> Result<Option<String>> {
    let limit = START * patience;
    let deadline = Instant::now() + limit;
    loop {
        let last_seen;
        let asked = lab.clone();
        match blocking(move || asked.ask(&Request::Status, Duration::from_secs(10))).await {
            Ok(status) => match status.phase {
                Phase::Running => {
                    let down: Vec<&str> = status
                        .nodes
                        .iter()
                        .filter(|node| !node.alive)
                        .map(|node| node.name.as_str())
                        .collect();
                    return Ok(
                        (!down.is_empty()).then(|| format!("nodes that are down: {}", down.join(", ")))
                    );
                }
                Phase::Failed(why) => {
                    return Err(LabError::component(
                        "lab",
                        format!("{why}\n  see `lab logs --name {}`", lab.name()),
                    ));
                }
                Phase::Starting(what) => {
                    let troubled: Vec<String> = status
                        .control_plane
                        .iter()
                        .filter_map(|unit| Some(format!("{} {}", unit.name, unit.last_end.as_ref()?)))
                        .collect();
                    last_seen = format!("starting {what}; {}", troubled.join(", "));
                }
            },
            Err(error) => last_seen = error.to_string(),
        }
        if !state.init.as_ref().is_some_and(ProcessIdentity::is_alive) {
            return Err(LabError::component(
                "lab",
                format!("ended while it started: {}", tail(&lab.paths.log("supervisor"))),
            ));
        }
        if Instant::now() > deadline {
            return Err(LabError::Timeout { what: "the start of the lab".into(), limit, last_seen });
        }
        tokio::time::sleep(LOOK_AGAIN * patience).await;
    }
}

async fn load_dns_image(lab: &Lab, spec: &LabSpec, progress: &Arc<dyn Progress>, loaded: bool) -> Result<()> {
    if loaded {
        return Ok(());
    }
    if let Some(component) = component::find(LATER) {
        build(lab, component, progress).await?;
    }
    let archive = spec.component(LATER)?.join(IMAGE_ARCHIVE);
    let deadline = Instant::now() + SUPERVISOR_START * spec.patience;
    loop {
        let (loading, archive) = (lab.clone(), archive.clone());
        match blocking(move || loading.load(&archive)).await {
            // The socket is not there in the lab's first moments.
            Err(LabError::Io { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(LOOK_AGAIN * spec.patience).await;
            }
            outcome => return outcome,
        }
    }
}

async fn await_nodes(client: &kube::Client, spec: &LabSpec, patience: Patience) -> Result<()> {
    let limit = READY * patience;
    let nodes: Api<Node> = Api::all(client.clone());
    let deadline = Instant::now() + limit;
    loop {
        let last_seen = match nodes.list(&ListParams::default()).await {
            Ok(list) => {
                let waiting: Vec<String> = spec
                    .node_names()
                    .into_iter()
                    .filter_map(|name| {
                        let node = list.items.iter().find(|node| node.name_any() == name);
                        not_ready(node).map(|why| format!("{name}: {why}"))
                    })
                    .collect();
                if waiting.is_empty() {
                    return Ok(());
                }
                waiting.join("; ")
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            return Err(LabError::Timeout { what: "all nodes Ready".into(), limit, last_seen });
        }
        tokio::time::sleep(LOOK_AGAIN * 2 * patience).await;
    }
}

/// Why a node is not Ready; `None` if it is.
fn not_ready(node: Option<&Node>) -> Option<String> {
    let Some(node) = node else { return Some("not registered".into()) };
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    match conditions.and_then(|all| all.iter().find(|condition| condition.type_ == "Ready")) {
        Some(condition) if condition.status == "True" => None,
        Some(condition) => Some(condition.message.clone().unwrap_or_else(|| "not Ready".into())),
        None => Some("has not reported yet".into()),
    }
}
