//! Features as people get them wrong, and what lint says.

use cucumber::gherkin;
use miette::{GraphicalReportHandler, GraphicalTheme};

use super::*;
use crate::{
    bdd::{Polarity, StepPolarity},
    engine::{Risk, Selection},
};

/// Fits everything but steps that say otherwise.
struct Toy;

impl StepMatcher for Toy {
    fn find(&self, step: &gherkin::Step) -> Match {
        if step.value.contains("undefined") {
            Match::None { nearest: Some("every path between tenants is {}".into()) }
        } else if step.value.contains("ambiguous") {
            Match::Many(vec!["a {}  (src/a.rs:1:1)".into(), "an {}  (src/b.rs:2:1)".into()])
        } else {
            Match::One
        }
    }
}

fn requirements() -> Requirements {
    Requirements::parse(
        "
- { id: NET-02, level: must, promise: no tenant reaches another, source: Network }
- { id: TEN-05, level: should, promise: a tenant at its limit does not slow others, source: Tenancy }
",
    )
    .unwrap()
}

fn catalog(features: &[(&str, &str)], suites: &[(&str, &str)]) -> Catalog {
    let feature = |(stem, text): &(&str, &str)| Source::new(format!("features/{stem}.feature"), *stem, *text);
    let suite =
        |(stem, text): &(&str, &str)| Source::new(format!("scenarios/suites/{stem}.yaml"), *stem, *text);
    Catalog::from_sources(
        requirements(),
        features.iter().map(feature).collect(),
        suites.iter().map(suite).collect(),
        Vec::new(),
    )
}

fn found(catalog: &Catalog) -> Vec<Finding> {
    let table = [StepPolarity { text: "^the limit is reached first$", polarity: Polarity::Controls }];
    let mut findings = lint(catalog, &Toy, &Denials::new(&table).unwrap());
    findings.retain(|finding| finding.code != Code::UnprovenRequirement);
    findings
}

fn shown(catalog: &Catalog) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .with_links(false);
    render(&found(catalog), &handler)
}

fn codes(text: &str) -> Vec<&'static str> {
    found(&catalog(&[("x", text)], &[])).iter().map(|finding| finding.code.id()).collect()
}

const SOUND: &str = r#"@NET-02 @must @risk-none
Feature: Tenants apart

  Background:
    Given tenants "alpha" and "bravo"

  Scenario: Every path is closed
    When every workload tries every other
    Then every path is DROPPED
    And each was OPEN for the control tenant just before and just after

  @slow
  Scenario Outline: A <kind> cannot be made
    When a <kind> is made
    Then the attempt is FORBIDDEN
    And the limit is reached first

    Examples:
      | kind |
      # comments move the rows down
      | pod  |

      | job  |

    @serial
    Examples: more
      | kind |
      | cron |

  Rule: Under a rule
    Background:
      Given a third tenant

    @lock-dns @deadline-5m @needs-dns
    Scenario: A rule's scenario
      Then something is so
"#;

#[test]
fn a_sound_feature_has_no_finding() {
    assert_eq!(shown(&catalog(&[("network/apart", SOUND)], &[])), "");
}

#[test]
fn a_feature_becomes_scenarios_with_ids_lines_and_inherited_tags() {
    let catalog = catalog(&[("network/apart", SOUND)], &[]);
    let planned: Vec<_> = catalog.scenarios().map(|scenario| &scenario.planned).collect();
    insta::assert_yaml_snapshot!(planned);
}

