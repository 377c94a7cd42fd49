//! Denials between a When step, which tries, and the Then steps, which judge.

use crate::{
    bdd::{StepError, World},
    engine::{Reason, ReasonKind},
    probe::{Accepted, Attempt, Denial, NotDenied},
};

/// How many deviations a reason lists one by one.
const LISTED: usize = 20;

/// One attempt that ought to be denied, between its controls.
#[derive(Clone, Debug)]
pub struct Sandwich {
    /// The control before.
    pub before: Attempt,
    /// The attempt.
    pub attempt: Attempt,
    /// The control after.
    pub after: Attempt,
}

/// What the When step tried.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    sandwiches: Vec<Sandwich>,
    accepted: Option<Accepted>,
}

impl Tried {
    /// These attempts.
    pub fn of(sandwiches: Vec<Sandwich>) -> Self {
        Self { sandwiches, accepted: None }
    }
}

/// A Then step names the verdicts that count as a denial. It fails on what got through or was refused in another way;
/// whether a refusal proves anything is for [`each_was_open`] to say.
pub fn each_is(world: &mut World, accepted: &Accepted) -> Result<(), StepError> {
    let tried = world.slots.require::<Tried>("attempts")?;
    for sandwich in &tried.sandwiches {
        world.record(sandwich.attempt.to_evidence(accepted, None));
    }
    each_is_without_evidence(world, accepted)
}

/// As [`each_is`], where the evidence is a matrix rather than one piece an attempt.
pub fn each_is_without_evidence(world: &mut World, accepted: &Accepted) -> Result<(), StepError> {
    let tried = world.slots.require_mut::<Tried>("attempts")?;
    if tried.sandwiches.is_empty() {
        return Err(StepError::trouble("nothing was tried, so nothing was denied"));
    }
    tried.accepted = Some(accepted.clone());
    let tried = tried.clone();
    settle(tried.sandwiches.into_iter().filter_map(|sandwich| match judge(sandwich, accepted) {
        Err(NotDenied::NoControl { .. } | NotDenied::Unrelated { .. }) | Ok(_) => None,
        Err(no) => Some(no),
    }))
}

/// The Then step that names the control: every denial must be proven by it.
pub fn each_was_open(world: &mut World) -> Result<(), StepError> {
    for denial in prove(world)? {
        let accepted = Accepted::only(denial.attempt().verdict.kind());
        let [before, _, after] = denial.to_evidence(&accepted);
        world.record(before);
        world.record(after);
    }
    Ok(())
}

/// As [`each_was_open`], where the evidence is a matrix rather than one piece an attempt.
pub fn each_was_open_without_evidence(world: &mut World) -> Result<(), StepError> {
    prove(world).map(drop)
}

fn prove(world: &World) -> Result<Vec<Denial>, StepError> {
    let tried = world.slots.require::<Tried>("attempts")?.clone();
    let Some(accepted) = tried.accepted else {
        return Err(StepError::trouble("no earlier step says which verdicts count as a denial"));
    };
    let mut wrong = Vec::new();
    let mut proven = Vec::new();
    for sandwich in tried.sandwiches {
        match judge(sandwich, &accepted) {
            Ok(denial) => proven.push(denial),
            Err(no) => wrong.push(no),
        }
    }
    settle(wrong)?;
    Ok(proven)
}

fn judge(sandwich: Sandwich, accepted: &Accepted) -> Result<Denial, NotDenied> {
    Denial::prove(sandwich.before, sandwich.attempt, sandwich.after, accepted)
}

/// One reason for all of them: a broken promise outweighs a denial that could not be judged.
fn settle(wrong: impl IntoIterator<Item = NotDenied>) -> Result<(), StepError> {
    let mut wrong: Vec<_> = wrong.into_iter().collect();
    wrong.sort_by_key(|no| !no.is_failure());
    let Some(first) = wrong.first() else { return Ok(()) };
    Err(summarised(first.reason_kind(), wrong.iter().map(ToString::to_string).collect()))
}

/// A reason with the first deviation as its sentence and the others as details, bounded in number.
pub fn summarised(kind: ReasonKind, deviations: Vec<String>) -> StepError {
    let count = deviations.len();
    let mut deviations = deviations.into_iter();
    let mut message = deviations.next().unwrap_or_else(|| "nothing to report".to_owned());
    if count > 1 {
        message = format!("{message} (and {} more like it)", count - 1);
    }
    let error = StepError::from(Reason::new(kind, message)).details(deviations.by_ref().take(LISTED));
    match deviations.count() {
        0 => error,
        rest => error.details([format!("... and {rest} more")]),
    }
}

/// The attempts that the When step made, without their controls.
pub fn attempts(world: &World) -> Result<Vec<Attempt>, StepError> {
    let tried = world.slots.require::<Tried>("attempts")?;
    Ok(tried.sandwiches.iter().map(|sandwich| sandwich.attempt.clone()).collect())
}
