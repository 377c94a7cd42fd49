//! Which paths of the three-tier workload are open: web calls api, api calls db, and nothing else.

use std::{fmt, str::FromStr};

/// A tier of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Takes the requests.
    Web,
    /// Serves web.
    Api,
    /// Serves api.
    Db,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Web, Self::Api, Self::Db];

    /// The word in labels, names and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
            Self::Db => "db",
        }
    }

    /// The tier that this one calls.
    pub const fn calls(self) -> Option<Self> {
        match self {
            Self::Web => Some(Self::Api),
            Self::Api => Some(Self::Db),
            Self::Db => None,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.word() == word)
            .ok_or_else(|| format!("`{word}` is no tier; the tiers are web, api and db"))
    }
}

/// Where an end of a path is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The tenant.
    pub tenant: String,
    /// The tier, or none for a pod that is of no tier.
    pub tier: Option<Tier>,
}

/// What is promised of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathExpectation {
    /// A tenant declared it.
    Declared,
    /// Inside a tenant, and not declared: closed.
    ClosedInside,
    /// Between tenants: closed.
    ClosedBetween,
    /// From a pod to itself: no promise of anybody.
    Itself,
}

/// What is promised of the path from one place to another.
pub fn expected_path(from: &Place, to: &Place) -> PathExpectation {
    if from.tenant != to.tenant {
        PathExpectation::ClosedBetween
    } else if from == to && from.tier.is_some() {
        PathExpectation::Itself
    } else if from.tier.and_then(Tier::calls).is_some_and(|called| to.tier == Some(called)) {
        PathExpectation::Declared
    } else {
        PathExpectation::ClosedInside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tenant: &str, tier: Option<Tier>) -> Place {
        Place { tenant: tenant.into(), tier }
    }

    #[test]
    fn two_tenants_have_four_declared_paths_of_thirty_six() {
        let places: Vec<_> = ["alpha", "bravo"]
            .iter()
            .flat_map(|tenant| Tier::ALL.map(|tier| place(tenant, Some(tier))))
            .collect();
        let mut counts = [0; 4];
        for from in &places {
            for to in &places {
                counts[match expected_path(from, to) {
                    PathExpectation::Declared => 0,
                    PathExpectation::ClosedInside => 1,
                    PathExpectation::ClosedBetween => 2,
                    PathExpectation::Itself => 3,
                }] += 1;
            }
        }
        assert_eq!(counts, [4, 8, 18, 6]);
    }

    #[test]
    fn a_pod_of_no_tier_calls_nobody() {
        let stray = place("alpha", None);
        assert_eq!(expected_path(&stray, &place("alpha", Some(Tier::Api))), PathExpectation::ClosedInside);
        assert_eq!(expected_path(&place("alpha", Some(Tier::Web)), &stray), PathExpectation::ClosedInside);
    }
}
