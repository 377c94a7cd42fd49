//! A few cases that everybody knows, between two looks at an open world.

use super::case::{Case, Stage};
use super::{Source, generate, strategy};

/// Without policies everything is open.
fn open(name: &str) -> Case {
    Case { name: name.to_owned(), stages: vec![Stage::default()] }
}

/// The classic cases and so many that are made at random, between two in which everything is open.
///
/// # Errors
/// The cases cannot be read or made, which is not expected.
pub fn classic(seed: u64, further: usize) -> Result<Source, String> {
    let mut cases = vec![open("everything open, before")];
    let known: Vec<Case> =
        serde_yaml::from_str(include_str!("classic.yaml")).map_err(|error| error.to_string())?;
    cases.extend(known);
    for number in 0..further {
        let mut case = generate(seed, number)?.current();
        case.name = format!("made at random, {}", number + 1);
        cases.push(case);
    }
    cases.push(open("everything open, after"));
    Ok(Source::Given { layout: strategy::layout(), cases })
}
