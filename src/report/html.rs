//! One self-contained page: no network, readable with scripts off, on paper, in light and dark.

use std::collections::HashMap;

use askama::Template;
use base64::Engine as _;
use sha2::{Digest, Sha256};

use super::format::RenderError;
use super::grid::{Cell, Grid, class_of, tone_of};
use super::html_evidence::blocks;
use super::model::{Model, Requirement, RunState, Scenario, Step};
use super::tenants::{CellState, TenantCell, TenantMatrix};
use super::words::{BY_WEIGHT, count, duration_ms, duration_us, tally};
use crate::engine::{Evidence, Level, Outcome, StepStatus, TenantRole};
use crate::evidence::Integrity;
use crate::exit::Exit;

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

/// Scenarios that stand open when the page is opened: what is wrong, as far as it can be taken in.
const MOST_OPEN: usize = 5;

/// Rows of the list of pairs that are not as promised.
const MOST_OFF: usize = 200;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    model: &'a Model,
    title: String,
    css: &'static str,
    js: &'static str,
    script_hash: String,
    tone: &'static str,
    headline: &'a str,
    summary: String,
    alarms: Vec<String>,
    stand_ins: &'a [String],
    tally: Vec<Share>,
    facts: Vec<Fact>,
    families: Vec<Family<'a>>,
    unselected: Vec<&'a Requirement>,
    unselected_count: String,
    matrix: Option<MatrixView>,
    features: Vec<Feature<'a>>,
    run_blocks: Vec<String>,
    grade: Option<String>,
    tenants: Vec<TenantRow<'a>>,
    waivers: Vec<WaiverRow<'a>>,
    records: String,
}

struct Share {
    word: &'static str,
    count: usize,
}

struct Fact {
    name: &'static str,
    value: String,
    code: bool,
    wide: bool,
}

struct Family<'a> {
    name: &'a str,
    rows: Vec<RequirementRow<'a>>,
}

struct RequirementRow<'a> {
    requirement: &'a Requirement,
    level: &'static str,
    controls: String,
    /// Scenarios that ran and did not pass.
    open: Vec<Link>,
    /// Those that were never begun: many, where a run ended early.
    not_run: Vec<Link>,
    passed: Vec<Link>,
}

struct Link {
    anchor: String,
    text: String,
}

struct MatrixView {
    intro: String,
    body: Grid,
    legend: Vec<CellState>,
    off: Vec<OffRow>,
    off_left: usize,
    controls: String,
}

struct OffRow {
    word: &'static str,
    tone: &'static str,
    from: String,
    to: String,
    off: usize,
    tried: usize,
    seen: String,
}

struct Feature<'a> {
    name: &'a str,
    file: &'a str,
    scenarios: Vec<ScenarioView<'a>>,
}

struct ScenarioView<'a> {
    scenario: &'a Scenario,
    anchor: String,
    requirements: String,
    tags: String,
    took: String,
    more: String,
    open: bool,
    steps: Vec<StepView<'a>>,
    blocks: Vec<String>,
}

struct StepView<'a> {
    step: &'a Step,
    class: &'static str,
    tone: &'static str,
    status: String,
    blocks: Vec<String>,
}

struct TenantRow<'a> {
    name: &'a str,
    role: &'static str,
    namespaces: String,
    adapter: &'a str,
    ready: String,
    removed: String,
}

struct WaiverRow<'a> {
    anchor: String,
    text: String,
    reason: &'a str,
}

