//! A node: containerd, kubelet, kube-proxy and the CNI network.

use serde_json::json;
use std::path::Path;

use super::{Rendered, yaml};
use crate::address;
use crate::component::PAUSE_IMAGE;
use crate::error::Result;
use crate::netpol;

/// Renders the configuration of one node.
#[derive(Debug, Clone)]
pub(crate) struct NodeConfig<'a> {
    /// The node's name.
    pub(crate) name: &'a str,
    /// Its pods.
    pub(crate) pod_range: &'a str,
    /// The directory that the files are written to, with the node's credentials.
    pub(crate) directory: &'a Path,
    /// The control group that all its pods are under, as a path within the hierarchy.
    pub(crate) cgroup: &'a str,
    /// What containerd unpacks images with.
    pub(crate) snapshotter: &'a str,
    /// The program that runs containers.
    pub(crate) runtime: &'a str,
}

/// Where the policy dataplane learns of new pods, in the node.
pub(crate) const NETPOL_SOCKET: &str = "/run/plimsoll/netpol.sock";

/// The CNI plugin that announces new pods to the policy dataplane, in the node's `/opt/cni/bin`.
pub(crate) const NETPOL_PLUGIN: &str = "plimsoll-netpol";

/// Where containerd answers, in the node.
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

impl NodeConfig<'_> {
    /// File names in the directory.
    pub(crate) const CNI: &'static str = "cni.conflist";
    /// As above.
    pub(crate) const CONTAINERD: &'static str = "containerd.toml";
    /// As above.
    pub(crate) const PROXY: &'static str = "kube-proxy.yaml";
    /// As above.
    pub(crate) const NETPOL_KUBECONFIG: &'static str = "netpol.kubeconfig";
    /// As above.
    pub(crate) const VOLUMES_KUBECONFIG: &'static str = "volumes.kubeconfig";

    /// Every file without a secret in it.
    pub(crate) fn files(&self) -> Result<Vec<Rendered>> {
        Ok(vec![
            ("kubelet.yaml", self.kubelet()?),
            (Self::PROXY, self.proxy()?),
            (Self::CONTAINERD, self.containerd()),
            (Self::CNI, self.cni()?),
            ("resolv.conf", Self::resolv_conf()),
        ])
    }

    /// The kubelet's configuration.
    fn kubelet(&self) -> Result<String> {
        let file = |name: &str| self.directory.join(name);
        yaml(&json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": "0.0.0.0",
            "authentication": {
                "anonymous": { "enabled": false },
                "webhook": { "enabled": true },
                "x509": { "clientCAFile": file("ca.crt") },
            },
            "authorization": { "mode": "Webhook" },
            "tlsCertFile": file("kubelet.crt"),
            "tlsPrivateKeyFile": file("kubelet.key"),
            "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            // Machines with control groups of the first version are served as well.
            "failCgroupV1": false,
            // What it may not do here is nothing that a lab needs: its priority when memory runs out.
            "featureGates": { "KubeletInUserNamespace": true },
            "clusterDNS": [address::DNS_SERVICE.to_string()],
            "clusterDomain": address::CLUSTER_DOMAIN,
            "resolvConf": file("resolv.conf"),
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "makeIPTablesUtilChains": false,
            "failSwapOn": false,
            // The disk is the machine's, and how full it is says nothing about the lab.
            "evictionHard": { "imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%" },
            "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": false,
            "registerNode": true,
            "rotateCertificates": false,
            "enableServer": true,
            "logging": { "verbosity": 1 },
        }))
    }

    /// The kubelet's arguments: what its configuration file has no field for.
    pub(crate) fn kubelet_arguments(name: &str, index: u16, directory: &Path) -> Vec<String> {
        let file = |name: &str| directory.join(name).display().to_string();
        vec![
            format!("--config={}", file("kubelet.yaml")),
            format!("--kubeconfig={}", file("kubelet.kubeconfig")),
            format!("--hostname-override={name}"),
            format!("--node-ip={}", address::node(index)),
            "--root-dir=/var/lib/kubelet".into(),
        ]
    }

    /// The configuration of kube-proxy.
    fn proxy(&self) -> Result<String> {
        yaml(&json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "bindAddress": "0.0.0.0",
            "hostnameOverride": self.name,
            "clusterCIDR": address::POD_RANGE,
            "clientConnection": { "kubeconfig": self.directory.join("kube-proxy.kubeconfig") },
            // The table of connections belongs to the machine and cannot be resized from a node.
            "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
            "nftables": { "minSyncPeriod": "100ms" },
        }))
    }

    /// The configuration of containerd.
    fn containerd(&self) -> String {
        let Self { snapshotter, runtime, .. } = self;
        format!(
            r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{runtime}"
        SystemdCgroup = false
"#
        )
    }

    /// The pod network: every pod on a link of its own to the node, so that all of a pod's traffic, that to its
    /// neighbours included, is forwarded by the node and seen by the policy rules there.
    fn cni(&self) -> Result<String> {
        let network = json!({
            "cniVersion": "1.0.0",
            "name": "lab",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": false,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/cni-ipam",
                        "ranges": [[{ "subnet": self.pod_range }]],
                        "routes": [{ "dst": "0.0.0.0/0" }],
                    },
                },
                { "type": "portmap", "capabilities": { "portMappings": true }, "backend": "nftables" },
                // Last, since it waits until the pod's rules are in.
                netpol::plugin_configuration(NETPOL_PLUGIN, Path::new(NETPOL_SOCKET)),
            ],
        });
        serde_json::to_string_pretty(&network)
            .map_err(|error| crate::error::LabError::component("configuration", error.to_string()))
    }

    /// The resolver that pods with the node's own DNS get: there is none beyond the cluster's.
    fn resolv_conf() -> String {
        format!("nameserver {}\n", address::CONTROL_PLANE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let config = NodeConfig {
            name: "node-1",
            pod_range: &address::pod_range(0),
            directory: Path::new("/lab/nodes/node-1/config"),
            cgroup: "/plimsoll-default/node-1",
            snapshotter: "overlayfs",
            runtime: "/usr/sbin/runc",
        };
        for (name, text) in config.files().unwrap() {
            insta::assert_snapshot!(name, text);
        }
        let arguments = NodeConfig::kubelet_arguments("node-1", 0, config.directory);
        insta::assert_snapshot!("kubelet-arguments", arguments.join("\n"));
    }
}
