//! The processes of a running lab. All are this same executable, started with a hidden first argument:
//!
//! ```text
//! supervisor            in the machine's namespaces: holds the API port, makes and removes the control groups
//! └─ init lab           first process of the lab's namespaces; when it ends, the kernel ends all below
//!    └─ control         control plane, bridge, requests, forwarding of the API port
//!       ├─ issuer      the identity provider
//!       ├─ etcd, kube-apiserver, kube-controller-manager, kube-scheduler
//!       └─ node-enter   one a node
//!          └─ init node first process of the node's namespaces
//!             └─ node   containerd, kubelet, kube-proxy, policy dataplane
//! ```

mod bootstrap;
mod control;
mod dispatch;
mod forward;
mod init;
mod mounts;
mod network;
mod node;
mod node_handle;
mod protocol;
mod supervisor;
mod unit;

pub(crate) use control::listen;
pub use dispatch::dispatch;
pub(crate) use dispatch::{HIDDEN_ARGUMENT, Role};
pub use protocol::{LabStatus, NodeStatus, Phase};
pub(crate) use protocol::{Request, Response, call, exchange};
pub use unit::{UnitState, UnitStatus};
