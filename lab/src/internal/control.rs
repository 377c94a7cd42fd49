//! The control plane's process: starts everything, answers requests, carries the API port.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use kube::Client;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::node_handle::NodeHandle;
use super::protocol::{LabStatus, NodeRequest, Phase, Request, Response, short_socket_path};
use super::unit::{UnitSpec, Units};
use super::{bootstrap, forward, network};
use crate::config::{ApiServerSettings, ControlPlane};
use crate::error::{Context as _, LabError, Result};
use crate::netpol::Defect;
use crate::paths::LabPaths;
use crate::patience::LOOK_AGAIN;
use crate::state::LabSpec;
use crate::{apply, credentials};

/// The pause before a node that went down is started again.
const NODE_RESTART: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Control {
    paths: LabPaths,
    spec: LabSpec,
    units: Units,
    nodes: Mutex<Vec<NodeHandle>>,
    phase: Mutex<Phase>,
    planted: Mutex<Option<Defect>>,
}

/// Runs the lab until it is killed.
pub(super) async fn run(root: PathBuf) -> Result<()> {
    let paths = LabPaths::at(root);
    let spec = LabSpec::read(&paths)?.ok_or_else(|| LabError::component("control", "no specification"))?;
    let listener = forward::inherited_listener()?;
    let control = Arc::new(Control {
        units: Units::new(),
        nodes: Mutex::default(),
        phase: Mutex::new(Phase::Starting("the control plane".into())),
        planted: Mutex::default(),
        paths,
        spec,
    });
    let requests = listen(&control.paths.socket())?;
    tokio::spawn(forward::serve(listener));
    tokio::spawn(Arc::clone(&control).start());
    loop {
        let (stream, _) = requests.accept().await.context(|| "taking requests")?;
        let control = Arc::clone(&control);
        tokio::spawn(async move {
            if let Err(error) = control.converse(stream).await {
                tracing::warn!("{error}");
            }
        });
    }
}

/// Listens on a socket in a directory whose path may be long.
pub(crate) fn listen(socket: &Path) -> Result<UnixListener> {
    let what = || format!("listening on {}", socket.display());
    let _ = std::fs::remove_file(socket);
    let (_directory, short) = short_socket_path(socket).context(what)?;
    UnixListener::bind(short).context(what)
}

impl Control {
    async fn start(self: Arc<Self>) {
        let outcome = self.bring_up().await;
        match &outcome {
            Ok(()) => tracing::info!("the lab runs"),
            Err(error) => tracing::error!("{error}"),
        }
        if outcome.is_ok() {
            for node in self.nodes() {
                tokio::spawn(Arc::clone(&self).keep(node));
            }
        }
        self.enter(outcome.map_or_else(|error| Phase::Failed(error.to_string()), |()| Phase::Running));
    }

    async fn bring_up(&self) -> Result<()> {
        network::make_bridge()?;
        let (pki, config, etcd, logs) =
            (self.paths.pki(), self.paths.config(), self.paths.etcd(), self.paths.logs());
        let plane = ControlPlane { pki: &pki, config: &config, etcd: &etcd, logs: &logs };
        // Before the API server, which asks for the issuer's keys once at its start and then every ten seconds.
        self.issuer()?;
        self.unit("etcd", "etcd", plane.etcd_arguments())?;
        self.unit("kubernetes", "kube-apiserver", plane.apiserver_arguments(&self.apiserver_settings()?))?;

        // Nodes and API server come up side by side; what a node does first does not need the other.
        let names = self.spec.node_names();
        let prepared =
            try_join_all(names.iter().enumerate().map(|(index, name)| self.prepare(index as u16, name)));
        let client = apply::client(&config.join(credentials::CONTROL_KUBECONFIG)).await?;
        let answering = async {
            bootstrap::await_apiserver(&client, self.spec.patience).await?;
            let kubeconfig = config.join(credentials::CONTROLLER_MANAGER_KUBECONFIG);
            let arguments = plane.controller_manager_arguments(&kubeconfig);
            self.unit("kubernetes", "kube-controller-manager", arguments)?;
            let kubeconfig = config.join(credentials::SCHEDULER_KUBECONFIG);
            self.unit("kubernetes", "kube-scheduler", ControlPlane::scheduler_arguments(&kubeconfig))?;
            self.enter(Phase::Starting("the nodes".into()));
            self.declare(&client, &names).await
        };
        let (nodes, answering) = tokio::join!(prepared, answering);
        answering?;
        try_join_all(nodes?.iter().map(|node| node.ask(NodeRequest::Join))).await?;
        Ok(())
    }

    /// Starts a node again whenever its process tree has ended.
    async fn keep(self: Arc<Self>, mut node: NodeHandle) {
        loop {
            node.ended().await;
            node = loop {
                // Its link goes with its network namespace, which the kernel removes in its own time.
                tokio::time::sleep(NODE_RESTART).await;
                let restarted = async {
                    let node = self.prepare(node.index(), node.name()).await?;
                    let mut joined = node.ask(NodeRequest::Join).await;
                    let defect = *self.planted.lock().unwrap_or_else(PoisonError::into_inner);
                    if joined.is_ok() && defect.is_some() {
                        joined = node.ask(NodeRequest::Plant { defect }).await;
                    }
                    joined.inspect_err(|_| node.end()).map(|()| node)
                };
                match restarted.await {
                    Ok(node) => break node,
                    Err(error) => tracing::warn!("starting {} again: {error}", node.name()),
                }
            };
            tracing::info!("{} is back", node.name());
        }
    }

