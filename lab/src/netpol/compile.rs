//! The compiler: a snapshot of the cluster and a node's view of it, to the node's rules. Pure.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::net::IpAddr;

use super::{
    Base, Cidr, ClusterPolicy, Direction, Family, Fate, Labels, NamespaceScope, Peer, PeerMatch, Peers, Pod,
    PodChain, Policy, PolicyChain, PortMatch, PortRange, PortTarget, Ports, Protocol, Rule, RuleMatch,
    Ruleset, Selector, Snapshot, Tier, TierChain,
};

/// The label that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The node that rules are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// Its name, as in `spec.nodeName`.
    pub name: String,
    /// Where its pods get their addresses.
    pub pod_ranges: Vec<Cidr>,
}

/// Makes the rules of one node.
///
/// The result depends on the content of the snapshot alone, not on its order, so equal rulesets
/// mean that nothing need be done.
pub fn compile(snapshot: &Snapshot, node: &NodeView) -> Ruleset {
    let cluster = Cluster::new(snapshot);
    let local: Vec<LocalPod<'_>> = cluster
        .pods
        .iter()
        .filter(|(pod, _)| pod.node.as_deref() == Some(node.name.as_str()))
        .map(|(pod, addresses)| LocalPod { pod, addresses: addresses.clone() })
        .collect();
    let mut policies: Vec<&Policy> = snapshot.policies.iter().collect();
    policies.sort_by_key(|policy| (&policy.namespace, &policy.name));
    // Which of two with the same priority is asked first is left open; here the name decides.
    let mut wide: Vec<&ClusterPolicy> = snapshot.cluster_policies.iter().collect();
    wide.sort_by_key(|policy| (policy.priority, &policy.name));

    let mut compiler =
        Compiler { cluster, ruleset: Ruleset::closed(node.pod_ranges.clone()), ..Compiler::default() };
    for direction in Direction::BOTH {
        compiler.direction(direction, &local, &policies, &wide);
    }
    compiler.ruleset.address_sets = compiler.address_sets.into_items();
    compiler.ruleset.port_sets = compiler.port_sets.into_items();
    compiler.ruleset
}

struct LocalPod<'a> {
    pod: &'a Pod,
    addresses: Vec<IpAddr>,
}

/// The cluster, indexed for look-ups.
#[derive(Default)]
struct Cluster<'a> {
    /// Pods with a network of their own, sorted, with the addresses that are theirs beyond doubt.
    pods: Vec<(&'a Pod, Vec<IpAddr>)>,
    /// Indices into `pods`.
    by_namespace: BTreeMap<&'a str, Vec<usize>>,
    namespaces: BTreeMap<&'a str, &'a Labels>,
}

impl<'a> Cluster<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let mut claims: HashMap<IpAddr, usize> = HashMap::new();
        let live = || snapshot.pods.iter().filter(|pod| pod.has_own_network());
        for pod in live() {
            for address in pod.addresses.iter().collect::<BTreeSet<_>>() {
                *claims.entry(*address).or_default() += 1;
            }
        }
        // An address that two pods claim (one of them not yet known to be gone) is nobody's: to give
        // it to either could open one of them by the other's rules.
        let own = |pod: &Pod| -> Vec<IpAddr> {
            let unique: BTreeSet<IpAddr> = pod.addresses.iter().copied().collect();
            unique.into_iter().filter(|address| claims[address] == 1).collect()
        };
        let mut pods: Vec<(&Pod, Vec<IpAddr>)> = live().map(|pod| (pod, own(pod))).collect();
        pods.sort_by_key(|(pod, _)| (&pod.namespace, &pod.name, &pod.uid));
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, (pod, _)) in pods.iter().enumerate() {
            by_namespace.entry(pod.namespace.as_str()).or_default().push(index);
        }
        let namespaces = snapshot.namespaces.iter().map(|ns| (ns.name.as_str(), &ns.labels)).collect();
        Self { pods, by_namespace, namespaces }
    }

    /// Addresses of the pods of one namespace that a selector matches.
    fn select(&self, namespace: &str, pods: &Selector, into: &mut BTreeSet<IpAddr>) {
        for index in self.by_namespace.get(namespace).into_iter().flatten() {
            let (pod, addresses) = &self.pods[*index];
            if pods.matches(&pod.labels) {
                into.extend(addresses);
            }
        }
    }
}

/// Numbers things by their content: equal ones get the same number.
struct Interner<T> {
    numbers: HashMap<T, usize>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    fn number(&mut self, item: T) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(item).or_insert(next)
    }

    fn into_items(self) -> Vec<T> {
        let mut items: Vec<(T, usize)> = self.numbers.into_iter().collect();
        items.sort_by_key(|(_, number)| *number);
        items.into_iter().map(|(item, _)| item).collect()
    }
}

