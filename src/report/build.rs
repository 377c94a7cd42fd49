//! From records to the report: a pure fold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{Timestamp, Unit};

use super::grade::GivenGrade;
use super::model::{
    Accounting, Capability, Cluster, JournalFacts, Leftover, Model, Node, REPORT_SCHEMA, Requirement,
    RequirementInfo, RunEvidence, RunFacts, RunState, Scenario, Step, Tenant, Waived,
};
use super::repeat;
use super::tenants::TenantMatrix;
use super::words::{count, worst};
use crate::engine::{
    Event, EvidenceBody, Level, Outcome, PlannedScenario, Reason, ReasonKind, RunEnd, Signal, StepStatus,
    Tally,
};
use crate::evidence::{ReadJournal, Record};
use crate::exit::Exit;

impl Model {
    /// Builds the report of a journal. Never fails: what is missing or does not add up is said in it.
    pub fn from_journal(journal: &ReadJournal, catalog: &[RequirementInfo]) -> Self {
        let mut fold = Fold::new(journal);
        for record in &journal.records {
            fold.take(record);
        }
        fold.finish(catalog)
    }

    /// As [`Model::from_journal`], of records alone.
    pub fn from_records(records: &[Record], catalog: &[RequirementInfo]) -> Self {
        let journal = ReadJournal {
            records: records.to_vec(),
            head: records.last().map(|record| record.hash.clone()).unwrap_or_default(),
            ..ReadJournal::default()
        };
        Self::from_journal(&journal, catalog)
    }
}

/// What stands in for facts that the journal does not have.
const UNKNOWN: &str = "unknown";

struct Fold {
    model: Model,
    /// Position of each scenario of the plan.
    places: HashMap<String, usize>,
    /// Scenarios that have started, and those that have ended, by position.
    started: Vec<bool>,
    ended: Vec<bool>,
    begun: bool,
    planned: bool,
    declared: Option<Tally>,
}

impl Fold {
    fn new(journal: &ReadJournal) -> Self {
        let time = |record: Option<&Record>| record.map_or_else(|| UNKNOWN.to_owned(), |r| to_second(r.time));
        let (first, last) = (journal.records.first(), journal.records.last());
        let state = if journal.live { RunState::Running } else { RunState::Killed };
        let model = Model {
            schema: REPORT_SCHEMA.to_owned(),
            run: RunFacts {
                id: UNKNOWN.to_owned(),
                version: UNKNOWN.to_owned(),
                command: Vec::new(),
                seed: 0,
                profile: UNKNOWN.to_owned(),
                profile_sha256: String::new(),
                selection: crate::engine::Selection::default(),
                started: time(first),
                ended: time(last),
                took_ms: last.map_or(0, |record| record.mono_us / 1_000),
                state,
                signal: None,
                exit: None,
                verdict: String::new(),
            },
            journal: JournalFacts {
                records: journal.records.len(),
                head: journal.head.clone(),
                integrity: journal.integrity(),
                problems: journal.problems.clone(),
            },
            cluster: None,
            capabilities: Vec::new(),
            tenants: Vec::new(),
            tally: Tally::default(),
            accounting: Accounting::default(),
            requirements: Vec::new(),
            scenarios: Vec::new(),
            matrix: None,
            control_matrix: None,
            waivers: Vec::new(),
            warnings: Vec::new(),
            leftovers: Vec::new(),
            evidence: Vec::new(),
            grade: None,
        };
        Self {
            model,
            places: HashMap::new(),
            started: Vec::new(),
            ended: Vec::new(),
            begun: false,
            planned: false,
            declared: None,
        }
    }

    fn odd(&mut self, problem: impl Into<String>) {
        self.model.accounting.problems.push(problem.into());
    }