pub(super) fn render(model: &Model) -> Result<Vec<u8>, RenderError> {
    let selected: Vec<_> = model.requirements.iter().filter(|r| r.outcome.is_some()).collect();
    let unselected: Vec<_> = model.requirements.iter().filter(|r| r.outcome.is_none()).collect();
    // Between the tags stand a newline and the script: the browser hashes both.
    let script = format!("\n{SCRIPT}");
    let page = Page {
        model,
        title: format!("{} \u{2013} Plimsoll run {}", model.run.verdict, model.run.id),
        css: STYLE,
        js: SCRIPT,
        script_hash: base64::engine::general_purpose::STANDARD.encode(Sha256::digest(script.as_bytes())),
        tone: tone(model),
        headline: split_verdict(&model.run.verdict).0,
        summary: summary(model),
        alarms: alarms(model),
        stand_ins: model.cluster.as_ref().map_or(&[], |cluster| cluster.stand_ins.as_slice()),
        tally: BY_WEIGHT
            .iter()
            .rev()
            .map(|outcome| Share { word: outcome.word(), count: model.tally.of(*outcome) })
            .filter(|share| share.count > 0)
            .collect(),
        facts: facts(model),
        families: families(model, &selected),
        unselected_count: count(unselected.len(), "requirement", "requirements"),
        unselected,
        matrix: model.matrix.as_ref().map(|matrix| matrix_view(matrix, model.control_matrix.as_ref())),
        features: features(model)?,
        run_blocks: blocks(
            &model.evidence.iter().map(|item| item.evidence.clone()).collect::<Vec<Evidence>>(),
        )?,
        grade: model.grade.as_ref().map(super::grade_html::render).transpose()?,
        tenants: tenants(model),
        waivers: model
            .waivers
            .iter()
            .map(|waived| WaiverRow {
                anchor: anchor(&waived.scenario),
                text: format!("{} {}", waived.requirements.join(" "), waived.scenario),
                reason: &waived.reason.message,
            })
            .collect(),
        records: count(model.journal.records, "record", "records"),
    };
    Ok(page.render()?.into_bytes())
}

/// The colour of the verdict.
fn tone(model: &Model) -> &'static str {
    match model.run.exit.filter(|_| model.unsound().is_none()) {
        Some(code) if code == Exit::Conformant.code() => "passed",
        Some(code) if code == Exit::Failed.code() => "failed",
        _ if model.tally.failed > 0 => "failed",
        _ => "inconclusive",
    }
}

/// A verdict in a word or a few, and what it adds: `inconclusive: the cluster or the harness could not tell`.
fn split_verdict(verdict: &str) -> (&str, &str) {
    verdict.split_once([':', ';']).map_or((verdict, ""), |(short, rest)| (short, rest.trim()))
}

fn summary(model: &Model) -> String {
    let mut more = split_verdict(&model.run.verdict).1.to_owned();
    if let Some(first) = more.get(..1).map(str::to_uppercase) {
        more.replace_range(..1, &first);
        more += ". ";
    }
    let requirements = model.requirement_tally();
    let total = requirements.total();
    format!(
        "{more}{} of {} proven. {}: {}.",
        requirements.passed,
        count(total, "selected requirement", "selected requirements"),
        count(model.accounting.planned, "scenario", "scenarios"),
        tally(&model.tally)
    )
}

fn alarms(model: &Model) -> Vec<String> {
    let mut alarms = model.accounting.problems.clone();
    // Also of an intact journal: a record that this version does not know is left out of the page.
    let word = match model.journal.integrity {
        Integrity::Intact => "the journal".to_owned(),
        other => format!("the journal is {}", other.word()),
    };
    alarms.extend(model.journal.problems.iter().map(|problem| format!("{word}: {problem}")));
    if model.run.state == RunState::Running {
        alarms.push("the run is still going".to_owned());
    }
    alarms
}

