//! What of a plan does not apply here, decided before anything runs and said with its reason.

use super::Detected;
use crate::{
    engine::{PlannedScenario, Reason, ReasonKind, Risk},
    profile::Platform,
};

/// Why a scenario does not apply to this platform; none if it is to be run.
///
/// A capability that the profile claims but the cluster does not show is no excuse: the platform promises it, so
/// the scenario runs and finds the promise broken.
pub(super) fn not_applicable(
    scenario: &PlannedScenario,
    platform: &Platform,
    detected: &[Detected],
) -> Option<Reason> {
    if scenario.risk > platform.spec.risk_ceiling {
        let mut reason = Reason::new(
            ReasonKind::Capability,
            format!(
                "the profile allows risk up to `{}`, and this is `{}`",
                word(platform.spec.risk_ceiling),
                word(scenario.risk)
            ),
        );
        reason.hint = Some("raise `spec.riskCeiling` where the cluster may bear it".into());
        return Some(reason);
    }
    let missing = scenario
        .needs
        .iter()
        .find(|need| !platform.spec.capabilities.iter().any(|claimed| claimed.name() == need.as_str()))?;
    let seen = detected.iter().find(|capability| capability.name == *missing);
    let mut message = format!("the profile does not claim `{missing}`");
    if let Some(Detected { detected, probe, .. }) = seen {
        let there = match detected {
            Some(true) => ", though the cluster shows it",
            Some(false) => ", and the cluster does not show it",
            None => "; whether the cluster has it could not be told",
        };
        message.push_str(&format!("{there}: {probe}"));
    }
    let mut reason = Reason::new(ReasonKind::Capability, message);
    reason.hint = Some(format!("add `{missing}` to `spec.capabilities` if the platform promises it"));
    Some(reason)
}

const fn word(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "none",
        Risk::Load => "load",
        Risk::Fault => "fault",
    }
}
