//! Which paths between workloads ought to be open: those that a tenant declares, and nothing else.

use crate::tenant::{DeclaredPath, Protocol, Tier};

/// An end of a path.
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
    /// The tenant declared it: open.
    Declared,
    /// Inside a tenant, and not declared: closed.
    ClosedInside,
    /// Between tenants: closed.
    ClosedBetween,
    /// From a pod to itself: no promise of anybody.
    Itself,
}

/// What is promised of the path from one place to another, if the tenants have declared these paths.
pub fn expected_path(
    declared: &[DeclaredPath],
    from: &Place,
    to: &Place,
    port: u16,
    protocol: Protocol,
) -> PathExpectation {
    if from.tenant != to.tenant {
        return PathExpectation::ClosedBetween;
    }
    let (Some(caller), Some(called)) = (from.tier, to.tier) else {
        return PathExpectation::ClosedInside;
    };
    if caller == called {
        PathExpectation::Itself
    } else if declared.contains(&DeclaredPath { from: caller, to: called, port, protocol }) {
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

    fn expected(from: &Place, to: &Place, port: u16, protocol: Protocol) -> PathExpectation {
        expected_path(&DeclaredPath::THREE_TIER, from, to, port, protocol)
    }

    #[test]
    fn two_tenants_have_six_declared_paths() {
        let places: Vec<_> = ["alpha", "bravo"]
            .iter()
            .flat_map(|tenant| Tier::ALL.map(|tier| place(tenant, Some(tier))))
            .collect();
        let mut counts = [0; 4];
        for (from, to) in places.iter().flat_map(|from| places.iter().map(move |to| (from, to))) {
            for (port, protocol) in [8080, 9090]
                .iter()
                .flat_map(|port| [Protocol::Tcp, Protocol::Udp].map(|protocol| (*port, protocol)))
            {
                counts[match expected(from, to, port, protocol) {
                    PathExpectation::Declared => 0,
                    PathExpectation::ClosedInside => 1,
                    PathExpectation::ClosedBetween => 2,
                    PathExpectation::Itself => 3,
                }] += 1;
            }
        }
        assert_eq!(counts, [6, 42, 72, 24]);
    }

    #[test]
    fn a_pod_of_no_tier_calls_nobody_and_is_called_by_nobody() {
        let stray = place("alpha", None);
        for other in [Some(Tier::Api), None] {
            let other = place("alpha", other);
            assert_eq!(expected(&stray, &other, 8080, Protocol::Tcp), PathExpectation::ClosedInside);
            assert_eq!(expected(&other, &stray, 8080, Protocol::Tcp), PathExpectation::ClosedInside);
        }
    }
}