    /// The scenario of an event; one that is not in the plan is said once, and its events are left out.
    fn place(&mut self, id: &str) -> Option<usize> {
        let place = self.places.get(id).copied();
        if place.is_none() {
            let problem = format!("`{id}` has events, but is not in the plan");
            if !self.model.accounting.problems.contains(&problem) {
                self.odd(problem);
            }
        }
        place
    }

    fn take(&mut self, record: &Record) {
        match &record.event {
            Event::RunStarted { run_id, version, seed, command, profile, profile_sha256, .. } => {
                if std::mem::replace(&mut self.begun, true) {
                    return self.odd("the run starts more than once; the first start counts");
                }
                let run = &mut self.model.run;
                run.id.clone_from(run_id);
                run.version.clone_from(version);
                run.command.clone_from(command);
                run.seed = *seed;
                run.profile.clone_from(profile);
                run.profile_sha256.clone_from(profile_sha256);
            }
            Event::Planned { plan } => {
                if std::mem::replace(&mut self.planned, true) {
                    return self.odd("there is more than one plan; the first counts");
                }
                self.model.run.selection = plan.selection.clone();
                for planned in &plan.scenarios {
                    let place = self.model.scenarios.len();
                    if self.places.insert(planned.id.0.clone(), place).is_some() {
                        self.odd(format!("`{}` is planned twice", planned.id));
                    }
                    self.model.scenarios.push(scenario_of(planned));
                }
                self.started = vec![false; plan.scenarios.len()];
                self.ended = vec![false; plan.scenarios.len()];
            }
            Event::ClusterSeen { provider, context, server, server_version, nodes, stand_ins } => {
                self.model.cluster = Some(Cluster {
                    provider: provider.clone(),
                    context: context.clone(),
                    server: server.clone(),
                    server_version: server_version.clone(),
                    nodes: nodes
                        .iter()
                        .map(|(name, version)| Node { name: name.clone(), version: version.clone() })
                        .collect(),
                    stand_ins: stand_ins.clone(),
                });
            }
            Event::CapabilityChecked { name, claimed, detected, probe } => {
                self.model.capabilities.push(Capability {
                    name: name.clone(),
                    claimed: *claimed,
                    detected: *detected,
                    probe: probe.clone(),
                });
            }
            Event::TenantReady { name, role, namespaces, adapter, took_ms } => {
                self.model.tenants.push(Tenant {
                    name: name.clone(),
                    role: *role,
                    namespaces: namespaces.clone(),
                    adapter: adapter.clone(),
                    ready_ms: *took_ms,
                    removed_ms: None,
                });
            }
            Event::TenantRemoved { name, namespaces, took_ms } => {
                // Several scenarios may have a tenant of the same name, one after the other.
                let tenant = self.model.tenants.iter_mut().find(|tenant| {
                    tenant.name == *name && tenant.namespaces == *namespaces && tenant.removed_ms.is_none()
                });
                if let Some(tenant) = tenant {
                    tenant.removed_ms = Some(*took_ms);
                }
            }
            Event::Warning { message } => self.model.warnings.push(message.clone()),
            Event::Interrupted { signal } => self.model.run.signal = Some(signal.clone()),
            Event::Leftover { reference, why } => {
                self.model.leftovers.push(Leftover { reference: reference.clone(), why: why.clone() });
            }
            Event::RunFinished { tally, exit, took_ms } => {
                if self.declared.is_some() {
                    return self.odd("the run ends more than once; the first end counts");
                }
                self.declared = Some(*tally);
                self.model.run.exit = Some(*exit);
                self.model.run.took_ms = *took_ms;
                self.model.run.state =
                    if self.model.run.signal.is_some() { RunState::Interrupted } else { RunState::Finished };
            }
            Event::ScenarioStarted { .. }
            | Event::StepFinished { .. }
            | Event::EvidenceTaken { .. }
            | Event::ScenarioFinished { .. } => self.take_of_scenario(record),
        }
    }

