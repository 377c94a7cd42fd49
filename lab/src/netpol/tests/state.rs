//! Watch events: nothing is known before all is listed, lists replace, uids tell namesakes apart.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::runtime::watcher::Event;

use super::super::{Kind, State};
use super::fixtures::{ip, labels};

fn pod(uid: &str, address: &str) -> core::Pod {
    serde_yaml::from_str(&format!(
        "{{metadata: {{name: a, namespace: x, uid: {uid}}}, spec: {{containers: []}}, status: {{podIP: {address}}}}}"
    ))
    .expect("pod")
}

fn listed() -> State {
    let mut state = State::default();
    state.apply(&Kind::Namespace(Event::InitDone));
    state.apply(&Kind::Policy(Event::InitDone));
    state.apply(&Kind::ClusterPolicy(Event::InitDone));
    state.apply(&Kind::Pod(Event::InitDone));
    state
}

fn uids(state: &State) -> Vec<String> {
    state.snapshot().expect("complete").pods.into_iter().map(|pod| pod.uid).collect()
}

#[test]
fn incomplete_until_every_kind_is_listed() {
    let mut state = State::default();
    assert!(state.apply(&Kind::Namespace(Event::InitDone)));
    assert!(state.apply(&Kind::Pod(Event::InitDone)));
    assert_eq!(state.snapshot(), None);
    assert!(state.apply(&Kind::Policy(Event::<NetworkPolicy>::InitDone)));
    assert_eq!(state.snapshot(), None);
    assert!(state.apply(&Kind::ClusterPolicy(Event::InitDone)));
    assert!(state.snapshot().is_some());
}

#[test]
fn unchanged_objects_are_no_change() {
    let mut state = listed();
    assert!(state.apply(&Kind::Pod(Event::Apply(pod("1", "198.18.1.2")))));
    assert!(!state.apply(&Kind::Pod(Event::Apply(pod("1", "198.18.1.2")))));
    assert!(state.apply(&Kind::Pod(Event::Apply(pod("1", "198.18.1.3")))));
}

#[test]
fn deletion_of_an_old_namesake_leaves_the_new_one() {
    let mut state = listed();
    state.apply(&Kind::Pod(Event::Apply(pod("old", "198.18.1.2"))));
    state.apply(&Kind::Pod(Event::Apply(pod("new", "198.18.1.3"))));
    assert!(state.apply(&Kind::Pod(Event::Delete(pod("old", "198.18.1.2")))));
    assert_eq!(uids(&state), ["new"]);
}

#[test]
fn relisting_replaces_as_a_whole() {
    let mut state = listed();
    state.apply(&Kind::Pod(Event::Apply(pod("gone", "198.18.1.2"))));
    assert!(!state.apply(&Kind::Pod(Event::Init)));
    assert!(!state.apply(&Kind::Pod(Event::InitApply(pod("here", "198.18.1.3")))));
    assert_eq!(uids(&state), ["gone"], "the old list counts until the new one is whole");
    assert!(state.apply(&Kind::Pod(Event::InitDone)));
    assert_eq!(uids(&state), ["here"]);
}

fn addresses(state: &State) -> Vec<String> {
    let pods = state.snapshot().expect("complete").pods;
    pods.into_iter().flat_map(|pod| pod.addresses).map(|address| address.to_string()).collect()
}

fn without_address(uid: &str) -> core::Pod {
    core::Pod { status: None, ..pod(uid, "") }
}

#[test]
fn newcomer_has_its_address_before_the_api_tells() {
    let mut state = listed();
    assert!(state.announce("1", vec![ip("198.18.1.2")]), "before its object is heard of");
    assert!(!state.knows_pod("1"));
    state.apply(&Kind::Pod(Event::Apply(without_address("1"))));
    assert!(state.knows_pod("1"));
    assert_eq!(addresses(&state), ["198.18.1.2"]);
    state.apply(&Kind::Pod(Event::Apply(pod("1", "198.18.1.2"))));
    assert_eq!(addresses(&state), ["198.18.1.2"]);
    state.apply(&Kind::Pod(Event::Apply(pod("1", "198.18.1.9"))));
    assert_eq!(addresses(&state), ["198.18.1.9"], "what the API tells later counts");
}

#[test]
fn new_sandbox_of_a_known_pod_replaces_its_address() {
    let mut state = listed();
    state.apply(&Kind::Pod(Event::Apply(pod("1", "198.18.1.2"))));
    assert!(!state.announce("1", vec![ip("198.18.1.2")]), "nothing new");
    assert!(state.announce("1", vec![ip("198.18.1.3")]));
    assert_eq!(addresses(&state), ["198.18.1.3"]);
    let mut relabelled = pod("1", "198.18.1.2");
    relabelled.metadata.labels = Some(labels(&[("a", "b")]));
    state.apply(&Kind::Pod(Event::Apply(relabelled)));
    assert_eq!(addresses(&state), ["198.18.1.3"], "a change that still tells the old address");
}

#[test]
fn newcomer_that_ends_leaves_nothing() {
    let mut state = listed();
    state.apply(&Kind::Pod(Event::Apply(without_address("1"))));
    state.announce("1", vec![ip("198.18.1.2")]);
    state.apply(&Kind::Pod(Event::Delete(without_address("1"))));
    state.apply(&Kind::Pod(Event::Apply(without_address("1"))));
    assert_eq!(addresses(&state), [""; 0]);
}
