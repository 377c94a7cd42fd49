//! `plimsoll list`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::plan::risk;
use crate::bdd::StepBook;
use crate::catalog::{Catalog, Code, PlanRequest, Tag};
use crate::cli::args::{ListArgs, ListWhat};
use crate::cli::failure::Failure;
use crate::cli::output::Listing;
use crate::cli::settings::Layers;
use crate::cli::{catalog, topics};
use crate::engine::{PlannedScenario, Selection};
use crate::exit::Exit;
use crate::profile::Capability;

/// Lists one kind of thing.
pub(super) fn run(args: &ListArgs, layers: &Layers) -> Result<Exit, Failure> {
    let catalog = catalog::load(&layers.features(args.select.features.clone()).value)?;
    let scenarios = selected(&catalog, args)?;
    let (listing, data) = match args.what {
        ListWhat::Suites => suites(&catalog)?,
        ListWhat::Features => features(&catalog, &scenarios),
        ListWhat::Scenarios => self::scenarios(&scenarios),
        ListWhat::Requirements => requirements(&catalog, &scenarios),
        ListWhat::Tags => tags(&catalog, &scenarios),
        ListWhat::Capabilities => capabilities(&scenarios),
        ListWhat::Steps => steps(),
        ListWhat::Codes => codes(),
    };
    listing.print(args.output, &data)?;
    Ok(Exit::Conformant)
}

/// The scenarios that the arguments select; all of them where they select nothing.
fn selected(catalog: &Catalog, args: &ListArgs) -> Result<Vec<PlannedScenario>, Failure> {
    let select = &args.select;
    let selection = Selection {
        suite: select.suite.clone(),
        tags: select.tags.clone(),
        requirements: select.requirement.clone(),
        scenarios: select.scenario.clone(),
        skip: select.skip.clone(),
    };
    plan(catalog, selection)
}

fn plan(catalog: &Catalog, selection: Selection) -> Result<Vec<PlannedScenario>, Failure> {
    let request = PlanRequest { selection, deadline: Duration::ZERO };
    let plan = catalog.plan(&request).map_err(|error| Failure::diagnostic(Exit::Usage, error))?;
    Ok(plan.scenarios)
}

fn suites(catalog: &Catalog) -> Result<(Listing, Value), Failure> {
    let mut listing = Listing::new(vec!["suite", "scenarios", "title", "file"], 3);
    let mut data = Vec::new();
    for entry in catalog.suites() {
        let metadata = &entry.suite.metadata;
        let selection = Selection { suite: Some(metadata.name.clone()), ..Selection::default() };
        let scenarios = plan(catalog, selection)?.len();
        let title = metadata.title.clone().unwrap_or_default();
        data.push(json!({
            "name": metadata.name, "title": title, "scenarios": scenarios, "file": entry.source.file,
        }));
        listing.row([metadata.name.clone(), scenarios.to_string(), title, entry.source.file.clone()]);
    }
    Ok((listing, Value::Array(data)))
}

fn features(catalog: &Catalog, scenarios: &[PlannedScenario]) -> (Listing, Value) {
    let mut listing = Listing::new(vec!["feature", "scenarios", "requirements", "name"], 3);
    let mut data = Vec::new();
    for feature in catalog.features() {
        let file = &feature.source.file;
        let of_file: Vec<&PlannedScenario> =
            scenarios.iter().filter(|scenario| &scenario.file == file).collect();
        if of_file.is_empty() {
            continue;
        }
        let requirements: BTreeSet<&str> =
            of_file.iter().flat_map(|scenario| &scenario.requirements).map(String::as_str).collect();
        let requirements: Vec<&str> = requirements.into_iter().collect();
        data.push(json!({
            "file": file,
            "name": feature.written.name,
            "scenarios": of_file.iter().map(|scenario| &scenario.id).collect::<Vec<_>>(),
            "requirements": requirements,
        }));
        listing.row([
            file.clone(),
            of_file.len().to_string(),
            requirements.join(" "),
            feature.written.name.clone(),
        ]);
    }
    (listing, Value::Array(data))
}