#[test]
fn cucumber_gets_the_scenarios_of_the_plan_and_no_others() {
    let catalog = catalog(&[("network/apart", SOUND), ("network/other", "@NET-02\nFeature: f\n")], &[]);
    let selection = Selection { tags: Some("@serial or @lock-dns".into()), ..Selection::default() };
    let plan = catalog.plan(&PlanRequest { selection, deadline: std::time::Duration::from_mins(1) }).unwrap();
    let features = catalog.gherkin(&plan);
    assert_eq!(features.len(), 1);
    assert_eq!(features[0].scenarios.len(), 1);
    assert_eq!(features[0].scenarios[0].name, "A cron cannot be made");
    assert_eq!(features[0].rules.len(), 1);
    assert_eq!(
        plan.scenarios.iter().map(|planned| planned.deadline_ms).collect::<Vec<_>>(),
        [60_000, 300_000]
    );
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let wrong = r#"@NET-02 @must @risk-none @risk-load
Feature: Wrong in many ways

  Scenario: Steps
    Given an undefined step
    And something ambiguous
    When it waits 30 seconds
    And "alpha" calls port 8080
    Then every path is DROPPED

  Scenario: Nothing
  @should @slwo
  Scenario: Tags
    Given something
    Then something is so

  Scenario: Tags
    Givne something
    Then something is so

  Scenario: Without an end
    Given something

  Scenario Outline: Rows
    Given a <kidn> of <kind>
    Then something is so

    Examples:
      | kind | color |
      | pod  | red   |

  Scenario Outline: No rows
    Then a <kind> is so

    Examples:
      | kind |

  @NET-20
  Scenario Outline: An outline without examples
    Then something is so

  Scenario Outline: A column too many
    Then a <kind> is so

    Examples:
      | kind | color |
      | pod  | red   |
"#;
    let none = "Feature: Proves nothing\n\n  Scenario: Alone\n    Then something is so\n";
    let level = "@TEN-05 @must\nFeature: Wrong level\n\n  Scenario:\n    Then something is so\n";
    let catalog = catalog(&[("level", level), ("none", none), ("wrong", wrong)], &[]);
    insta::assert_snapshot!(shown(&catalog));
}

#[test]
fn a_feature_that_cannot_be_read_says_why() {
    let cases = [
        ("colon", "Feature Without a colon\n  Scenario: x\n    Then y\n"),
        ("empty", ""),
        ("keyword", "@NET-02 @must\nFeature: x\n\n  Scenario: y\n    Given a\n    Thne b\n    Then c\n"),
        ("language", "# language: xx\nFeature: x\n"),
        (
            "table",
            "@NET-02 @must\nFeature: x\n\n  Scenario Outline: y\n    Then <a>\n\n    Examples:\n      | a | b |\n      | 1 |\n",
        ),
        ("tag", "@NET-02 @must\nFeature: x\n\n  Scenario: y\n    Then z\n  @slow\n"),
    ];
    insta::assert_snapshot!(shown(&catalog(&cases, &[])));
}

#[test]
fn a_suite_that_refers_to_nothing_is_found() {
    let suite = |spec: &str| {
        format!("apiVersion: plimsoll.dev/v1alpha1\nkind: Suite\nmetadata: {{ name: SUITE }}\nspec:\n{spec}")
    };
    let unknown =
        suite("  include:\n    - tags: '@must and not @slwo'\n    - scenarios: [every-path-is-clsoed]\n");
    let nothing = suite(
        "  include:\n    - tags: '@must and not @must'\n    - requirements: [NET-02]\n      tags: '@should'\n",
    );
    let sum = suite("  include:\n    - tags: '@must'\n  exclude:\n    - requirements: [NET-02]\n");
    let key = suite("  inclde: []\n");
    let cases = [("key", key.as_str()), ("nothing", &nothing), ("sum", &sum), ("unknown", &unknown)];
    let named: Vec<_> = cases.iter().map(|(name, text)| (*name, text.replace("SUITE", name))).collect();
    let cases: Vec<_> = named.iter().map(|(name, text)| (*name, text.as_str())).collect();
    insta::assert_snapshot!(shown(&catalog(&[("network/apart", SOUND)], &cases)));
}

