//! One fleet for a whole run: an exec is opened once for each pod, however many scenarios ask its agent.

use std::sync::{Mutex, PoisonError};

use super::Fleet;

/// The held streams of a run.
#[derive(Debug, Default)]
pub struct SharedFleet(Mutex<Fleet>);

impl SharedFleet {
    /// The agents of these pods (namespace and name), with whatever others the run has. Streams are opened at the
    /// first need.
    pub fn enlist(&self, client: &kube::Client, pods: &[(String, String)]) -> Fleet {
        let mut fleet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (namespace, pod) in pods {
            fleet.enlist(client, namespace, pod);
        }
        fleet.clone()
    }
}
