//! The ruleset as text for `nft -f -`: one transaction that replaces the whole table.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write};
use std::net::IpAddr;

use super::{
    Action, Base, Cidr, Direction, Family, Fate, PeerMatch, PodChain, PolicyChain, PortMatch, PortRange,
    RuleMatch, Ruleset, TABLE, TierChain,
};

/// Only replies pass without a look at the policies. Packets in the direction of the connection are judged one
/// by one, so that a change of policy also cuts connections that are already open.
///
/// The chain is there even when nobody is isolated, since connections are tracked only where a rule asks for it:
/// so those made before the first policy are known when it comes.
const REPLIES: &str = "\
\tchain replies {
\t\tct direction reply ct state established accept
\t\tct state related accept
\t}
";

impl Display for Ruleset {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // To add before deleting makes the deletion succeed also where there is no table yet.
        writeln!(f, "add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{")?;
        f.write_str(REPLIES)?;
        for (number, set) in self.address_sets.iter().enumerate() {
            let family = set.first().map_or(Family::V4, |address| Family::of(*address));
            elements(f, "set", &format!("peers-{number}"), address_type(family), "", set)?;
        }
        for (number, set) in self.port_sets.iter().enumerate() {
            let family = set.first().map_or(Family::V4, |(address, _)| Family::of(*address));
            let set = set.iter().map(|(address, port)| format!("{address} . {port}"));
            let kind = format!("{} . inet_service", address_type(family));
            elements(f, "set", &format!("ports-{number}"), &kind, "", set)?;
        }
        for (number, chain) in self.policy_chains.iter().enumerate() {
            policy_chain(f, number, chain)?;
        }
        for (number, chain) in self.tier_chains.iter().enumerate() {
            tier_chain(f, number, chain)?;
        }
        for (number, chain) in self.pod_chains.iter().enumerate() {
            pod_chain(f, number, chain)?;
        }
        for family in Family::BOTH {
            self.family_sets(f, family)?;
        }
        for direction in Direction::BOTH {
            base_chain(f, direction)?;
        }
        own_node_chain(f)?;
        f.write_str("}\n")
    }
}

impl Ruleset {
    fn family_sets(&self, f: &mut Formatter<'_>, family: Family) -> fmt::Result {
        let suffix = suffix(family);
        let kind = address_type(family);
        let ranges = self.ranges.iter().filter(|range| range.family() == family).map(Cidr::to_string);
        // Ranges may touch or overlap when the user says so.
        elements(f, "set", &format!("node-{suffix}"), kind, "flags interval; auto-merge; ", ranges)?;
        for direction in Direction::BOTH {
            let fates = self.of_family(direction, family);
            let fates = fates.iter().map(|(address, fate)| match fate {
                Fate::Open => format!("{address} : accept"),
                Fate::Judged(chain) => format!("{address} : goto pods-{chain}"),
            });
            elements(f, "map", &format!("{direction}-{suffix}"), &format!("{kind} : verdict"), "", fates)?;
        }
        Ok(())
    }

    fn of_family(&self, direction: Direction, family: Family) -> BTreeMap<IpAddr, Fate> {
        let of_family = |(address, _): &(&IpAddr, &Fate)| Family::of(**address) == family;
        self.fates(direction).iter().filter(of_family).map(|(address, fate)| (*address, *fate)).collect()
    }
}

fn base_chain(f: &mut Formatter<'_>, direction: Direction) -> fmt::Result {
    let (priority, side) = match direction {
        Direction::Egress => ("filter - 1", "saddr"),
        Direction::Ingress => ("filter", "daddr"),
    };
    writeln!(f, "\tchain {direction} {{")?;
    writeln!(f, "\t\ttype filter hook forward priority {priority}; policy accept;")?;
    if direction == Direction::Egress {
        writeln!(f, "\t\tfib saddr . iif oif missing drop comment \"forged source\"")?;
    }
    for family in Family::BOTH {
        let (ip, suffix) = (protocol(family), suffix(family));
        writeln!(f, "\t\t{ip} {side} vmap @{direction}-{suffix}")?;
        writeln!(f, "\t\t{ip} {side} @node-{suffix} drop comment \"no known pod\"")?;
    }
    writeln!(f, "\t}}")
}

/// What a pod sends to its own node is not forwarded, and yet goes out of the pod: its egress is judged here as well.
/// The node's own packets to its pods leave by another way, and only the replies to them pass here.
fn own_node_chain(f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(f, "\tchain own-node {{")?;
    writeln!(f, "\t\ttype filter hook input priority filter - 1; policy accept;")?;
    // A node talks to itself by whichever of its addresses, one of which lies in the range of its pods.
    writeln!(f, "\t\tiif lo accept")?;
    for family in Family::BOTH {
        let (ip, suffix) = (protocol(family), suffix(family));
        writeln!(f, "\t\t{ip} saddr vmap @{}-{suffix}", Direction::Egress)?;
        writeln!(f, "\t\t{ip} saddr @node-{suffix} drop comment \"no known pod\"")?;
    }
    writeln!(f, "\t}}")
}

