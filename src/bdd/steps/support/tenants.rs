//! The tenants of a scenario, and who acts for them.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use super::api::Actor;
use super::denials::summarised;
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{ComparisonRow, Evidence, EvidenceBody, ReasonKind},
};

/// A role of a tenant, as features call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(name = "role", regex = "administrator|viewer")]
pub enum Role {
    /// Runs the tenant.
    Administrator,
    /// May look only.
    Viewer,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "administrator" => Ok(Self::Administrator),
            "viewer" => Ok(Self::Viewer),
            _ => Err(format!("`{word}` is no role; the roles are administrator and viewer")),
        }
    }
}

/// Evidence of compared values, and a failure that names each that does not hold.
pub fn all_hold(world: &World, title: &str, rows: Vec<ComparisonRow>) -> StepResult {
    let wrong: Vec<_> = rows
        .iter()
        .filter(|row| !row.holds)
        .map(|row| format!("expected {} to be {}, saw {}", row.name, row.expected, row.seen))
        .collect();
    world.record(Evidence { title: title.to_owned(), body: EvidenceBody::Comparison { rows } });
    if wrong.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, wrong).into()) }
}
