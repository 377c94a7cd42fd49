//! What a quota ought to say and to do.

use std::collections::BTreeMap;

use super::Quantity;
use crate::engine::ComparisonRow;

/// What a tenant could exhaust. TEN-02 wants a limit on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuotaFamily {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Pods.
    Pods,
    /// Storage that is claimed.
    Storage,
    /// Services.
    Services,
    /// Services of type `LoadBalancer`.
    LoadBalancers,
    /// Services of type `NodePort`.
    NodePorts,
}

impl QuotaFamily {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Cpu,
        Self::Memory,
        Self::Pods,
        Self::Storage,
        Self::Services,
        Self::LoadBalancers,
        Self::NodePorts,
    ];

    /// The word of features and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pods => "pods",
            Self::Storage => "storage",
            Self::Services => "services",
            Self::LoadBalancers => "load balancers",
            Self::NodePorts => "node ports",
        }
    }

    /// The keys any of which limits it. Whole keys: `services.nodeports` does not limit services.
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["requests.cpu", "cpu"],
            Self::Memory => &["requests.memory", "memory"],
            Self::Pods => &["pods", "count/pods"],
            Self::Storage => &["requests.storage"],
            Self::Services => &["services", "count/services"],
            Self::LoadBalancers => &["services.loadbalancers"],
            Self::NodePorts => &["services.nodeports"],
        }
    }

    /// The family of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.word() == word)
    }
}

/// One limit with what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The most.
    pub hard: Quantity,
    /// What is used up.
    pub used: Quantity,
}

impl Limit {
    /// How many more objects of this size are admitted.
    pub fn room(self, each: Quantity) -> Option<u64> {
        (self.hard - self.used).holds(each)
    }
}

/// Compares promised with real limits key by key: neither a key too few nor one too many is right.
pub fn compare_limits(
    promised: &BTreeMap<String, String>,
    seen: &BTreeMap<String, String>,
) -> Vec<ComparisonRow> {
    let mut rows: Vec<_> = promised
        .iter()
        .map(|(key, expected)| {
            let seen = seen.get(key);
            let holds = seen.is_some_and(|seen| same_amount(expected, seen));
            row(key, expected.clone(), seen.cloned().unwrap_or_else(|| "no limit".into()), holds)
        })
        .collect();
    rows.extend(
        seen.iter()
            .filter(|(key, _)| !promised.contains_key(*key))
            .map(|(key, seen)| row(key, "no limit".into(), seen.clone(), false)),
    );
    rows
}

fn row(name: &str, expected: String, seen: String, holds: bool) -> ComparisonRow {
    ComparisonRow { name: name.to_owned(), expected, seen, holds }
}

/// `1` and `1000m` are the same amount; texts that are no quantities must be equal as they stand.
fn same_amount(one: &str, other: &str) -> bool {
    match (one.parse::<Quantity>(), other.parse::<Quantity>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn limits_are_compared_key_by_key_and_by_amount() {
        let promised = map(&[("requests.cpu", "1"), ("services", "5"), ("pods", "10")]);
        let seen = map(&[("requests.cpu", "1000m"), ("services.nodeports", "5"), ("pods", "11")]);
        let rows = compare_limits(&promised, &seen);
        let text: Vec<_> = rows
            .iter()
            .map(|row| format!("{}: {} {} {}", row.name, row.expected, row.seen, row.holds))
            .collect();
        assert_eq!(
            text,
            [
                "pods: 10 11 false",
                "requests.cpu: 1 1000m true",
                "services: 5 no limit false",
                "services.nodeports: no limit 5 false",
            ]
        );
    }

    #[test]
    fn room_is_what_is_left() {
        let limit = Limit { hard: Quantity::whole(10), used: Quantity::whole(3) };
        assert_eq!(limit.room(Quantity::whole(2)), Some(3));
        let over = Limit { hard: Quantity::whole(1), used: Quantity::whole(3) };
        assert_eq!(over.room(Quantity::whole(1)), Some(0));
    }
}