fn facts(model: &Model) -> Vec<Fact> {
    let run = &model.run;
    let fact = |name, value: String| Fact { name, value, code: false, wide: false };
    let mut facts = Vec::new();
    match &model.cluster {
        Some(cluster) => {
            facts.push(fact("Cluster", format!("{} {}", cluster.provider, cluster.context)));
            facts.push(fact("API server", format!("{}, {}", cluster.server_version, cluster.server)));
            let nodes: Vec<_> = cluster.nodes.iter().map(|n| format!("{} {}", n.name, n.version)).collect();
            let total = count(nodes.len(), "node", "nodes");
            facts.push(fact("Nodes", if nodes.len() > 6 { total } else { nodes.join(", ") }));
        }
        None => facts.push(fact("Cluster", "it never answered".to_owned())),
    }
    let signal = run.signal.as_ref().map_or_else(String::new, |signal| format!(" by {signal}"));
    facts.push(fact(
        "Run",
        format!("{} {}{signal} after {}", run.id, run.state.word(), duration_ms(run.took_ms)),
    ));
    facts.push(fact("Exit code", run.exit.map_or_else(|| "none".to_owned(), |code| code.to_string())));
    facts.push(fact("Seed", run.seed.to_string()));
    facts.push(fact("Selection", selection(model)));
    facts.push(fact(
        "Accounting",
        format!("{} planned, {} with an outcome", model.accounting.planned, model.accounting.ended),
    ));
    facts.push(Fact {
        name: "Profile",
        value: format!("{}, SHA-256 {}", run.profile, run.profile_sha256),
        code: false,
        wide: true,
    });
    facts.push(Fact { name: "Command", value: run.command.join(" "), code: true, wide: true });
    facts
}

