//! What the watches have told so far, keyed by uid, so that a re-created object of the same name
//! never inherits from the old one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as api;
use kube::Resource;
use kube::api::DynamicObject;
use kube::runtime::watcher;

use super::{ClusterPolicy, Namespace, Pod, Policy, Snapshot};

/// Everything watched, as last heard.
#[derive(Debug, Default)]
pub struct State {
    namespaces: Tracked<Namespace>,
    pods: Tracked<Pod>,
    policies: Tracked<Policy>,
    cluster_policies: Tracked<ClusterPolicy>,
    /// By uid, pods whose addresses are known from the CNI plugin before the API tells them.
    newcomers: BTreeMap<String, Newcomer>,
}

#[derive(Debug)]
struct Newcomer {
    addresses: Vec<IpAddr>,
    /// What the API told when the newcomer was announced. As long as it tells that, it is behind.
    outdated: Vec<IpAddr>,
}

/// A watch event of one of the kinds.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives for a moment, one at a time")]
pub enum Kind {
    /// From the watch of namespaces.
    Namespace(watcher::Event<core::Namespace>),
    /// From the watch of pods.
    Pod(watcher::Event<core::Pod>),
    /// From the watch of NetworkPolicies.
    Policy(watcher::Event<api::NetworkPolicy>),
    /// From the watch of policies of the whole cluster.
    ClusterPolicy(watcher::Event<DynamicObject>),
}

impl State {
    /// Takes in an event; true if the snapshot may have changed by it.
    pub fn apply(&mut self, event: &Kind) -> bool {
        match event {
            Kind::Namespace(event) => self.namespaces.apply(event),
            Kind::Pod(event) => {
                let changed = self.pods.apply(event);
                if let watcher::Event::Delete(object) = event {
                    self.newcomers.remove(&uid(object));
                }
                if changed {
                    self.forget_newcomers();
                }
                changed
            }
            Kind::Policy(event) => self.policies.apply(event),
            Kind::ClusterPolicy(event) => self.cluster_policies.apply(event),
        }
    }

    /// Takes in the addresses of a pod that is about to start; true if the snapshot may have changed by it.
    pub fn announce(&mut self, uid: &str, mut addresses: Vec<IpAddr>) -> bool {
        addresses.sort_unstable();
        let outdated = self.pods.objects.get(uid).map(|pod| pod.addresses.clone()).unwrap_or_default();
        if outdated == addresses {
            return false;
        }
        self.newcomers.insert(uid.to_owned(), Newcomer { addresses, outdated });
        true
    }

    /// True if the pod has been heard of by the watch.
    pub fn knows_pod(&self, uid: &str) -> bool {
        self.pods.listed && self.pods.objects.contains_key(uid)
    }

    /// Once the API tells something new of a pod, that counts. A newcomer that it does not tell of yet stays,
    /// since the plugin may be faster than the watch.
    fn forget_newcomers(&mut self) {
        let pods = &self.pods.objects;
        self.newcomers.retain(|uid, newcomer| {
            pods.get(uid).is_none_or(|pod| !pod.finished && pod.addresses == newcomer.outdated)
        });
    }

    fn pods(&self) -> Vec<Pod> {
        let mut pods: Vec<Pod> = self.pods.objects.values().cloned().collect();
        for pod in &mut pods {
            if let Some(newcomer) = self.newcomers.get(&pod.uid) {
                pod.addresses.clone_from(&newcomer.addresses);
            }
        }
        pods
    }

    /// The cluster, once every kind has been listed in full; until then nothing is certain, not even
    /// that a pod without policies is open.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let policies = self.policies.listed && self.cluster_policies.listed;
        let complete = self.namespaces.listed && self.pods.listed && policies;
        complete.then(|| Snapshot {
            namespaces: self.namespaces.objects.values().cloned().collect(),
            pods: self.pods(),
            policies: self.policies.objects.values().cloned().collect(),
            cluster_policies: self.cluster_policies.objects.values().cloned().collect(),
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