fn scenarios(scenarios: &[PlannedScenario]) -> (Listing, Value) {
    let mut listing = Listing::new(vec!["proves", "scenario", "name", "risk", "needs", "place"], 2);
    listing.name = 1;
    for scenario in scenarios {
        listing.row([
            scenario.requirements.join(" "),
            scenario.id.to_string(),
            scenario.name.clone(),
            risk(scenario.risk).to_owned(),
            scenario.needs.join(" "),
            format!("{}:{}", scenario.file, scenario.line),
        ]);
    }
    (listing, json!(scenarios))
}

fn requirements(catalog: &Catalog, scenarios: &[PlannedScenario]) -> (Listing, Value) {
    let mut listing =
        Listing::new(vec!["requirement", "level", "scenarios", "promise", "proven by", "controls"], 4);
    let mut proving: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for scenario in scenarios {
        for requirement in &scenario.requirements {
            proving.entry(requirement).or_default().push(&scenario.id.0);
        }
    }
    let mut data = Vec::new();
    for requirement in catalog.requirements().iter() {
        let by = proving.remove(requirement.id.as_str()).unwrap_or_default();
        let controls: Vec<String> = requirement
            .controls
            .iter()
            .map(|control| format!("{} {}", control.framework, control.id))
            .collect();
        data.push(json!({
            "id": requirement.id,
            "level": topics::level(requirement.level),
            "promise": requirement.promise,
            "source": requirement.source,
            "controls": controls,
            "planned": requirement.planned,
            "scenarios": by,
        }));
        listing.row([
            requirement.id.clone(),
            topics::level(requirement.level).to_owned(),
            // Not to be taken for one that the selection has left without scenarios.
            if requirement.planned && by.is_empty() { "planned".to_owned() } else { by.len().to_string() },
            requirement.promise.clone(),
            by.join(" "),
            controls.join(", "),
        ]);
    }
    (listing, Value::Array(data))
}

fn tags(catalog: &Catalog, scenarios: &[PlannedScenario]) -> (Listing, Value) {
    let mut listing = Listing::new(vec!["tag", "scenarios"], 2);
    let mut data = Vec::new();
    for tag in Tag::vocabulary(catalog.requirements()) {
        let carrying = scenarios.iter().filter(|scenario| scenario.tags.contains(&tag)).count();
        data.push(json!({ "tag": format!("@{tag}"), "scenarios": carrying }));
        listing.row([format!("@{tag}"), carrying.to_string()]);
    }
    (listing, Value::Array(data))
}

fn capabilities(scenarios: &[PlannedScenario]) -> (Listing, Value) {
    let mut listing = Listing::new(vec!["capability", "scenarios", "meaning"], 3);
    let mut data = Vec::new();
    for capability in Capability::ALL {
        let name = capability.name();
        let needing =
            scenarios.iter().filter(|scenario| scenario.needs.iter().any(|need| need == name)).count();
        data.push(json!({ "name": name, "meaning": capability.meaning(), "scenarios": needing }));
        listing.row([name.to_owned(), needing.to_string(), capability.meaning().to_owned()]);
    }
    (listing, Value::Array(data))
}

fn steps() -> (Listing, Value) {
    let mut listing = Listing::new(vec!["step", "place"], 1);
    let mut data = Vec::new();
    for step in StepBook::collect().definitions() {
        data.push(json!({ "keyword": step.keyword, "text": step.text, "place": step.place }));
        listing.row([format!("{} {}", step.keyword, step.text), step.place.clone()]);
    }
    (listing, Value::Array(data))
}

fn codes() -> (Listing, Value) {
    let mut listing = Listing::new(vec!["code", "finding", "what to do"], 2);
    let mut data = Vec::new();
    for code in Code::ALL {
        data.push(json!({ "code": code.id(), "title": code.title(), "explanation": code.explanation() }));
        listing.row([code.id().to_owned(), code.title().to_owned(), code.explanation().to_owned()]);
    }
    (listing, Value::Array(data))
}