/// Key of a resolved pod peer: the policy's namespace only where it matters.
type SelectorKey<'a> = (Option<&'a str>, &'a NamespaceScope, &'a Selector);

#[derive(Default)]
struct Compiler<'a> {
    cluster: Cluster<'a>,
    ruleset: Ruleset,
    address_sets: Interner<BTreeSet<IpAddr>>,
    port_sets: Interner<BTreeSet<(IpAddr, u16)>>,
    resolved: BTreeMap<SelectorKey<'a>, BTreeSet<IpAddr>>,
    named: HashMap<(Protocol, &'a str), BTreeSet<(IpAddr, u16)>>,
}

impl<'a> Compiler<'a> {
    fn direction(
        &mut self,
        direction: Direction,
        local: &[LocalPod<'_>],
        policies: &[&'a Policy],
        wide: &[&'a ClusterPolicy],
    ) {
        // Which policies isolate each local pod; those without a local pod are never looked into.
        let mut isolating: Vec<Vec<usize>> = vec![Vec::new(); local.len()];
        let mut used: HashSet<usize> = HashSet::new();
        for (number, policy) in policies.iter().enumerate() {
            if policy.rules(direction).is_none() {
                continue;
            }
            for (index, LocalPod { pod, .. }) in local.iter().enumerate() {
                if pod.namespace == policy.namespace && policy.pods.matches(&pod.labels) {
                    isolating[index].push(number);
                    used.insert(number);
                }
            }
        }

        let mut chains: HashMap<usize, usize> = HashMap::new();
        for (number, policy) in policies.iter().enumerate().filter(|(number, _)| used.contains(number)) {
            let rules: Vec<RuleMatch> = policy
                .rules(direction)
                .unwrap_or_default()
                .iter()
                .flat_map(|rule| self.rule(&policy.namespace, rule))
                .collect();
            if !rules.is_empty() {
                chains.insert(number, self.ruleset.policy_chains.len());
                let policy = format!("{}/{}", policy.namespace, policy.name);
                self.ruleset.policy_chains.push(PolicyChain { direction, policy, rules });
            }
        }

        let mut tiers: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut shared: HashMap<(Option<usize>, Base), usize> = HashMap::new();
        for (pod, isolating) in local.iter().zip(isolating) {
            let admin = self.tier(Tier::Admin, direction, pod.pod, wide, &mut tiers);
            let base = if isolating.is_empty() {
                Base::Baseline(self.tier(Tier::Baseline, direction, pod.pod, wide, &mut tiers))
            } else {
                Base::Policies(isolating.iter().filter_map(|number| chains.get(number).copied()).collect())
            };
            let fate = if admin.is_none() && base == Base::Baseline(None) {
                Fate::Open
            } else {
                Fate::Judged(match shared.entry((admin, base)) {
                    Entry::Occupied(entry) => *entry.get(),
                    Entry::Vacant(entry) => {
                        let (admin, base) = entry.key().clone();
                        self.ruleset.pod_chains.push(PodChain { direction, admin, base });
                        *entry.insert(self.ruleset.pod_chains.len() - 1)
                    }
                })
            };
            let fates = match direction {
                Direction::Ingress => &mut self.ruleset.ingress,
                Direction::Egress => &mut self.ruleset.egress,
            };
            fates.extend(pod.addresses.iter().map(|address| (*address, fate)));
        }
    }

    /// The chain of the policies of one tier that select a pod and have rules of this direction, if there are any.
    fn tier(
        &mut self,
        tier: Tier,
        direction: Direction,
        pod: &Pod,
        wide: &[&'a ClusterPolicy],
        known: &mut HashMap<Vec<usize>, usize>,
    ) -> Option<usize> {
        // Of a namespace that is not yet heard of, only the name is known.
        let named = Labels::from([(NAMESPACE_NAME.to_owned(), pod.namespace.clone())]);
        let labels = self.cluster.namespaces.get(pod.namespace.as_str()).copied().unwrap_or(&named);
        let selecting = |policy: &ClusterPolicy| {
            policy.tier == tier
                && !policy.rules(direction).is_empty()
                && policy.namespaces.matches(labels)
                && policy.pods.matches(&pod.labels)
        };
        let numbers: Vec<usize> = wide
            .iter()
            .enumerate()
            .filter(|(_, policy)| selecting(policy))
            .map(|(number, _)| number)
            .collect();
        if numbers.is_empty() {
            return None;
        }
        if let Some(chain) = known.get(&numbers) {
            return Some(*chain);
        }
        let mut rules = Vec::new();
        for rule in numbers.iter().flat_map(|number| wide[*number].rules(direction)) {
            // Peers of the whole cluster name their namespaces: there is none of its own.
            rules.extend(self.rule("", &rule.rule).into_iter().map(|matched| (matched, rule.action)));
        }
        let policies = numbers.iter().map(|number| wide[*number].name.clone()).collect();
        self.ruleset.tier_chains.push(TierChain { direction, tier, policies, rules });
        known.insert(numbers, self.ruleset.tier_chains.len() - 1);
        Some(self.ruleset.tier_chains.len() - 1)
    }

    fn rule(&mut self, namespace: &'a str, rule: &'a Rule) -> Vec<RuleMatch> {
        let peers = self.peers(namespace, &rule.peers);
        let ports = self.ports(&rule.ports);
        let mut matches = Vec::with_capacity(peers.len() * ports.len());
        for peer in &peers {
            for port in &ports {
                let mixed = peer.family().zip(port.family()).is_some_and(|(peer, port)| peer != port);
                if !mixed {
                    matches.push(RuleMatch { peer: peer.clone(), port: port.clone() });
                }
            }
        }
        matches
    }

    fn peers(&mut self, namespace: &'a str, peers: &'a Peers) -> Vec<PeerMatch> {
        let Peers::Listed(peers) = peers else { return vec![PeerMatch::Any] };
        let mut matches = Vec::new();
        // All pods that a rule names make one set, so that a rule costs one look-up.
        let mut pods_of_rule = BTreeSet::new();
        for peer in peers {
            match peer {
                Peer::Block(block) => matches.push(PeerMatch::Block(block.clone())),
                Peer::Pods { namespaces, pods } => {
                    pods_of_rule.extend(self.resolve(namespace, namespaces, pods));
                }
            }
        }
        for family in Family::BOTH {
            let set: BTreeSet<IpAddr> =
                pods_of_rule.iter().filter(|address| Family::of(**address) == family).copied().collect();
            if !set.is_empty() {
                matches.push(PeerMatch::Set(family, self.address_sets.number(set)));
            }
        }
        matches
    }

    fn resolve(
        &mut self,
        namespace: &'a str,
        scope: &'a NamespaceScope,
        pods: &'a Selector,
    ) -> &BTreeSet<IpAddr> {
        let Self { cluster, resolved, .. } = self;
        let own = matches!(scope, NamespaceScope::Own).then_some(namespace);
        resolved.entry((own, scope, pods)).or_insert_with(|| {
            let mut addresses = BTreeSet::new();
            match scope {
                NamespaceScope::Own => cluster.select(namespace, pods, &mut addresses),
                NamespaceScope::Matching(selector) => {
                    for (name, _) in cluster.namespaces.iter().filter(|(_, labels)| selector.matches(labels))
                    {
                        cluster.select(name, pods, &mut addresses);
                    }
                }
            }
            addresses
        })
    }

    fn ports(&mut self, ports: &'a Ports) -> Vec<PortMatch> {
        let Ports::Listed(ports) = ports else { return vec![PortMatch::Any] };
        let mut ranges: BTreeMap<Protocol, Vec<PortRange>> = BTreeMap::new();
        let mut names: BTreeSet<(Protocol, &'a str)> = BTreeSet::new();
        for port in ports {
            match &port.target {
                PortTarget::Any => ranges.entry(port.protocol).or_default().push(PortRange::ALL),
                PortTarget::Range(first, last) => {
                    ranges.entry(port.protocol).or_default().push(PortRange { first: *first, last: *last });
                }
                PortTarget::Named(name) => {
                    names.insert((port.protocol, name));
                }
            }
        }
        let mut matches: Vec<PortMatch> = ranges
            .into_iter()
            .map(|(protocol, ranges)| (protocol, merge(ranges)))
            .filter(|(_, ranges)| !ranges.is_empty())
            .map(|(protocol, ranges)| PortMatch::Ranges(protocol, ranges))
            .collect();
        for (protocol, name) in names {
            for family in Family::BOTH {
                let set = self.named(protocol, name, family);
                if !set.is_empty() {
                    matches.push(PortMatch::Named(family, protocol, self.port_sets.number(set)));
                }
            }
        }
        matches
    }

    /// Address and number of the ports of this name. A name is looked up in the destination, which is
    /// any pod on egress, and on ingress the selected pod: every pod has its own entry in the set.
    fn named(&mut self, protocol: Protocol, name: &'a str, family: Family) -> BTreeSet<(IpAddr, u16)> {
        let Self { cluster, named, .. } = self;
        let all = named.entry((protocol, name)).or_insert_with(|| {
            let mut set = BTreeSet::new();
            for (pod, addresses) in &cluster.pods {
                for port in pod.ports.iter().filter(|port| port.protocol == protocol && port.name == name) {
                    set.extend(addresses.iter().map(|address| (*address, port.number)));
                }
            }
            set
        });
        all.iter().filter(|(address, _)| Family::of(*address) == family).copied().collect()
    }
}

/// Sorts ranges and joins those that touch or overlap; drops reversed ones.
fn merge(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.retain(|range| range.first <= range.last);
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                last.last = last.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}
