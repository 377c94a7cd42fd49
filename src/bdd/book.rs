//! Every step definition, for matching and for people.

use cucumber::{
    codegen::{StepConstructor, WorldInventory, inventory},
    gherkin::{self, StepType},
    step,
};

use super::World;
use crate::catalog::{Match, StepMatcher, nearest};

/// One step definition, for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// `Given`, `When`, `Then`.
    pub keyword: &'static str,
    /// Its text, with `{}` for each parameter.
    pub text: String,
    /// `src/bdd/steps/network.rs:12:1`
    pub place: String,
}

/// All step definitions of the program.
#[derive(Debug)]
pub struct StepBook {
    collection: step::Collection<World>,
    definitions: Vec<Definition>,
}

impl StepBook {
    /// Collects them.
    pub fn collect() -> Self {
        let mut definitions = Vec::new();
        list::<<World as WorldInventory>::Given>("Given", &mut definitions);
        list::<<World as WorldInventory>::When>("When", &mut definitions);
        list::<<World as WorldInventory>::Then>("Then", &mut definitions);
        definitions.sort();
        Self { collection: super::step_definitions(), definitions }
    }

    /// Each, by keyword and text.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }
}

fn list<T>(keyword: &'static str, definitions: &mut Vec<Definition>)
where
    T: inventory::Collect + StepConstructor<World>,
{
    for definition in inventory::iter::<T> {
        let (place, regex, _) = definition.inner();
        definitions.push(Definition { keyword, text: readable(regex().as_str()), place: place.to_string() });
    }
}

impl StepMatcher for StepBook {
    fn find(&self, step: &gherkin::Step) -> Match {
        match self.collection.find(step) {
            Ok(Some(_)) => Match::One,
            Ok(None) => {
                let keyword = match step.ty {
                    StepType::Given => "Given",
                    StepType::When => "When",
                    StepType::Then => "Then",
                };
                let same = self.definitions.iter().filter(|definition| definition.keyword == keyword);
                let found = nearest(&step.value, same.map(|definition| definition.text.as_str()));
                Match::None { nearest: found.map(str::to_owned) }
            }
            Err(error) => Match::Many(
                error
                    .possible_matches
                    .iter()
                    .map(|(regex, place)| {
                        let text = readable(regex.as_str());
                        place.map_or_else(|| text.clone(), |place| format!("{text}  ({place})"))
                    })
                    .collect(),
            ),
        }
    }
}

/// A regular expression as people would write the step: groups become `{}`.
fn readable(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    for sign in regex.chars() {
        let was_escaped = std::mem::take(&mut escaped);
        match sign {
            '\\' if !was_escaped => escaped = true,
            '[' if !was_escaped && depth > 0 => class = true,
            ']' if !was_escaped && depth > 0 => class = false,
            '(' if !was_escaped && !class => {
                depth += 1;
                if depth == 1 {
                    out.push_str("{}");
                }
            }
            ')' if !was_escaped && !class => depth = depth.saturating_sub(1),
            '^' | '$' if !was_escaped && depth == 0 => {}
            // A group that may be missing is still one parameter.
            '?' if !was_escaped && depth == 0 && out.ends_with("{}") => {}
            _ if depth == 0 => out.push(sign),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_reads_as_it_was_written() {
        let regex = cucumber::codegen::Regex::new(
            r#"^tenants ("([^"\\]*(\\.[^"\\]*)*)"|'([^'\\]*(\\.[^'\\]*)*)') and (\d+) pods(?: now)?, \(soon\)$"#,
        )
        .unwrap();
        assert_eq!(readable(regex.as_str()), "tenants {} and {} pods{}, (soon)");
    }
}
