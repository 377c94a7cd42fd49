//! The lab: a real Kubernetes of several nodes on one Linux machine, without a container engine.
//!
//! Every program is the upstream one, built from pins or taken from the distribution. The lab is one pid namespace:
//! when its first process ends, however it ends, the kernel takes every process, mount, network namespace and packet
//! filter of the lab with it. It knows nothing of the harness that uses it.

mod address;
mod apply;
mod cgroup;
pub mod cli;
mod component;
mod config;
mod configuration;
mod credentials;
mod down;
mod error;
pub mod image;
mod internal;
mod issuer;
mod lab;
mod lock;
mod manifests;
pub mod netpol;
mod paths;
mod patience;
mod pki;
mod preflight;
mod progress;
mod state;
mod up;
pub mod volumes;

pub use configuration::ConfigurationFile;
pub use error::{LabError, Result};
pub use internal::{LabStatus, NodeStatus, Phase, UnitState, UnitStatus, dispatch};
pub use issuer::{AUDIENCE, Directory, PREFIX, TokenOrder};
pub use lab::{Lab, LabReport, UpOptions};
pub use paths::{Home, LabName, LabPaths, NodePaths};
pub use patience::Patience;
pub use preflight::PACKAGES;
pub use progress::{Progress, Quiet};
pub use state::{Cni, Environment, LabSpec, LabState, ProcessIdentity};
