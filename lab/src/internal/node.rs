//! A node, inside of its own namespaces: keeps its programs running and does what the control plane's process asks.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UdpSocket, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::protocol::{FromNode, NodeRequest, ToNode};
use super::unit::{UnitSpec, Units};
use super::{Role, network};
use crate::address;
use crate::component::IMAGE_ARCHIVE;
use crate::config::{CONTAINERD_SOCKET, NETPOL_PLUGIN, NETPOL_SOCKET, NodeConfig};
use crate::error::{Context as _, LabError, Result};
use crate::netpol::NetpolOptions;
use crate::paths::{LabPaths, NodePaths, create_dir, write};
use crate::preflight::find_program;
use crate::state::{Cni, LabSpec};
use crate::volumes::VolumesOptions;

/// How long containerd may take to answer.
const CONTAINERD_START: Duration = Duration::from_secs(60);

/// How long the policy dataplane may take to close the node.
const NETPOL_START: Duration = Duration::from_secs(20);

/// Where the policy dataplane says what is in force, in the node.
const NETPOL_STATUS: &str = "/run/plimsoll/netpol.json";

#[derive(Debug)]
struct Node {
    name: String,
    index: u16,
    spec: LabSpec,
    paths: LabPaths,
    units: Units,
}

/// Runs a node until its standard input ends, which is when the lab ends.
pub(super) async fn run(root: PathBuf, name: String) -> Result<()> {
    let paths = LabPaths::at(root);
    let spec = LabSpec::read(&paths)?.ok_or_else(|| LabError::component(&name, "no specification"))?;
    let position = spec.node_names().iter().position(|known| *known == name);
    let index = position.ok_or_else(|| LabError::component(&name, "is not part of this lab"))? as u16;
    network::prepare()?;
    let node = Arc::new(Node { name, index, spec, paths, units: Units::new() });

    let (says, mut said) = mpsc::unbounded_channel::<FromNode>();
    // The first words tell that the namespaces are made.
    let _ = says.send(FromNode::Units(Vec::new()));
    tokio::spawn(report_changes(node.units.clone(), says.clone()));
    tokio::spawn(async move {
        let mut output = tokio::io::stdout();
        while let Some(message) = said.recv().await {
            let Ok(mut line) = serde_json::to_vec(&message) else { continue };
            line.push(b'\n');
            if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
                return;
            }
        }
    });

    let mut input = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = input.next_line().await.context(|| "listening to the control plane")? {
        let Ok(ToNode { id, request }) = serde_json::from_str(&line) else {
            tracing::warn!("cannot read {line:?}");
            continue;
        };
        let (node, says) = (Arc::clone(&node), says.clone());
        tokio::spawn(async move {
            let result = node.serve(request).await.map_err(|error| error.to_string());
            if let Err(error) = &result {
                tracing::warn!("{error}");
            }
            let _ = says.send(FromNode::Answer { id, result });
        });
    }
    Ok(())
}

async fn report_changes(units: Units, says: mpsc::UnboundedSender<FromNode>) {
    let mut changes = units.changes();
    while changes.changed().await.is_ok() {
        if says.send(FromNode::Units(units.statuses())).is_err() {
            return;
        }
    }
}

impl Node {
    async fn serve(&self, request: NodeRequest) -> Result<()> {
        match request {
            NodeRequest::Prepare => self.prepare().await,
            NodeRequest::Join => self.join().await,
            NodeRequest::LoadImage { archive } => self.import(&archive).await,
            NodeRequest::AwaitDns { limit } => await_dns(limit).await,
            NodeRequest::Plant { defect } => {
                let planted = crate::netpol::plant(Path::new(NETPOL_SOCKET), defect).await;
                planted.map_err(|why| LabError::component("netpol", why))
            }
        }
    }

    async fn prepare(&self) -> Result<()> {
        network::configure_node(self.index, self.spec.nodes)?;
        let config = self.paths.node(&self.name).config();
        if self.spec.cni == Cni::Bundled {
            let network = std::fs::read(config.join(NodeConfig::CNI))
                .context(|| "reading the network's configuration")?;
            write(Path::new("/etc/cni/net.d/10-lab.conflist"), network)?;
            netpol_plugin()?;
        }
        let program =
            find_program("containerd").ok_or_else(|| LabError::component("containerd", "is not on PATH"))?;
        self.start(
            "containerd",
            program,
            vec![format!("--config={}", config.join(NodeConfig::CONTAINERD).display())],
        )?;
        self.import(&self.spec.component("pause")?.join(IMAGE_ARCHIVE)).await
    }

    async fn import(&self, archive: &Path) -> Result<()> {
        await_containerd(CONTAINERD_START * self.spec.patience).await?;
        let output = tokio::process::Command::new("ctr")
            .args(["--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", "images", "import"])
            .arg(archive)
            .env("PATH", crate::preflight::search_path())
            .stdin(Stdio::null())
            .output()
            .await
            .context(|| "starting ctr")?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(LabError::component(
            "containerd",
            format!("importing {} failed: {}", archive.display(), said.trim()),
        ))
    }

    async fn join(&self) -> Result<()> {
        let config = self.paths.node(&self.name).config();
        if self.spec.cni == Cni::Bundled {
            // First of all: its closed table must be in before there is a pod.
            self.start_netpol(&config).await?;
        }
        let arguments = NodeConfig::kubelet_arguments(&self.name, self.index, &config);
        self.start("kubelet", self.spec.program("kubernetes", "kubelet")?, arguments)?;
        let arguments = vec![format!("--config={}", config.join(NodeConfig::PROXY).display())];
        self.start("kube-proxy", self.spec.program("kubernetes", "kube-proxy")?, arguments)?;
        let kubeconfig = config.join(NodeConfig::VOLUMES_KUBECONFIG);
        self.start_own("volumes", &Role::Volumes { node: self.name.clone(), kubeconfig })
    }

