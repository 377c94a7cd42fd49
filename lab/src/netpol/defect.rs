//! Defects that are planted on purpose, to see whether a test of the dataplane notices. Each is a change of what the
//! compiler is given, so that everything else stays as it is. None is ever there unless somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Expression, IpBlock, Labels, NamedPort, NamespaceScope, Operator, Peer, Peers, Policy, Port, PortTarget,
    Ports, Protocol, Rule, Selector, Snapshot,
};

/// What may be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// The exceptions of a block are ignored
    ExceptIgnored,
    /// The last port of a range does not belong to it
    EndPortOffByOne,
    /// A rule for UDP lets nothing through
    UdpForgotten,
    /// A rule for one port of TCP or UDP lets the same port of the other through
    ProtocolIgnored,
    /// A name of a port is looked up in the first pod of the namespace that has it
    NamedPortFirstOnly,
    /// A pod keeps the labels that it had when the policies of its namespace last changed
    StaleAfterLabelChange,
    /// A namespace keeps the labels that it had when its policies last changed
    StaleAfterNamespaceLabelChange,
    /// `NotIn` does not match who lacks the key
    NotInNeedsTheKey,
    /// A peer with two selectors matches who meets either
    SelectorsAsEither,
    /// Of the peers of a rule only the first counts
    SecondPeerForgotten,
    /// Of the ports of a rule only the first counts
    SecondPortForgotten,
    /// A policy for both directions does not isolate egress
    EgressForgotten,
    /// A block is one bit too wide
    BlockOneBitWide,
    /// A pod selector without a namespace selector looks for pods everywhere
    NeighboursEverywhere,
}

impl Defect {
    /// Its name on the command line and in reports.
    pub fn name(self) -> String {
        // The names are those of the wire.
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// In one sentence, what it breaks.
    pub fn breaks(self) -> String {
        use clap::ValueEnum as _;
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }
}

/// What was known when it was last looked at: for defects that are about what is out of date.
#[derive(Debug, Default)]
pub(super) struct Planted {
    defect: Option<Defect>,
    /// By namespace, its policies.
    policies: BTreeMap<String, Vec<Policy>>,
    /// By uid.
    pods: BTreeMap<String, (String, Labels)>,
    namespaces: BTreeMap<String, Labels>,
}

impl Planted {
    /// Plants a defect in place of whatever was, or takes it away.
    pub(super) fn plant(&mut self, defect: Option<Defect>) {
        *self = Self { defect, ..Self::default() };
    }

    /// What is planted.
    pub(super) fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// The cluster as a dataplane with the defect would understand it.
    pub(super) fn spoil(&mut self, mut snapshot: Snapshot) -> Snapshot {
        let Some(defect) = self.defect else { return snapshot };
        match defect {
            Defect::StaleAfterLabelChange | Defect::StaleAfterNamespaceLabelChange => {
                self.remember(&snapshot);
                if defect == Defect::StaleAfterLabelChange {
                    for pod in &mut snapshot.pods {
                        if let Some((_, labels)) = self.pods.get(&pod.uid) {
                            pod.labels.clone_from(labels);
                        }
                    }
                } else {
                    for namespace in &mut snapshot.namespaces {
                        if let Some(labels) = self.namespaces.get(&namespace.name) {
                            namespace.labels.clone_from(labels);
                        }
                    }
                }
            }
            Defect::NamedPortFirstOnly => first_only(&mut snapshot),
            _ => {
                for policy in &mut snapshot.policies {
                    spoil_policy(defect, policy);
                }
            }
        }
        snapshot
    }