fn policy_chain(f: &mut Formatter<'_>, number: usize, chain: &PolicyChain) -> fmt::Result {
    writeln!(f, "\tchain policy-{number} {{")?;
    writeln!(f, "\t\tcomment \"{} {}\"", chain.direction, shortened(&chain.policy))?;
    for rule in &chain.rules {
        rule_match(f, chain.direction, rule, "accept")?;
    }
    writeln!(f, "\t}}")
}

fn tier_chain(f: &mut Formatter<'_>, number: usize, chain: &TierChain) -> fmt::Result {
    writeln!(f, "\tchain tier-{number} {{")?;
    let names = format!("{} {} {}", chain.direction, chain.tier, chain.policies.join(" "));
    writeln!(f, "\t\tcomment \"{}\"", shortened(&names))?;
    for (rule, action) in &chain.rules {
        let verdict = match action {
            Action::Accept => "accept",
            Action::Deny => "counter drop",
            Action::Pass => "return",
        };
        rule_match(f, chain.direction, rule, verdict)?;
    }
    writeln!(f, "\t}}")
}

fn rule_match(f: &mut Formatter<'_>, direction: Direction, rule: &RuleMatch, verdict: &str) -> fmt::Result {
    let mut line = String::new();
    peer_match(&mut line, direction, &rule.peer)?;
    port_match(&mut line, &rule.port)?;
    writeln!(f, "\t\t{line}{verdict}")
}

fn peer_match(line: &mut String, direction: Direction, peer: &PeerMatch) -> fmt::Result {
    let side = match direction {
        Direction::Ingress => "saddr",
        Direction::Egress => "daddr",
    };
    match peer {
        PeerMatch::Any => Ok(()),
        PeerMatch::Set(family, set) => write!(line, "{} {side} @peers-{set} ", protocol(*family)),
        PeerMatch::Block(block) => {
            let ip = protocol(block.cidr.family());
            write!(line, "{ip} {side} {} ", block.cidr)?;
            // One match an exception: exceptions may overlap, elements of a set may not.
            block.except.iter().try_for_each(|except| write!(line, "{ip} {side} != {except} "))
        }
    }
}

fn port_match(line: &mut String, port: &PortMatch) -> fmt::Result {
    match port {
        PortMatch::Any => Ok(()),
        PortMatch::Ranges(protocol, ranges) if ranges.as_slice() == [PortRange::ALL] => {
            write!(line, "meta l4proto {protocol} ")
        }
        PortMatch::Ranges(protocol, ranges) => {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            match ranges.as_slice() {
                [range] => write!(line, "{protocol} dport {range} "),
                ranges => write!(line, "{protocol} dport {{ {} }} ", ranges.join(", ")),
            }
        }
        PortMatch::Named(family, transport, set) => {
            write!(line, "{} daddr . {transport} dport @ports-{set} ", protocol(*family))
        }
    }
}

fn pod_chain(f: &mut Formatter<'_>, number: usize, chain: &PodChain) -> fmt::Result {
    writeln!(f, "\tchain pods-{number} {{")?;
    writeln!(f, "\t\tcomment \"{}\"", chain.direction)?;
    writeln!(f, "\t\tjump replies")?;
    if let Some(admin) = chain.admin {
        writeln!(f, "\t\tjump tier-{admin}")?;
    }
    match &chain.base {
        Base::Policies(policies) => {
            policies.iter().try_for_each(|policy| writeln!(f, "\t\tjump policy-{policy}"))?;
            writeln!(f, "\t\tcounter drop\n\t}}")
        }
        Base::Baseline(tier) => {
            tier.iter().try_for_each(|tier| writeln!(f, "\t\tjump tier-{tier}"))?;
            writeln!(f, "\t\taccept\n\t}}")
        }
    }
}

fn elements<T: Display>(
    f: &mut Formatter<'_>,
    container: &str,
    name: &str,
    kind: &str,
    flags: &str,
    elements: impl IntoIterator<Item = T>,
) -> fmt::Result {
    let mut list = String::new();
    for element in elements {
        write!(list, "{}{element}", if list.is_empty() { "" } else { ", " })?;
    }
    let list = if list.is_empty() { list } else { format!("elements = {{ {list} }}; ") };
    writeln!(f, "\t{container} {name} {{ type {kind}; {flags}{list}}}")
}

/// Comments hold at most 128 bytes; names of objects can be longer.
fn shortened(name: &str) -> &str {
    name.get(..110).unwrap_or(name)
}

fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

fn protocol(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn suffix(family: Family) -> &'static str {
    match family {
        Family::V4 => "4",
        Family::V6 => "6",
    }
}

impl Display for PortRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}