    /// Starts a part of the lab that is this very program.
    fn start_own(&self, name: &str, role: &Role) -> Result<()> {
        let mut arguments = vec![super::HIDDEN_ARGUMENT.to_owned()];
        arguments.extend(role.arguments().into_iter().map(|word| word.to_string_lossy().into_owned()));
        self.start(name, "/proc/self/exe".into(), arguments)
    }

    async fn start_netpol(&self, config: &Path) -> Result<()> {
        let status = PathBuf::from(NETPOL_STATUS);
        if let Some(directory) = status.parent() {
            create_dir(directory)?;
        }
        let role = Role::Netpol {
            node: self.name.clone(),
            kubeconfig: config.join(NodeConfig::NETPOL_KUBECONFIG),
            pods: address::pod_range(self.index),
            status: status.clone(),
        };
        self.start_own("netpol", &role)?;
        let limit = NETPOL_START * self.spec.patience;
        let deadline = Instant::now() + limit;
        while !status.exists() {
            if Instant::now() > deadline {
                return Err(LabError::Timeout {
                    what: "the start of the policy dataplane".into(),
                    limit,
                    last_seen: format!("no rules yet; see {}", self.log("netpol").display()),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    fn log(&self, program: &str) -> PathBuf {
        self.paths.log(&format!("{}-{program}", self.name))
    }

    fn start(&self, program: &str, path: PathBuf, arguments: Vec<String>) -> Result<()> {
        let log = self.log(program);
        self.units.start(UnitSpec { name: program.to_owned(), program: path, arguments, log })
    }
}

/// Installs the CNI plugin of the policy dataplane. It is this very program, which the first process of the node runs
/// too: so it is found whatever has become of its file.
fn netpol_plugin() -> Result<()> {
    let plugin = Path::new("/opt/cni/bin").join(NETPOL_PLUGIN);
    let words: Vec<String> =
        Role::NetpolPlugin.arguments().into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let script = format!("#!/bin/sh\nexec /proc/1/exe {} {}\n", super::HIDDEN_ARGUMENT, words.join(" "));
    write(&plugin, script)?;
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755))
        .context(|| format!("making {} executable", plugin.display()))
}

/// Runs the NetworkPolicy dataplane of a node.
pub(super) async fn netpol(node: String, kubeconfig: PathBuf, pods: &str, status: PathBuf) -> Result<()> {
    let range = pods.parse().map_err(|_| LabError::Usage(format!("{pods} is no range of addresses")))?;
    let mut options = NetpolOptions::new(node, kubeconfig, vec![range]);
    options.status = Some(status);
    options.admission = Some(NETPOL_SOCKET.into());
    if let Some(nft) = find_program("nft") {
        options.nft = nft;
    }
    crate::netpol::run(options).await.map_err(|error| failed("netpol", &error))
}

/// Runs the provisioner of a node's local volumes.
pub(super) async fn volumes(node: String, kubeconfig: PathBuf) -> Result<()> {
    let options = VolumesOptions { node, kubeconfig, root: NodePaths::VOLUMES.into() };
    crate::volumes::run(options).await.map_err(|error| failed("volumes", &error))
}

/// A part of the lab that ended, with all that led to it.
fn failed(part: &str, error: &dyn std::error::Error) -> LabError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    LabError::component(part, text)
}

async fn await_containerd(limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    while UnixStream::connect(CONTAINERD_SOCKET).await.is_err() {
        if Instant::now() > deadline {
            return Err(LabError::Timeout {
                what: "the start of containerd".into(),
                limit,
                last_seen: "it does not answer on its socket".into(),
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Asks the cluster's DNS, as a pod of this node would reach it, for the one service that every cluster has.
async fn await_dns(limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let mut last_seen = "no answer".to_owned();
    while Instant::now() < deadline {
        match ask_dns().await {
            Ok(()) => return Ok(()),
            Err(problem) => last_seen = problem,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(LabError::Timeout { what: "an answer of the cluster's DNS".into(), limit, last_seen })
}

async fn ask_dns() -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(failed)?;
    socket.connect(SocketAddr::from((address::DNS_SERVICE, 53))).await.map_err(failed)?;
    socket
        .send(&dns_query(&format!("kubernetes.default.svc.{}", address::CLUSTER_DOMAIN)))
        .await
        .map_err(failed)?;
    let mut answer = [0; 512];
    let length = tokio::time::timeout(Duration::from_millis(500), socket.recv(&mut answer))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(failed)?;
    // The low bits of the fourth byte are the result, and the next but one field counts the answers.
    match answer.get(..length) {
        Some([_, _, _, flags, _, _, high, low, ..]) if flags % 16 == 0 && (*high, *low) != (0, 0) => Ok(()),
        Some([_, _, _, flags, ..]) => Err(format!("answered with code {}", flags % 16)),
        _ => Err("a short answer".to_owned()),
    }
}

/// A query for the address of a name (RFC 1035, section 4).
fn dns_query(name: &str) -> Vec<u8> {
    let mut query = vec![0x50, 0x4c, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_well_formed() {
        let query = dns_query("a.bc");
        assert_eq!(&query[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
        assert_eq!(query[5], 1, "one question");
    }
}
