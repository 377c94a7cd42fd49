//! What a run plays on: the cluster with its tenants, or a stand-in in tests.

use std::time::Duration;

use super::Leftover;
use crate::{
    bdd::Services,
    cluster::RunId,
    engine::{EventSink, Reason},
};

/// What the stage needs to know.
#[derive(Clone, Debug)]
pub struct StageRun {
    /// The run.
    pub id: RunId,
    /// Where events go: the cluster that was seen, the capabilities, tenants that come and go.
    pub events: EventSink,
    /// What the plan needs, by capability name.
    pub needs: Vec<String>,
}

/// A capability, as the cluster shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// Its name.
    pub name: String,
    /// Whether it is there; none where it could not be told.
    pub detected: Option<bool>,
    /// What showed it.
    pub probe: String,
}

/// A stage that is ready.
#[derive(Debug, Default)]
pub struct Opened {
    /// The context, for waivers that hold in some only.
    pub context: String,
    /// What steps reach: cluster, profile, tenant pool.
    pub services: Services,
    /// The capabilities that were looked for.
    pub capabilities: Vec<Detected>,
    /// Versions of what was found, for the bundle.
    pub versions: serde_json::Value,
}

/// What a run plays on.
pub trait Stage {
    /// Connects, tells what is there and prepares what scenarios share. A reason means that no scenario can
    /// run.
    fn open(&mut self, run: &StageRun) -> impl Future<Output = Result<Opened, Reason>>;

    /// Completes only when the stage is lost for good (no API server), with a sentence that says so.
    fn lost(&self) -> impl Future<Output = String>;

    /// Removes everything of the run, within about `deadline`, and says what could not be.
    fn close(&mut self, deadline: Duration) -> impl Future<Output = Vec<Leftover>>;

    /// Leaves everything where it stands, at once, closing or not: afterwards nothing more of the run is made, so
    /// that what its journal names as standing is all that was told of.
    fn abandon(&mut self) -> impl Future<Output = ()>;
}