    /// Takes the labels of pods and namespaces in, but only where the policies are others than before.
    fn remember(&mut self, snapshot: &Snapshot) {
        let mut now: BTreeMap<String, Vec<Policy>> = BTreeMap::new();
        for policy in &snapshot.policies {
            now.entry(policy.namespace.clone()).or_default().push(policy.clone());
        }
        let named = snapshot.namespaces.iter().map(|namespace| namespace.name.clone());
        let changed: BTreeSet<String> =
            named.filter(|name| now.get(name) != self.policies.get(name)).collect();
        self.pods.retain(|_, (namespace, _)| !changed.contains(namespace));
        self.namespaces.retain(|name, _| !changed.contains(name));
        for pod in &snapshot.pods {
            let known = self.pods.entry(pod.uid.clone());
            known.or_insert_with(|| (pod.namespace.clone(), pod.labels.clone()));
        }
        for namespace in &snapshot.namespaces {
            self.namespaces.entry(namespace.name.clone()).or_insert_with(|| namespace.labels.clone());
        }
        self.policies = now;
    }
}

/// Every port of a name gets the number that it has in the first pod of the namespace.
fn first_only(snapshot: &mut Snapshot) {
    let mut order: Vec<usize> = (0..snapshot.pods.len()).collect();
    order.sort_by_key(|index| {
        let pod = &snapshot.pods[*index];
        (pod.namespace.clone(), pod.name.clone())
    });
    let mut numbers: BTreeMap<(String, String, Protocol), u16> = BTreeMap::new();
    for index in order {
        let pod = &mut snapshot.pods[index];
        for NamedPort { name, protocol, number } in &mut pod.ports {
            *number = *numbers.entry((pod.namespace.clone(), name.clone(), *protocol)).or_insert(*number);
        }
    }
}

fn spoil_policy(defect: Defect, policy: &mut Policy) {
    match defect {
        Defect::EgressForgotten if policy.ingress.is_some() => policy.egress = None,
        Defect::NotInNeedsTheKey => need_the_key(&mut policy.pods),
        _ => {}
    }
    let rules = policy.ingress.iter_mut().chain(&mut policy.egress).flatten();
    for rule in rules {
        spoil_rule(defect, rule);
    }
}

fn spoil_rule(defect: Defect, rule: &mut Rule) {
    if let Ports::Listed(ports) = &mut rule.ports {
        match defect {
            Defect::UdpForgotten => ports.retain(|port| port.protocol != Protocol::Udp),
            Defect::SecondPortForgotten => ports.truncate(1),
            Defect::ProtocolIgnored => {
                let others = ports.iter().filter_map(|port| {
                    let protocol = match port.protocol {
                        Protocol::Tcp => Protocol::Udp,
                        Protocol::Udp => Protocol::Tcp,
                        Protocol::Sctp => return None,
                    };
                    Some(Port { protocol, target: port.target.clone() })
                });
                let others: Vec<Port> = others.collect();
                ports.extend(others);
            }
            Defect::EndPortOffByOne => {
                for port in ports {
                    if let PortTarget::Range(first, last) = &mut port.target
                        && *first < *last
                    {
                        *last -= 1;
                    }
                }
            }
            _ => {}
        }
    }
    let Peers::Listed(peers) = &mut rule.peers else { return };
    match defect {
        Defect::SecondPeerForgotten => peers.truncate(1),
        Defect::SelectorsAsEither => {
            let either = peers.iter().filter_map(|peer| match peer {
                Peer::Pods { namespaces: NamespaceScope::Matching(_), pods }
                    if *pods != Selector::default() =>
                {
                    Some(Peer::Pods { namespaces: NamespaceScope::Own, pods: pods.clone() })
                }
                _ => None,
            });
            let either: Vec<Peer> = either.collect();
            for peer in peers.iter_mut() {
                if let Peer::Pods { namespaces: NamespaceScope::Matching(_), pods } = peer {
                    *pods = Selector::default();
                }
            }
            peers.extend(either);
        }
        _ => peers.iter_mut().for_each(|peer| spoil_peer(defect, peer)),
    }
}

fn spoil_peer(defect: Defect, peer: &mut Peer) {
    match (defect, peer) {
        (Defect::ExceptIgnored, Peer::Block(block)) => block.except.clear(),
        (Defect::BlockOneBitWide, Peer::Block(IpBlock { cidr, .. })) => *cidr = cidr.wider(),
        (Defect::NotInNeedsTheKey, Peer::Pods { namespaces, pods }) => {
            need_the_key(pods);
            if let NamespaceScope::Matching(selector) = namespaces {
                need_the_key(selector);
            }
        }
        (Defect::NeighboursEverywhere, Peer::Pods { namespaces, .. })
            if *namespaces == NamespaceScope::Own =>
        {
            *namespaces = NamespaceScope::Matching(Selector::default());
        }
        _ => {}
    }
}

fn need_the_key(selector: &mut Selector) {
    let absent = selector.expressions.iter().filter(|it| matches!(it.operator, Operator::NotIn(_)));
    let keys: Vec<String> = absent.map(|it| it.key.clone()).collect();
    selector.expressions.extend(keys.into_iter().map(|key| Expression { key, operator: Operator::Exists }));
}
