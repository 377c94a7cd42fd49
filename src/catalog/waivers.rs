//! Waivers against the catalog: one that names what there is not would never be noticed otherwise, since nothing of it
//! is ever judged.

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Catalog, Code, Finding, Source, nearest, suite::span};
use crate::profile::glob_matches;

/// As much of a profile as is needed to know where its waivers stand. That it is a profile has been checked before.
#[derive(Deserialize)]
struct Profile {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    waivers: Vec<Waiver>,
}

#[derive(Deserialize)]
struct Waiver {
    requirement: Option<Spanned<String>>,
    scenario: Option<Spanned<String>>,
}

/// Waivers of a profile whose requirement or scenario there is not, by the profile's file and text.
pub fn waivers(catalog: &Catalog, file: &str, text: &str) -> Vec<Finding> {
    let options = serde_saphyr::options! { with_snippet: false };
    let Ok(profile) = serde_saphyr::from_str_with_options::<Profile>(text, options) else {
        return Vec::new();
    };
    let source = Source::new(file, file, text);
    let find = |word: &Spanned<String>, message: String| {
        Finding::new(Code::UnknownWaived, &source, span(&source, word.defined), message)
    };
    // What a feature holds that cannot be read, nobody knows; lint says so where it is.
    let all_read = catalog.findings().iter().all(|finding| finding.code != Code::Syntax);
    let mut findings = Vec::new();
    for waiver in &profile.spec.waivers {
        if let Some(id) = &waiver.requirement
            && catalog.requirements().get(&id.value).is_none()
        {
            let known = catalog.requirements().iter().map(|requirement| requirement.id.as_str());
            let finding = find(id, format!("a waiver of an unknown requirement: `{}`", id.value));
            findings.push(finding.did_you_mean(nearest(&id.value, known)));
        }
        if let Some(pattern) = &waiver.scenario
            && all_read
            && !catalog.scenarios().any(|scenario| glob_matches(&pattern.value, &scenario.planned.id.0))
        {
            let known = catalog.scenarios().map(|scenario| scenario.planned.id.0.as_str());
            let finding =
                find(pattern, format!("a waiver of no scenario: nothing matches `{}`", pattern.value));
            findings.push(match nearest(&pattern.value, known) {
                Some(id) => finding.help(format!("did you mean `{id}`?")),
                None => finding.help(
                    "`plimsoll list scenarios -o name` shows them; your own are among them with --features DIR",
                ),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Requirements;

    #[test]
    fn a_waiver_of_what_there_is_not_has_its_place() {
        let requirements =
            Requirements::parse("- { id: NET-02, level: must, promise: apart, source: Network }").unwrap();
        let feature = "@NET-02 @must\nFeature: Apart\n\n  Scenario: closed\n    Then toy: nothing\n";
        let source = Source::new("features/apart.feature", "apart", feature);
        let catalog = Catalog::from_sources(requirements, vec![source], Vec::new(), Vec::new());
        let text = "spec:\n  waivers:\n    - requirement: NET-20\n    - requirement: NET-02\n    - scenario: apart/*\n    \
                    - scenario: apart/clsoed\n    - scenario: other/*\n";
        let found = waivers(&catalog, "platform.yaml", text);
        let places: Vec<_> = found.iter().map(|one| (one.line, one.column, one.help.as_deref())).collect();
        let list =
            "`plimsoll list scenarios -o name` shows them; your own are among them with --features DIR";
        assert_eq!(
            places,
            [
                (3, 20, Some("did you mean `NET-02`?")),
                (6, 17, Some("did you mean `apart/closed`?")),
                (7, 17, Some(list)),
            ]
        );
        assert!(waivers(&catalog, "@lab", crate::profile::LAB_PROFILE).is_empty());
    }
}
