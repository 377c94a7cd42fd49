//! What the watches have told so far, keyed by uid, so that a re-created object of the same name
//! never inherits from the old one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as api;
use kube::Resource;
use kube::runtime::watcher;

use super::{Namespace, Pod, Policy, Snapshot};

/// Everything watched, as last heard.
#[derive(Debug, Default)]
pub struct State {
    namespaces: Tracked<Namespace>,
    pods: Tracked<Pod>,
    policies: Tracked<Policy>,
}

/// A watch event of one of the kinds.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives for a moment, one at a time")]
pub enum Kind {
    /// From the watch of namespaces.
    Namespace(watcher::Event<core::Namespace>),
    /// From the watch of pods.
    Pod(watcher::Event<core::Pod>),
    /// From the watch of policies.
    Policy(watcher::Event<api::NetworkPolicy>),
}

impl State {
    /// Takes in an event; true if the snapshot may have changed by it.
    pub fn apply(&mut self, event: &Kind) -> bool {
        match event {
            Kind::Namespace(event) => self.namespaces.apply(event),
            Kind::Pod(event) => self.pods.apply(event),
            Kind::Policy(event) => self.policies.apply(event),
        }
    }

    /// The cluster, once every kind has been listed in full; until then nothing is certain, not even
    /// that a pod without policies is open.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let complete = self.namespaces.listed && self.pods.listed && self.policies.listed;
        complete.then(|| Snapshot {
            namespaces: self.namespaces.objects.values().cloned().collect(),
            pods: self.pods.objects.values().cloned().collect(),
            policies: self.policies.objects.values().cloned().collect(),
        })
    }
}

#[derive(Debug)]
struct Tracked<T> {
    objects: BTreeMap<String, T>,
    /// A list under way; it replaces `objects` when it is whole.
    listing: BTreeMap<String, T>,
    listed: bool,
}

impl<T> Default for Tracked<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: BTreeMap::new(), listed: false }
    }
}

impl<T: PartialEq> Tracked<T> {
    fn apply<K>(&mut self, event: &watcher::Event<K>) -> bool
    where
        K: Resource,
        T: for<'a> From<&'a K>,
    {
        match event {
            watcher::Event::Init => {
                self.listing.clear();
                false
            }
            watcher::Event::InitApply(object) => {
                self.listing.insert(uid(object), T::from(object));
                false
            }
            watcher::Event::InitDone => {
                let listing = std::mem::take(&mut self.listing);
                let changed = !self.listed || listing != self.objects;
                self.objects = listing;
                self.listed = true;
                changed
            }
            watcher::Event::Apply(object) => {
                let new = T::from(object);
                if self.objects.get(&uid(object)) == Some(&new) {
                    return false;
                }
                self.objects.insert(uid(object), new);
                true
            }
            watcher::Event::Delete(object) => self.objects.remove(&uid(object)).is_some(),
        }
    }
}

fn uid(object: &impl Resource) -> String {
    object.meta().uid.clone().unwrap_or_default()
}