    fn take_of_scenario(&mut self, record: &Record) {
        match &record.event {
            Event::ScenarioStarted { id } => {
                if let Some(place) = self.place(&id.0) {
                    self.started[place] = true;
                    self.model.scenarios[place].started_us = Some(record.mono_us);
                }
            }
            Event::StepFinished { id, step, status, took_us, reason } => {
                let Some(place) = self.place(&id.0) else { return };
                if self.ended[place] {
                    return self
                        .odd(format!("step {step} of `{id}` ended after its scenario; it is left out"));
                }
                match self.model.scenarios[place].steps.get_mut(*step) {
                    Some(ended) if ended.took_us.is_some() => {
                        self.odd(format!("step {step} of `{id}` ended twice; the first end counts"));
                    }
                    Some(step) => {
                        step.status = *status;
                        step.took_us = Some(*took_us);
                        step.reason.clone_from(reason);
                    }
                    None => self.odd(format!("`{id}` has no step {step}, but an end of it")),
                }
            }
            Event::EvidenceTaken { id: None, evidence, .. } => {
                if let Some(grade) = GivenGrade::of_evidence(evidence) {
                    self.model.grade = Some(grade);
                    return;
                }
                self.model.evidence.push(RunEvidence { at_us: record.mono_us, evidence: evidence.clone() });
            }
            Event::EvidenceTaken { id: Some(id), step, evidence } => {
                let Some(place) = self.place(&id.0) else { return };
                let scenario = &mut self.model.scenarios[place];
                match step.and_then(|step| scenario.steps.get_mut(step)) {
                    Some(step) => step.evidence.push(evidence.clone()),
                    None => scenario.evidence.push(evidence.clone()),
                }
            }
            Event::ScenarioFinished { id, outcome, reason, took_ms } => {
                let Some(place) = self.place(&id.0) else { return };
                if std::mem::replace(&mut self.ended[place], true) {
                    return self.odd(format!("`{id}` ended twice; the first end counts"));
                }
                let scenario = &mut self.model.scenarios[place];
                scenario.outcome = *outcome;
                scenario.reason.clone_from(reason);
                scenario.took_ms = Some(*took_ms);
                // What does not apply and what was never run has no start; anything else came of something.
                let by_itself = matches!(outcome, Outcome::NotApplicable | Outcome::NotRun);
                if !by_itself && !self.started[place] {
                    self.odd(format!("`{id}` is {} without a start", outcome.word()));
                }
            }
            _ => {}
        }
    }

    fn finish(mut self, catalog: &[RequirementInfo]) -> Model {
        self.close_open_scenarios();
        self.account();
        let unsound = self.model.unsound();
        let run = &mut self.model.run;
        run.verdict =
            match (run.exit.map(|code| (code, Exit::ALL.iter().find(|e| e.code() == code))), run.state) {
                (Some((_, Some(exit))), _) => exit.meaning().to_owned(),
                (Some((code, None)), _) => format!("unknown exit code {code}"),
                (None, RunState::Running) => "no verdict: the run is still going".to_owned(),
                (None, _) => "no verdict: the run was killed before its end".to_owned(),
            };
        if let Some(why) = unsound {
            run.verdict = format!("no verdict: {why}");
        }
        let (command, seed) = (run.command.clone(), run.seed);
        for scenario in &mut self.model.scenarios {
            if scenario.outcome != Outcome::Passed {
                scenario.repeat = Some(repeat::command(&command, &scenario.id, seed));
            }
        }
        let waived = self.model.with_outcome(Outcome::Waived).map(|scenario| Waived {
            scenario: scenario.id.clone(),
            requirements: scenario.requirements.clone(),
            reason: scenario
                .reason
                .clone()
                .unwrap_or_else(|| Reason::new(ReasonKind::Waiver, "no reason was recorded")),
        });
        self.model.waivers = waived.collect();
        self.model.requirements = requirements(&self.model.scenarios, catalog);
        self.model.matrix = self.matrix(false);
        self.model.control_matrix = self.matrix(true);
        self.model
    }

