//! What may be left out of a case: the larger parts first. Pure.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};

use super::case::{Case, Stage};

/// Every case that has one thing less than this one.
pub fn smaller(case: &Case) -> Vec<Case> {
    let mut found = Vec::new();
    if case.stages.len() > 1 {
        for gone in 0..case.stages.len() {
            let mut less = case.clone();
            less.stages.remove(gone);
            found.push(less);
        }
    }
    // A policy means the same in every stage, so it changes in all of them or goes from all of them.
    for name in names(case) {
        found.extend(everywhere(case, |stage| {
            let before = stage.policies.len();
            stage.policies.retain(|policy| key(policy) != name);
            stage.policies.len() < before
        }));
    }
    for name in names(case) {
        let Some(spec) = spec_of(case, &name) else { continue };
        for less in less_of_spec(&spec) {
            found.extend(everywhere(case, |stage| {
                let mut any = false;
                for policy in stage.policies.iter_mut().filter(|policy| key(policy) == name) {
                    if policy.spec.as_ref() == Some(&spec) {
                        policy.spec = Some(less.clone());
                        any = true;
                    }
                }
                any
            }));
        }
    }
    let mut labelled: Vec<(bool, String, String)> = Vec::new();
    for stage in &case.stages {
        let of = |pods: bool, all: &std::collections::BTreeMap<String, super::case::Labels>| {
            let keys = all.iter().flat_map(|(place, labels)| labels.keys().map(move |key| (place, key)));
            keys.map(|(place, key)| (pods, place.clone(), key.clone())).collect::<Vec<_>>()
        };
        labelled.extend(of(true, &stage.pods));
        labelled.extend(of(false, &stage.namespaces));
    }
    labelled.sort();
    labelled.dedup();
    for (pods, place, key) in labelled {
        found.extend(everywhere(case, |stage| {
            let all = if pods { &mut stage.pods } else { &mut stage.namespaces };
            all.get_mut(&place).is_some_and(|labels| labels.remove(&key).is_some())
        }));
    }
    found
}

fn key(policy: &NetworkPolicy) -> (Option<String>, Option<String>) {
    (policy.metadata.namespace.clone(), policy.metadata.name.clone())
}

fn names(case: &Case) -> Vec<(Option<String>, Option<String>)> {
    let mut names: Vec<_> = case.stages.iter().flat_map(|stage| stage.policies.iter().map(key)).collect();
    names.sort();
    names.dedup();
    names
}

fn spec_of(case: &Case, name: &(Option<String>, Option<String>)) -> Option<NetworkPolicySpec> {
    case.stages.iter().flat_map(|stage| &stage.policies).find(|policy| key(policy) == *name)?.spec.clone()
}

/// The case with something taken out of all its stages, if there was anything to take out.
fn everywhere(case: &Case, mut take: impl FnMut(&mut Stage) -> bool) -> Option<Case> {
    let mut less = case.clone();
    let mut any = false;
    for stage in &mut less.stages {
        any |= take(stage);
    }
    any.then_some(less)
}

/// The spec with one thing less.
fn less_of_spec(spec: &NetworkPolicySpec) -> Vec<NetworkPolicySpec> {
    let mut found = Vec::new();
    if spec.ingress.is_some() && spec.egress.is_some() {
        for (kind, ingress) in [("Ingress", true), ("Egress", false)] {
            let mut less = spec.clone();
            less.policy_types = Some(vec![kind.to_owned()]);
            if ingress {
                less.egress = None;
            } else {
                less.ingress = None;
            }
            found.push(less);
        }
    }
    if let Some(rules) = spec.ingress.as_ref().filter(|rules| !rules.is_empty()) {
        found.extend(less_of(rules, less_of_ingress).map(|rules| {
            let ingress = Some(rules);
            NetworkPolicySpec { ingress, ..spec.clone() }
        }));
    }
    if let Some(rules) = spec.egress.as_ref().filter(|rules| !rules.is_empty()) {
        found.extend(less_of(rules, less_of_egress).map(|rules| {
            let egress = Some(rules);
            NetworkPolicySpec { egress, ..spec.clone() }
        }));
    }
    let selector = spec.pod_selector.clone().unwrap_or_default();
    for less in less_of_selector(&selector) {
        found.push(NetworkPolicySpec { pod_selector: Some(less), ..spec.clone() });
    }
    found
}