#[test]
fn the_same_id_twice_is_found_across_files() {
    let text = "@NET-02 @must\nFeature: f\n\n  Scenario: Same\n    Then x\n\n  Scenario: same!\n    Then x\n";
    insta::assert_snapshot!(shown(&catalog(&[("a", text)], &[])));
}

#[test]
fn a_requirement_without_a_scenario_is_found_and_does_not_block_a_run() {
    let catalog = catalog(&[("network/apart", SOUND)], &[]);
    let findings = lint(&catalog, &Toy, &Denials::new(&[]).unwrap());
    let unproven: Vec<_> =
        findings.iter().filter(|finding| finding.code == Code::UnprovenRequirement).collect();
    assert_eq!(unproven.len(), 1);
    assert_eq!(unproven[0].message, "no scenario proves TEN-05: a tenant at its limit does not slow others");
    assert!(!unproven[0].blocks_run());
}

#[test]
fn a_denial_needs_its_control_by_words_or_by_the_table() {
    let with = |then: &str| format!("@NET-02 @must\nFeature: f\n\n  Scenario: s\n{then}");
    assert_eq!(codes(&with("    Then it is REJECTED\n")), ["PL012"]);
    assert_eq!(codes(&with("    Then it is OPEN\n")), Vec::<&str>::new());
    assert_eq!(
        codes(&with("    Then it is REJECTED\n    And it was OPEN for x just before and just after\n")),
        Vec::<&str>::new()
    );
    assert_eq!(
        codes(&with("    Then it is REJECTED\n    And the limit is reached first\n")),
        Vec::<&str>::new()
    );
}

#[test]
fn steps_name_no_ports_waits_or_manifests() {
    let with = |step: &str| format!("@NET-02 @must\nFeature: f\n\n  Scenario: s\n    Then {step}\n");
    for step in [
        "it calls db:8080",
        "it calls port 80",
        "it calls 53 UDP",
        "it sleeps",
        "after 5s it is so",
        "within 10 minutes it is so",
        "it applies apiVersion: v1",
    ] {
        assert_eq!(codes(&with(step)), ["PL013"], "{step}");
    }
    for step in
        ["2 tenants are so", "over TCP and UDP", "every port is so", "the second is so", "10 pods are so"]
    {
        assert_eq!(codes(&with(step)), Vec::<&str>::new(), "{step}");
    }
}

fn planned(selection: Selection) -> Result<Vec<String>, SelectError> {
    let other =
        "@TEN-05 @should @risk-load\nFeature: Load\n\n  Scenario: Bystanders keep their pace\n    Then so\n";
    let quick = "apiVersion: plimsoll.dev/v1alpha1\nkind: Suite\nmetadata: { name: quick }\nspec:\n  \
                 include:\n    - tags: 'not @slow'\n  maxRisk: none\n";
    let catalog = catalog(&[("network/apart", SOUND), ("tenancy/load", other)], &[("quick", quick)]);
    let plan = catalog.plan(&PlanRequest { selection, deadline: std::time::Duration::from_mins(1) })?;
    Ok(plan.scenarios.into_iter().map(|scenario| scenario.id.0).collect())
}