    fn matrix(&self, of_controls: bool) -> Option<TenantMatrix> {
        // The namespaces of cases that are made at random are no tenants.
        let of_tenants =
            self.model.scenarios.iter().filter(|scenario| !scenario.id.starts_with(repeat::FUZZED));
        let bodies = of_tenants.flat_map(Scenario::all_evidence).map(|e| &e.body);
        TenantMatrix::fold(bodies.filter(
            |body| matches!(body, EvidenceBody::Matrix { control, .. } if control.is_some() == of_controls),
        ))
    }

    /// A scenario without an end has the outcome of what happened to the run: nothing is silently skipped.
    fn close_open_scenarios(&mut self) {
        let (run, kind) = match (self.declared, self.model.run.state) {
            (Some(_), _) => ("the run ended without saying what became of it", ReasonKind::Trouble),
            (None, RunState::Running) => ("the run is still going", ReasonKind::Trouble),
            (None, _) => ("the run was killed", ReasonKind::Interrupted),
        };
        for (place, scenario) in self.model.scenarios.iter_mut().enumerate() {
            if self.ended[place] {
                continue;
            }
            if self.started[place] {
                scenario.outcome = Outcome::Inconclusive;
                let step = scenario.steps.iter().find(|step| step.took_us.is_none());
                let at =
                    step.map_or_else(String::new, |step| format!(" at `{} {}`", step.keyword, step.text));
                scenario.reason = Some(Reason::new(kind, format!("{run}{at}")));
            } else {
                scenario.outcome = Outcome::NotRun;
                scenario.reason = Some(Reason::new(kind, format!("{run} before it started")));
            }
        }
    }

    fn account(&mut self) {
        let tally: Tally = self.model.scenarios.iter().map(|scenario| scenario.outcome).collect();
        let planned = self.model.scenarios.len();
        self.model.tally = tally;
        self.model.accounting.planned = planned;
        self.model.accounting.counted = tally.total();
        self.model.accounting.ended = self.ended.iter().filter(|ended| **ended).count();
        if !self.planned {
            self.odd("there is no plan");
        }
        self.account_for_proof();
        if let Some(declared) = self.declared {
            if declared != tally {
                self.odd(format!(
                    "the run counted {}, its scenarios say {}",
                    super::words::tally(&declared),
                    super::words::tally(&tally)
                ));
            }
            let open = planned - self.model.accounting.ended;
            if open > 0 {
                let scenarios = count(open, "planned scenario has", "planned scenarios have");
                self.odd(format!("{scenarios} no outcome in the journal, though the run ended"));
            }
            self.account_for_exit(&tally);
        }
    }

    /// Only passed is proof, so nothing passes whose steps did not all hold. Looked at when everything is read,
    /// so that nothing that comes later mends it.
    fn account_for_proof(&mut self) {
        let mut problems = Vec::new();
        for scenario in self.model.scenarios.iter().filter(|scenario| scenario.outcome == Outcome::Passed) {
            let unproven = scenario.steps.iter().filter(|step| step.status != StepStatus::Passed).count();
            if scenario.steps.is_empty() {
                problems.push(format!("`{}` is passed without any step", scenario.id));
            } else if unproven > 0 {
                let steps = count(unproven, "step that did not pass", "steps that did not pass");
                problems.push(format!("`{}` is passed with {steps}", scenario.id));
            }
        }
        self.model.accounting.problems.extend(problems);
    }

    /// The exit code is declared by the last record, so it is checked against everything that it follows from.
    fn account_for_exit(&mut self, tally: &Tally) {
        // Without a plan there is nothing that it could follow from, which is said already.
        let Some(declared) = self.model.run.exit.filter(|_| self.planned) else { return };
        let could = exits(*tally, self.model.run.signal.as_deref(), self.model.leftovers.len());
        if !could.contains(&declared) {
            let could: Vec<String> = could.iter().map(u8::to_string).collect();
            self.odd(format!("the run ended with exit {declared}, its scenarios say {}", could.join(" or ")));
        }
    }
}

