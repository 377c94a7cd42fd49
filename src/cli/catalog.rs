//! The catalog and the profile, as the commands need them: read and checked, or refused with a reason.

use std::path::PathBuf;

use super::args::SelectArgs;
use super::failure::Failure;
use super::settings::{Layers, Setting};
use super::terminal::Terminal;
use super::{output, topics};
use crate::bdd::{StepBook, steps};
use crate::catalog::{self, Catalog, Denials, Finding, PlanRequest, Requirements};
use crate::engine::{Plan, Selection};
use crate::exit::Exit;
use crate::profile::{self, LoadedPlatform};

/// The suite of those who name nothing.
const DEFAULT_SUITE: &str = "smoke";

/// More findings than this are not shown where a run was asked for.
const MOST_FINDINGS: usize = 10;

/// The requirements.
pub(super) fn requirements() -> Result<Requirements, Failure> {
    Ok(Requirements::embedded()
        .map_err(|error| Failure::usage("the embedded requirements are not valid").because(error))?)
}

/// The profile that the settings name, or the lab's own.
pub(super) fn platform(path: &Setting<Option<PathBuf>>) -> Result<LoadedPlatform, Failure> {
    match &path.value {
        Some(path) => profile::load(path),
        None => profile::load_lab(),
    }
    .map_err(|error| Failure::diagnostic(Exit::Usage, error))
}

/// The features and suites, embedded ones and those of the settings.
pub(super) fn load(folders: &[PathBuf]) -> Result<Catalog, Failure> {
    Catalog::load(folders).map_err(|error| Failure::diagnostic(Exit::Usage, error))
}

/// Everything that lint finds in features and suites.
pub(super) fn findings(catalog: &Catalog) -> Result<Vec<Finding>, Failure> {
    let denials = Denials::new(steps::POLARITY)
        .map_err(|error| Failure::usage("the table of denying steps is not valid").because(error))?;
    Ok(catalog::lint(catalog, &StepBook::collect(), &denials))
}

/// What lint finds in the waivers of a profile.
pub(super) fn waivers(catalog: &Catalog, platform: &LoadedPlatform) -> Vec<Finding> {
    catalog::waivers(catalog, &platform.file, &platform.text)
}

/// What was asked for: the suite of the settings only where the command line selects nothing else.
pub(super) fn selection(args: &SelectArgs, layers: &Layers) -> Selection {
    let narrowed = args.tags.is_some() || !args.requirement.is_empty() || !args.scenario.is_empty();
    let suite = match (&args.suite, narrowed) {
        (Some(suite), _) => Some(suite.clone()),
        (None, true) => None,
        (None, false) => layers.suite(None).value.or_else(|| Some(DEFAULT_SUITE.to_owned())),
    };
    Selection {
        suite,
        tags: args.tags.clone(),
        requirements: args.requirement.clone(),
        scenarios: args.scenario.clone(),
        skip: args.skip.clone(),
    }
}

/// A plan for these arguments. Features that lint blocks are refused, and so is a selection of nothing.
pub(super) fn plan(
    catalog: &Catalog,
    selection: Selection,
    platform: &LoadedPlatform,
    terminal: Terminal,
) -> Result<Plan, Failure> {
    let request = PlanRequest { selection, deadline: platform.platform.spec.deadlines.scenario.into() };
    let plan = catalog.plan(&request).map_err(|error| Failure::diagnostic(Exit::Usage, error))?;
    let blocking: Vec<Finding> =
        findings(catalog)?.into_iter().filter(|finding| finding.blocks(&plan)).collect();
    refuse("the features cannot be run", &blocking, terminal)?;
    refuse("the waivers of the profile cannot be kept", &waivers(catalog, platform), terminal)?;
    if plan.scenarios.is_empty() {
        return Err(nothing_selected(catalog, &plan.selection));
    }
    Ok(plan)
}

/// Shows findings and ends with them, where there are any.
fn refuse(what: &str, findings: &[Finding], terminal: Terminal) -> Result<(), Failure> {
    if findings.is_empty() {
        return Ok(());
    }
    let shown = findings.get(..MOST_FINDINGS).unwrap_or(findings);
    output::say(catalog::render(shown, &terminal.diagnostics()));
    Err(Failure::usage(format!("{what}: {}", output::count(findings.len(), "finding")))
        .hint("`plimsoll lint` shows all of them, and `plimsoll explain CODE` says what each means")
        .into())
}

/// Why: what is planned cannot be selected, whatever the other criteria say.
fn nothing_selected(catalog: &Catalog, selection: &Selection) -> Failure {
    let ids: Vec<&str> = selection.requirements.iter().map(|id| id.trim_start_matches('@')).collect();
    let proven = |id: &str| {
        catalog.scenarios().any(|scenario| scenario.planned.requirements.iter().any(|known| known == id))
    };
    let planned =
        |id: &&str| catalog.requirements().get(id).is_some_and(|known| known.planned) && !proven(id);
    if !ids.is_empty() && ids.iter().all(planned) {
        let is = if ids.len() == 1 { "is" } else { "are" };
        let message = format!("nothing was selected: {} {is} planned: {}", ids.join(", "), topics::UNPROVEN);
        return Failure::nothing_selected(message)
            .hint("`plimsoll list requirements` shows what is proven by how many scenarios")
            .into();
    }
    Failure::nothing_selected("nothing was selected: no scenario meets all the criteria")
        .hint("`plimsoll list scenarios` shows what there is")
        .into()
}

/// The title of a family of requirements; the family itself where it has none.
pub(super) fn family_title(id: &str) -> &str {
    match id {
        "TEN" => "Namespace isolation",
        "IAM" => "Authentication and authorization",
        "NET" => "Network isolation",
        "MSH" => "Service mesh",
        "ING" => "Ingress",
        "GIT" => "GitOps",
        "OBS" => "Monitoring",
        "CST" => "Cost",
        "SEC" => "Secrets",
        "FLT" => "Fleet",
        "RES" => "Resilience",
        "UPG" => "Upgrades",
        other => other,
    }
}