fn selection(model: &Model) -> String {
    let selection = &model.run.selection;
    let mut parts = Vec::new();
    parts.extend(selection.suite.iter().map(|suite| format!("suite {suite}")));
    parts.extend(selection.tags.iter().map(|tags| format!("tags {tags}")));
    parts.extend(selection.requirements.iter().cloned());
    parts.extend(selection.scenarios.iter().cloned());
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

/// An id for links: `#` would end the link's path to it.
fn anchor(id: &str) -> String {
    format!("scenario:{}", id.replace('#', "~"))
}

fn families<'a>(model: &'a Model, selected: &[&'a Requirement]) -> Vec<Family<'a>> {
    let scenarios: HashMap<&str, &Scenario> = model.scenarios.iter().map(|s| (s.id.as_str(), s)).collect();
    let mut families: Vec<Family<'a>> = Vec::new();
    for requirement in selected {
        let mut row = RequirementRow {
            requirement,
            level: match requirement.info.level {
                Level::Must => "must",
                Level::Should => "should",
            },
            controls: requirement.info.controls.join(" \u{b7} "),
            open: Vec::new(),
            not_run: Vec::new(),
            passed: Vec::new(),
        };
        for id in &requirement.scenarios {
            let Some(scenario) = scenarios.get(id.as_str()) else { continue };
            let (links, text) = match scenario.outcome {
                Outcome::Passed => (&mut row.passed, scenario.name.clone()),
                Outcome::NotRun => (&mut row.not_run, scenario.name.clone()),
                other => (&mut row.open, format!("{}: {}", other.word(), scenario.name)),
            };
            links.push(Link { anchor: anchor(id), text });
        }
        match families.iter_mut().find(|family| family.name == requirement.info.family) {
            Some(family) => family.rows.push(row),
            None => families.push(Family { name: &requirement.info.family, rows: vec![row] }),
        }
    }
    families
}

fn seen(cell: &TenantCell) -> String {
    cell.seen.iter().map(|word| format!("{} {}", word.count, word.word)).collect::<Vec<_>>().join(", ")
}

fn matrix_view(matrix: &TenantMatrix, controls: Option<&TenantMatrix>) -> MatrixView {
    let at = |r: usize, c: usize| matrix.cells.get(r).and_then(|row| row.get(c));
    let state = |r, c| at(r, c).map_or(CellState::Untried, |cell| cell.state);
    let body = Grid::new(&matrix.rows, &matrix.columns, state, |r, c| {
        let note = match at(r, c) {
            Some(cell) if cell.off > 0 => format!("{} of {}", cell.off, cell.tried),
            Some(cell) if cell.tried > 0 => format!("{} tried", cell.tried),
            _ => String::new(),
        };
        Cell {
            class: class_of(state(r, c)),
            word: state(r, c).word().to_owned(),
            note,
            title: at(r, c).map(seen).unwrap_or_default(),
        }
    });
    let all: Vec<OffRow> = matrix
        .off()
        .map(|(from, to, cell)| OffRow {
            word: cell.state.word(),
            tone: tone_of(cell.state),
            from: from.to_owned(),
            to: to.to_owned(),
            off: cell.off,
            tried: cell.tried,
            seen: seen(cell),
        })
        .collect();
    let off_left = all.len().saturating_sub(MOST_OFF);
    let occurs = |wanted: &CellState| matrix.cells.iter().flatten().any(|cell| cell.state == *wanted);
    MatrixView {
        intro: format!(
            "Tenant by tenant, rows to columns: {} ({}).",
            count(matrix.probes, "attempt", "attempts"),
            matrix.captions.join("; ")
        ),
        body,
        legend: CellState::ALL.into_iter().filter(occurs).collect(),
        off: all.into_iter().take(MOST_OFF).collect(),
        off_left,
        controls: controls.map_or_else(String::new, |controls| {
            let off = controls.cells.iter().flatten().map(|cell| cell.off).sum::<usize>();
            format!(
                "Positive controls: the same kind of path without the boundary, {}, {}. They stand with their \
                 scenarios.",
                count(controls.probes, "attempt", "attempts"),
                if off == 0 { "all as expected".to_owned() } else { format!("{off} not as expected") }
            )
        }),
    }
}

fn features(model: &Model) -> Result<Vec<Feature<'_>>, RenderError> {
    let mut features: Vec<Feature<'_>> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut open = 0;
    for scenario in &model.scenarios {
        let wrong = matches!(scenario.outcome, Outcome::Failed | Outcome::Inconclusive);
        open += usize::from(wrong);
        let view = scenario_view(scenario, wrong && open <= MOST_OPEN)?;
        if let Some(place) = places.get(scenario.file.as_str()) {
            features[*place].scenarios.push(view);
            continue;
        }
        places.insert(&scenario.file, features.len());
        features.push(Feature { name: &scenario.feature, file: &scenario.file, scenarios: vec![view] });
    }
    Ok(features)
}

fn scenario_view(scenario: &Scenario, open: bool) -> Result<ScenarioView<'_>, RenderError> {
    let mut steps = Vec::with_capacity(scenario.steps.len());
    for step in &scenario.steps {
        let took = step.took_us.map(duration_us).unwrap_or_default();
        let (class, tone, status) = match step.status {
            StepStatus::Passed => ("passed", "passed", format!("passed {took}")),
            StepStatus::Stopped => ("stopped", scenario.outcome.word(), format!("stopped here after {took}")),
            StepStatus::NotReached => ("not-reached", "none", "not reached".to_owned()),
        };
        steps.push(StepView { step, class, tone, status, blocks: blocks(&step.evidence)? });
    }
    let mut more = String::new();
    if let Some(started) = scenario.started_us {
        more += &format!(" \u{b7} began {} into the run", duration_us(started));
    }
    if scenario.deadline_ms > 0 {
        more += &format!(" \u{b7} deadline {}", duration_ms(scenario.deadline_ms));
    }
    if !scenario.needs.is_empty() {
        more += &format!(" \u{b7} needs {}", scenario.needs.join(", "));
    }
    Ok(ScenarioView {
        scenario,
        anchor: anchor(&scenario.id),
        requirements: scenario.requirements.join(" "),
        tags: scenario.tags.iter().map(|tag| format!("@{tag}")).collect::<Vec<_>>().join(" "),
        took: match scenario.started_us.and(scenario.took_ms) {
            Some(ms) => duration_ms(ms),
            None => String::new(),
        },
        more,
        open,
        steps,
        blocks: blocks(&scenario.evidence)?,
    })
}

fn tenants(model: &Model) -> Vec<TenantRow<'_>> {
    let rows = model.tenants.iter().map(|tenant| TenantRow {
        name: &tenant.name,
        role: match tenant.role {
            TenantRole::Subject => "subject",
            TenantRole::Control => "positive control",
        },
        namespaces: tenant.namespaces.join(", "),
        adapter: &tenant.adapter,
        ready: duration_ms(tenant.ready_ms),
        removed: tenant.removed_ms.map_or_else(|| "not seen gone".to_owned(), duration_ms),
    });
    rows.collect()
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
