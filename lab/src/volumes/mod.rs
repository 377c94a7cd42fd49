//! Dynamic provisioner of local volumes: one process a node.
//!
//! A claim of a storage class whose provisioner is [`PROVISIONER`] gets a directory on the disk of the node that the
//! scheduler has chosen for its first pod, and a volume that says so. When the claim is gone and the class says
//! `reclaimPolicy: Delete`, the directory goes with all that is in it, and then the volume.
//!
//! [`plan()`] decides what is to be done, without any I/O; [`run()`] watches and does it.

mod plan;
mod run;

pub use plan::{Action, PROVISIONER, View, plan};
pub use run::{VolumesError, VolumesOptions, run};
