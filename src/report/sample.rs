//! The run of `tests/fixtures/every-status.yaml`, as a journal and as a model, for tests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::model::{Model, RequirementInfo};
use crate::engine::{Event, Level};
use crate::evidence::{Clock, Journal, ReadJournal, read};

const EVENTS: &str = include_str!("../../tests/fixtures/every-status.yaml");

/// A clock that stands at a given time of a run that began at a fixed instant.
#[derive(Clone, Default)]
pub(crate) struct SetClock(Arc<AtomicU64>);

impl SetClock {
    pub(crate) fn set(&self, at_us: u64) {
        self.0.store(at_us, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> (Timestamp, u64) {
        let at = self.0.load(Ordering::Relaxed);
        let start: Timestamp = "2026-01-31T09:30:00Z".parse().unwrap();
        (start + SignedDuration::from_micros(i64::try_from(at).unwrap()), at)
    }
}

/// The events of the fixture with their times, in order.
pub(crate) fn events() -> Vec<(u64, Event)> {
    #[derive(Deserialize)]
    struct Timed {
        at_us: u64,
        #[serde(flatten)]
        event: Value,
    }
    let timed: Vec<Timed> = serde_yaml::from_str(EVENTS).unwrap();
    let mut events: Vec<(u64, Event)> =
        timed.into_iter().map(|t| (t.at_us, serde_json::from_value(t.event).unwrap())).collect();
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Writes `events` as a journal below `dir`.
pub(crate) fn write(dir: &Path, events: &[(u64, Event)]) -> std::path::PathBuf {
    let clock = SetClock::default();
    let mut journal = Journal::create_with(dir, Box::new(clock.clone())).unwrap();
    for (at, event) in events {
        clock.set(*at);
        journal.append(event).unwrap();
    }
    journal.finish().unwrap().path
}

/// `events` as a journal that was read.
pub(crate) fn journal(events: &[(u64, Event)]) -> ReadJournal {
    let dir = tempfile::tempdir().unwrap();
    read(&write(dir.path(), events)).unwrap()
}

/// A catalogue that knows most of the fixture's requirements, and one that is not selected.
pub(crate) fn catalog() -> Vec<RequirementInfo> {
    let row = |id: &str, level, family: &str, promise: &str, controls: &[&str]| RequirementInfo {
        id: id.to_owned(),
        level,
        family: family.to_owned(),
        promise: promise.to_owned(),
        controls: controls.iter().map(|c| (*c).to_owned()).collect(),
    };
    let (ten, iam, net) = ("Namespace isolation", "Authentication and authorization", "Network isolation");
    vec![
        row(
            "TEN-02",
            Level::Must,
            ten,
            "every tenant namespace carries a quota",
            &["NIST SC-6", "CIS 5.6.1"],
        ),
        row("TEN-03", Level::Must, ten, "the quota is enforced", &["NIST SC-6"]),
        row("TEN-08", Level::Must, ten, "storage does not cross tenants", &["NIST SC-4"]),
        row("TEN-10", Level::Must, ten, "offboarding leaves nothing", &["NIST SC-4"]),
        row("TEN-11", Level::Should, ten, "onboarding and offboarding take no longer than promised", &[]),
        row(
            "IAM-04",
            Level::Must,
            iam,
            "rights end at the namespace",
            &["NIST AC-3", "NIST AC-6", "CIS 5.1.1"],
        ),
        row(
            "NET-01",
            Level::Must,
            net,
            "default deny both ways in every tenant namespace, also for pods that match no other policy",
            &["NIST SC-7(5)", "CIS 5.3.2"],
        ),
        row("NET-02", Level::Must, net, "no tenant reaches another", &["NIST SC-7", "NSA C-0260"]),
        row("NET-03", Level::Must, net, "the paths that a tenant declares are open", &["NIST SC-7"]),
        row(
            "NET-05",
            Level::Must,
            net,
            "names resolve, and only through the platform's DNS",
            &["NIST SC-20"],
        ),
        row("NET-13", Level::Should, net, "the same for IPv6 where dual-stack is on", &["NIST SC-7"]),
    ]
}

/// The fixture's report.
pub(crate) fn model() -> Model {
    Model::from_journal(&journal(&events()), &catalog())
}