#[test]
fn a_selection_narrows_by_kind_and_adds_up_within_one() {
    let all = planned(Selection::default()).unwrap();
    assert_eq!(all.len(), 6);
    let select = |change: fn(&mut Selection)| {
        let mut selection = Selection::default();
        change(&mut selection);
        planned(selection).unwrap()
    };
    assert_eq!(
        select(|selection| selection.suite = Some("quick".into())),
        ["network/apart/every-path-is-closed", "network/apart/a-rules-scenario"]
    );
    assert_eq!(select(|selection| selection.requirements = vec!["TEN-05".into()]).len(), 1);
    assert_eq!(select(|selection| selection.requirements = vec!["TEN-05".into(), "NET-02".into()]).len(), 6);
    assert_eq!(
        select(|selection| {
            selection.requirements = vec!["NET-02".into()];
            selection.tags = Some("@slow and not @serial".into());
        }),
        ["network/apart/a-kind-cannot-be-made#1", "network/apart/a-kind-cannot-be-made#2"]
    );
    for (pattern, count) in [
        ("network/apart/a-kind-cannot-be-made", 3),
        ("network/apart/a-kind-cannot-be-made#2", 1),
        ("a-kind-cannot-be-made", 3),
        ("every-path-is-closed", 1),
        ("network/apart", 5),
        ("network/", 5),
        ("tenancy/load/*", 1),
    ] {
        let selection = Selection { scenarios: vec![pattern.into()], ..Selection::default() };
        assert_eq!(planned(selection).unwrap().len(), count, "{pattern}");
    }
    for (skip, count) in [("NET-02", 1), ("@slow", 3), ("every-path-is-closed", 5)] {
        let selection = Selection { skip: vec![skip.into()], ..Selection::default() };
        assert_eq!(planned(selection).unwrap().len(), count, "{skip}");
    }
}

#[test]
fn an_unknown_name_is_an_error_with_a_suggestion() {
    let cases = [
        Selection { suite: Some("quikc".into()), ..Selection::default() },
        Selection { suite: Some("nightly".into()), ..Selection::default() },
        Selection { tags: Some("@slwo".into()), ..Selection::default() },
        Selection { tags: Some("@slow and".into()), ..Selection::default() },
        Selection { requirements: vec!["NET-20".into()], ..Selection::default() },
        Selection { scenarios: vec!["every-path-is-clsoed".into()], ..Selection::default() },
        Selection { skip: vec!["XXX-01".into()], ..Selection::default() },
    ];
    let errors: Vec<String> = cases
        .into_iter()
        .map(|selection| {
            let error = planned(selection).unwrap_err();
            format!("{error}; {}", error.help.clone().unwrap_or_default())
        })
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn risk_grows_by_the_tags() {
    let catalog =
        catalog(&[("x", "@NET-02 @must @risk-load\nFeature: f\n\n  Scenario: s\n    Then x\n")], &[]);
    assert_eq!(catalog.scenarios().next().unwrap().planned.risk, Risk::Load);
}

#[test]
fn the_codes_are_in_order_and_never_twice() {
    let ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(ids, sorted);
    assert_eq!(Code::find("pl012"), Some(Code::DenialWithoutControl));
    assert_eq!(Code::find("PL999"), None);
}

#[test]
fn the_embedded_catalog_is_sound_apart_from_its_steps() {
    let catalog = Catalog::load(&[]).unwrap();
    let denials = Denials::new(crate::bdd::steps::POLARITY).unwrap();
    let findings = lint(&catalog, &Toy, &denials);
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    assert!(findings.is_empty(), "{}", render(&findings, &handler));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever a user's file holds, reading it gives findings or scenarios, never a panic, and every
        /// place lies inside the text.
        #[test]
        fn no_text_breaks_the_reader(lines in prop::collection::vec(
            prop_oneof![
                "[ ]{0,4}(Feature|Scenario|Scenario Outline|Background|Rule|Examples):? [a-z<> ]{0,12}",
                "[ ]{0,6}(Given|When|Then|And|Givne) [a-zA-Z<>é ]{0,20}",
                "[ ]{0,6}(\\|[ a-zé<>]{0,5}){0,4}\\|?",
                "@[A-Za-z0-9-]{0,10}( @[a-z-]{1,8})?",
                "\\PC{0,20}",
                "(\"\"\"|#.{0,10}|)",
            ], 0..14), crlf: bool)
        {
            let text = lines.join(if crlf { "\r\n" } else { "\n" });
            let catalog = catalog(&[("fuzz", &text)], &[]);
            for finding in found(&catalog) {
                prop_assert!(finding.line <= text.lines().count().max(1), "{finding:?}");
            }
            let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none());
            let _ = render(&found(&catalog), &handler);
        }
    }
}