/// Every exit code with which a run can have ended. The journal does not have whether a waiver was
/// expired or not needed, nor whether the run's own books failed: so each is taken both ways.
fn exits(tally: Tally, signal: Option<&str>, leftovers: usize) -> BTreeSet<u8> {
    let signals: &[Option<Signal>] = match signal {
        None => &[None],
        Some(name) if name == Signal::Interrupt.name() => &[Some(Signal::Interrupt)],
        Some(name) if name == Signal::Terminate.name() => &[Some(Signal::Terminate)],
        Some(_) => &[Some(Signal::Interrupt), Some(Signal::Terminate)],
    };
    let mut codes = BTreeSet::new();
    for signal in signals {
        for (waiver_problems, broken) in [(0, false), (1, false), (0, true), (1, true)] {
            let planned = tally.total();
            let end = RunEnd { tally, planned, signal: *signal, waiver_problems, leftovers, broken };
            codes.insert(crate::engine::exit(&end).code());
        }
    }
    codes
}

fn to_second(time: Timestamp) -> String {
    time.round(Unit::Second).unwrap_or(time).to_string()
}

fn scenario_of(planned: &PlannedScenario) -> Scenario {
    Scenario {
        id: planned.id.0.clone(),
        file: planned.file.clone(),
        line: planned.line,
        feature: planned.feature.clone(),
        name: planned.name.clone(),
        requirements: planned.requirements.clone(),
        tags: planned.tags.clone(),
        risk: planned.risk,
        needs: planned.needs.clone(),
        deadline_ms: planned.deadline_ms,
        outcome: Outcome::NotRun,
        reason: None,
        started_us: None,
        took_ms: None,
        steps: planned
            .steps
            .iter()
            .map(|step| Step {
                keyword: step.keyword.clone(),
                text: step.text.clone(),
                line: step.line,
                background: step.background,
                status: StepStatus::NotReached,
                took_us: None,
                reason: None,
                evidence: Vec::new(),
            })
            .collect(),
        evidence: Vec::new(),
        repeat: None,
    }
}

/// The catalogue's requirements in its order, then those that only scenarios know.
fn requirements(scenarios: &[Scenario], catalog: &[RequirementInfo]) -> Vec<Requirement> {
    let mut of: BTreeMap<&str, Vec<&Scenario>> = BTreeMap::new();
    for scenario in scenarios {
        for id in &scenario.requirements {
            of.entry(id).or_default().push(scenario);
        }
    }
    let known = catalog.iter().map(|info| (info.clone(), of.remove(info.id.as_str()).unwrap_or_default()));
    let mut all: Vec<(RequirementInfo, Vec<&Scenario>)> = known.collect();
    for (id, scenarios) in of {
        let family = id.split('-').next().unwrap_or(id);
        let level = if scenarios.iter().all(|s| s.tags.iter().any(|tag| tag == "should")) {
            Level::Should
        } else {
            Level::Must
        };
        let info = RequirementInfo {
            id: id.to_owned(),
            level,
            family: all
                .iter()
                .find(|(info, _)| info.id.split('-').next() == Some(family))
                .map_or_else(|| family.to_owned(), |(info, _)| info.family.clone()),
            promise: "not in the catalogue".to_owned(),
            controls: Vec::new(),
        };
        all.push((info, scenarios));
    }
    all.into_iter()
        .map(|(info, scenarios)| Requirement {
            info,
            outcome: worst(scenarios.iter().map(|scenario| scenario.outcome)),
            tally: scenarios.iter().map(|scenario| scenario.outcome).collect(),
            scenarios: scenarios.iter().map(|scenario| scenario.id.clone()).collect(),
        })
        .collect()
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