    async fn prepare(&self, index: u16, name: &str) -> Result<NodeHandle> {
        let (node, process) = NodeHandle::start(&self.paths, index, name).await?;
        {
            let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.retain(|other| other.index() != index);
            nodes.push(node.clone());
            nodes.sort_by_key(NodeHandle::index);
        }
        let ready = match network::link_node(index, process) {
            Ok(()) => node.ask(NodeRequest::Prepare).await,
            Err(error) => Err(error),
        };
        // Half a node is none: what there is of it must not be in the way of the next.
        ready.inspect_err(|_| node.end()).map(|()| node)
    }

    async fn declare(&self, client: &Client, names: &[String]) -> Result<()> {
        bootstrap::apply_rights(client, self.spec.patience).await?;
        for (index, name) in names.iter().enumerate() {
            bootstrap::declare_node(client, name, index as u16).await?;
        }
        Ok(())
    }

    fn unit(&self, component: &str, program: &str, arguments: Vec<String>) -> Result<()> {
        self.units.start(UnitSpec {
            name: program.to_owned(),
            program: self.spec.program(component, program)?,
            arguments,
            log: self.paths.log(program),
        })
    }

    fn issuer(&self) -> Result<()> {
        let words = super::Role::Issuer { root: self.paths.root().to_owned() }.arguments();
        let words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
        self.units.start(UnitSpec {
            name: "issuer".to_owned(),
            program: "/proc/self/exe".into(),
            arguments: std::iter::once(super::HIDDEN_ARGUMENT.to_owned()).chain(words).collect(),
            log: self.paths.log("issuer"),
        })
    }

    fn apiserver_settings(&self) -> Result<ApiServerSettings> {
        ApiServerSettings::read(&self.paths.config())
    }

    /// Starts the API server anew, waits until it is ready, and starts anew who watches it for everybody: clients that
    /// have lost their watches several times within two minutes wait up to a minute before they begin again
    /// (client-go's reflectors), and until then no quota is counted, no pod is placed, and nodes pass for gone.
    async fn restart_apiserver(&self) -> Result<()> {
        let (pki, config, etcd, logs) =
            (self.paths.pki(), self.paths.config(), self.paths.etcd(), self.paths.logs());
        let plane = ControlPlane { pki: &pki, config: &config, etcd: &etcd, logs: &logs };
        let arguments = plane.apiserver_arguments(&self.apiserver_settings()?);
        self.units.restart("kube-apiserver", arguments).await?;
        let client = apply::client(&config.join(credentials::CONTROL_KUBECONFIG)).await?;
        bootstrap::await_apiserver(&client, self.spec.patience).await?;
        let kubeconfig = config.join(credentials::CONTROLLER_MANAGER_KUBECONFIG);
        let arguments = plane.controller_manager_arguments(&kubeconfig);
        self.units.restart("kube-controller-manager", arguments).await?;
        let kubeconfig = config.join(credentials::SCHEDULER_KUBECONFIG);
        self.units.restart("kube-scheduler", ControlPlane::scheduler_arguments(&kubeconfig)).await
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn converse(&self, stream: UnixStream) -> Result<()> {
        let what = || "answering a request";
        let (input, mut output) = stream.into_split();
        let mut lines = BufReader::new(input).lines();
        while let Some(line) = lines.next_line().await.context(what)? {
            let response = match serde_json::from_str(&line) {
                Ok(request) => self.answer(request).await,
                Err(error) => Response::Failed(format!("the request cannot be read: {error}")),
            };
            let mut answer = serde_json::to_vec(&response)
                .map_err(|error| LabError::component("control", error.to_string()))?;
            answer.push(b'\n');
            output.write_all(&answer).await.context(what)?;
        }
        Ok(())
    }

    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Status => Response::Status(self.status()),
            Request::LoadImage { archive } => self.ask_all(&NodeRequest::LoadImage { archive }).await,
            Request::RestartApiServer => match self.restart_apiserver().await {
                Ok(()) => Response::Done,
                Err(error) => Response::Failed(error.to_string()),
            },
            Request::AwaitDns { limit } => self.ask_all(&NodeRequest::AwaitDns { limit }).await,
            Request::Plant { defect } => {
                // Whatever comes of it: where one node has it, the lab is not sound.
                if defect.is_some() {
                    self.plant(defect);
                }
                let answer = self.ask_all(&NodeRequest::Plant { defect }).await;
                if matches!(answer, Response::Done) {
                    self.plant(defect);
                }
                answer
            }
        }
    }

    fn plant(&self, defect: Option<Defect>) {
        *self.planted.lock().unwrap_or_else(PoisonError::into_inner) = defect;
    }

    async fn ask_all(&self, request: &NodeRequest) -> Response {
        let nodes = loop {
            let nodes = self.nodes();
            if nodes.len() == usize::from(self.spec.nodes) {
                break nodes;
            }
            if let Phase::Failed(why) = self.phase() {
                return Response::Failed(why);
            }
            tokio::time::sleep(LOOK_AGAIN * self.spec.patience).await;
        };
        let asked = nodes.iter().map(|node| node.ask(request.clone()));
        let problems: Vec<String> = join_all(asked)
            .await
            .into_iter()
            .filter_map(Result::err)
            .map(|error| error.to_string())
            .collect();
        if problems.is_empty() { Response::Done } else { Response::Failed(problems.join("; ")) }
    }

    fn nodes(&self) -> Vec<NodeHandle> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn status(&self) -> LabStatus {
        LabStatus {
            phase: self.phase(),
            control_plane: self.units.statuses(),
            nodes: self.nodes().iter().map(NodeHandle::status).collect(),
            planted: *self.planted.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
