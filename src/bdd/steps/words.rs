//! Steps that judge attempts, whatever was tried: the verdicts that count, and the controls.

use cucumber::then;

use super::support::denials;
use crate::{
    bdd::{StepError, StepResult, World},
    probe::{Accepted, VerdictKind},
    profile::{DeniedAs, LoadedPlatform},
};

/// What a closed path looks like on this platform, by its own promise.
pub(super) fn closed(world: &World) -> Result<Accepted, StepError> {
    Ok(match world.service::<LoadedPlatform>()?.platform.spec.network.denied {
        DeniedAs::Dropped => Accepted::only(VerdictKind::Dropped),
        DeniedAs::Rejected => Accepted::only(VerdictKind::Rejected),
        DeniedAs::Either => Accepted::closed(),
    })
}

/// The verdicts that a step accepts of closed paths: those that it names, and of these only what the platform promises.
pub(super) fn closed_as(world: &World, words: &str) -> Result<Accepted, StepError> {
    let (named, promised) = (accepted(words)?, closed(world)?);
    if named != Accepted::closed() {
        // Not about the network, or stricter than any profile.
        return Ok(named);
    }
    Ok(promised)
}

/// Verdicts as a step names them: `FORBIDDEN or ADMISSION_DENIED`.
pub(super) fn accepted(words: &str) -> Result<Accepted, StepError> {
    words.parse().map_err(|error| StepError::trouble_from("read the verdicts of the step", &error))
}

#[then(regex = r"^(?:the|every) attempt is ([A-Z_]+(?:(?:, | or )[A-Z_]+)*)$")]
async fn each_is(world: &mut World, words: String) -> StepResult {
    let accepted = closed_as(world, &words)?;
    Ok(denials::each_is(world, &accepted)?)
}

#[then(regex = r#"^the same attempt was OPEN for the administrator of "[^"]+" just before and just after$"#)]
#[then("each of them was OPEN for the administrator of the cluster just before and just after")]
#[then("each of them was OPEN for the harness just before and just after")]
#[then("the same administrator could do so to an object of its own just before and just after")]
async fn each_was_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
