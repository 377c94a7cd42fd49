//! Profiles, right and wrong.

use std::path::Path;

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::*;

const EXAMPLE: &str = include_str!("../../profiles/example.yaml");

fn example() -> LoadedPlatform {
    load_str("profiles/example.yaml", EXAMPLE, Path::new("profiles"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// What a user sees of a profile with one thing changed.
fn diagnostic(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "the example has no `{from}`");
    let text = EXAMPLE.replacen(from, to, 1);
    let error = load_str("my.yaml", &text, Path::new(".")).expect_err("it should be wrong");
    let mut shown = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(110)
        .render_report(&mut shown, &error)
        .unwrap();
    let lines: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    format!("{}\n\n{shown}", lines.join("\n"))
}

#[test]
fn the_example_shows_every_default() {
    let spec = example().platform.spec;
    assert_eq!(spec.deadlines, Deadlines::default());
    assert_eq!(spec.network, Network::default());
    assert_eq!(spec.services, Services::default());
    assert_eq!(spec.images, Images::default());
    assert!(EXAMPLE.starts_with(EDITOR_HEADER));
    assert!(LAB_PROFILE.starts_with(EDITOR_HEADER));
}

#[test]
fn both_profiles_hold_against_the_schema() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for text in [EXAMPLE, LAB_PROFILE] {
        let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let wrong: serde_json::Value =
        serde_saphyr::from_str(&EXAMPLE.replace("riskCeiling", "riskCieling")).unwrap();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn a_profile_survives_being_written_and_read() {
    let platform = example().platform;
    let text = serde_json::to_string(&platform).unwrap();
    let again = load_str("again", &text, Path::new(".")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.platform, platform);
}

#[test]
fn wrong_keys_and_values_are_shown_at_their_place() {
    insta::assert_snapshot!("unknown key", diagnostic("  riskCeiling: none", "  riskCieling: none"));
    insta::assert_snapshot!("unknown value", diagnostic("riskCeiling: none", "riskCeiling: fualt"));
    insta::assert_snapshot!("unknown capability", diagnostic("- limit-range", "- limit-ranges"));
    insta::assert_snapshot!("wrong type", diagnostic("expendable: false", "expendable: sometimes"));
    insta::assert_snapshot!("missing key", diagnostic("  environment: non-production\n", ""));
    insta::assert_snapshot!("wrong duration", diagnostic("podReady: 60s", "podReady: soon"));
    insta::assert_snapshot!("not yaml", diagnostic("allowedContexts:", "allowedContexts: ["));
    insta::assert_snapshot!("wrong version", diagnostic("plimsoll.dev/v1alpha1", "plimsoll.dev/v1"));
    insta::assert_snapshot!(
        "two adapters",
        diagnostic("        env: {COST", "      existing: {tenants: []}\n        env: {COST")
    );
    insta::assert_snapshot!(
        "twice",
        diagnostic("  expendable: false", "  expendable: false\n  expendable: true")
    );
}

#[test]
fn parts_that_do_not_fit_together_are_shown_at_their_place() {
    insta::assert_snapshot!(
        "placeholder",
        diagnostic("namespaces: [\"${tenant}\"]", "namespaces: [\"${tennant}\"]")
    );
    insta::assert_snapshot!(
        "same identity for all",
        diagnostic(
            "{user: \"${tenant}-admin@example.com\", groups: [\"tenant-${tenant}-admins\"]}",
            "{user: admin, groups: [\"system:masters\"]}"
        )
    );
    insta::assert_snapshot!("claimed but not promised", diagnostic("podSecurity: {level: restricted}", ""));
    insta::assert_snapshot!("quantity", diagnostic("requests.memory: 16Gi", "requests.memory: 16GB"));
    insta::assert_snapshot!("verb", diagnostic("verbs: [get, list, watch]", "verbs: [get, lst]"));
    insta::assert_snapshot!("deadlines", diagnostic("podReady: 60s", "podReady: 10m"));
    insta::assert_snapshot!(
        "waiver",
        diagnostic(
            "- requirement: NET-07\n      # scenario: network/open-connections/*      in place of the requirement\n      reason:",
            "- reason:"
        )
    );
    insta::assert_snapshot!("waiver of all", diagnostic("requirement: NET-07", "scenario: \"*\""));
}

#[test]
fn several_problems_come_at_once_in_the_order_of_the_file() {
    let text = EXAMPLE
        .replace("environment: non-production", "environment: production")
        .replace("- qa-eu-*\n", "- \"*\"\n")
        .replace("expendable: false", "expendable: true")
        .replace("cpu: 100m", "cpu: lots");
    let error = load_str("my.yaml", &text, Path::new(".")).expect_err("it should be wrong");
    let lines: Vec<String> = error.problems().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    my.yaml:26:7: `*` allows every context, which a production profile must not
    my.yaml:30:15: a production platform is not expendable
    my.yaml:95:28: `lots` is not a quantity
    ");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("/nonexistent/my.yaml")).expect_err("there is no such file");
    insta::assert_snapshot!(error, @"cannot read the profile `/nonexistent/my.yaml`");
}
