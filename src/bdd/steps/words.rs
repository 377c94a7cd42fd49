//! Steps that judge attempts, whatever was tried: the verdicts that count, and the controls.

use cucumber::then;

use super::support::denials;
use crate::{
    bdd::{StepError, StepResult, World},
    probe::Accepted,
};

/// Verdicts as a step names them: `FORBIDDEN or ADMISSION_DENIED`.
pub(super) fn accepted(words: &str) -> Result<Accepted, StepError> {
    words.parse().map_err(|error| StepError::trouble_from("read the verdicts of the step", &error))
}

#[then(regex = r"^(?:the|every) attempt is ([A-Z_]+(?:(?:, | or )[A-Z_]+)*)$")]
async fn each_is(world: &mut World, words: String) -> StepResult {
    let accepted = accepted(&words)?;
    Ok(denials::each_is(world, &accepted)?)
}

#[then(regex = r#"^the same attempt was OPEN for the administrator of "[^"]+" just before and just after$"#)]
#[then("the same administrator could do so to an object of its own just before and just after")]
async fn each_was_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