/// The list without one of its items, and the list with less in one of them.
fn less_of<T: Clone, I: IntoIterator<Item = T>>(
    list: &[T],
    less: impl Fn(&T) -> I,
) -> impl Iterator<Item = Vec<T>> {
    let mut found = Vec::new();
    for at in 0..list.len() {
        let mut without = list.to_vec();
        without.remove(at);
        found.push(without);
    }
    for (at, item) in list.iter().enumerate() {
        for smaller in less(item) {
            let mut with = list.to_vec();
            with[at] = smaller;
            found.push(with);
        }
    }
    found.into_iter()
}

/// As [`less_of`], for a list that means everything when it is empty: it is left out as a whole, or keeps one item.
fn less_of_limits<T: Clone>(list: Option<&Vec<T>>, less: impl Fn(&T) -> Vec<T>) -> Vec<Option<Vec<T>>> {
    let Some(list) = list else { return Vec::new() };
    let mut found = vec![None];
    found.extend(less_of(list, less).filter(|list| !list.is_empty()).map(Some));
    found
}

fn less_of_ingress(rule: &NetworkPolicyIngressRule) -> Vec<NetworkPolicyIngressRule> {
    let peers = less_of_limits(rule.from.as_ref(), less_of_peer);
    let ports = less_of_limits(rule.ports.as_ref(), less_of_port);
    let with_peers = peers.into_iter().map(|from| NetworkPolicyIngressRule { from, ..rule.clone() });
    let with_ports = ports.into_iter().map(|ports| NetworkPolicyIngressRule { ports, ..rule.clone() });
    with_peers.chain(with_ports).collect()
}

fn less_of_egress(rule: &NetworkPolicyEgressRule) -> Vec<NetworkPolicyEgressRule> {
    let peers = less_of_limits(rule.to.as_ref(), less_of_peer);
    let ports = less_of_limits(rule.ports.as_ref(), less_of_port);
    let with_peers = peers.into_iter().map(|to| NetworkPolicyEgressRule { to, ..rule.clone() });
    let with_ports = ports.into_iter().map(|ports| NetworkPolicyEgressRule { ports, ..rule.clone() });
    with_peers.chain(with_ports).collect()
}

fn less_of_peer(peer: &NetworkPolicyPeer) -> Vec<NetworkPolicyPeer> {
    let mut found = Vec::new();
    if peer.pod_selector.is_some() && peer.namespace_selector.is_some() {
        found.push(NetworkPolicyPeer { pod_selector: None, ..peer.clone() });
        found.push(NetworkPolicyPeer { namespace_selector: None, ..peer.clone() });
    }
    for less in peer.pod_selector.iter().flat_map(less_of_selector) {
        found.push(NetworkPolicyPeer { pod_selector: Some(less), ..peer.clone() });
    }
    for less in peer.namespace_selector.iter().flat_map(less_of_selector) {
        found.push(NetworkPolicyPeer { namespace_selector: Some(less), ..peer.clone() });
    }
    if let Some(block) = &peer.ip_block {
        for except in less_of_limits(block.except.as_ref(), |_| Vec::new()) {
            let mut less = block.clone();
            less.except = except;
            found.push(NetworkPolicyPeer { ip_block: Some(less), ..peer.clone() });
        }
    }
    found
}

fn less_of_port(port: &NetworkPolicyPort) -> Vec<NetworkPolicyPort> {
    let mut found = Vec::new();
    if port.end_port.is_some() {
        found.push(NetworkPolicyPort { end_port: None, ..port.clone() });
    }
    if port.port.is_some() && port.end_port.is_none() {
        found.push(NetworkPolicyPort {
            port: None,
            protocol: Some(port.protocol.clone().unwrap_or("TCP".to_owned())),
            end_port: None,
        });
    }
    found
}

fn less_of_selector(
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
) -> Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector> {
    let mut found = Vec::new();
    for key in selector.match_labels.iter().flat_map(std::collections::BTreeMap::keys) {
        let mut less = selector.clone();
        if let Some(labels) = &mut less.match_labels {
            labels.remove(key);
        }
        less.match_labels = less.match_labels.filter(|labels| !labels.is_empty());
        found.push(less);
    }
    for at in 0..selector.match_expressions.as_ref().map_or(0, Vec::len) {
        let mut less = selector.clone();
        if let Some(expressions) = &mut less.match_expressions {
            expressions.remove(at);
        }
        less.match_expressions = less.match_expressions.filter(|expressions| !expressions.is_empty());
        found.push(less);
    }
    found
}
