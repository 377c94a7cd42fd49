//! Cucumber's runner edge: scenarios side by side, each step under its deadline and under cancellation.
//!
//! Cucumber's own runner has no deadline and no cancellation, knows one global `@serial`, and silences the
//! place of a panic for the whole run. Here no step can escape these, since the runner applies them.

use std::{
    collections::HashMap,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use cucumber::{
    Event, Runner, cli,
    event::{self, RetryableScenario, Source},
    gherkin, parser, step,
};
use futures::{
    Stream, StreamExt as _,
    channel::{mpsc, oneshot},
    future::LocalBoxFuture,
    stream::FuturesUnordered,
};

use super::{PlanIndex, Raised, RunContext, ScenarioContext, World, panics};
use crate::{
    engine::{Notes, PlannedScenario, Reason, ReasonKind, Schedule},
    profile::Timespan,
};

type Output = parser::Result<Event<event::Cucumber<World>>>;

/// Runs the scenarios of a plan.
#[derive(Debug)]
pub struct ScenarioRunner {
    run: Arc<RunContext>,
    plan: Rc<PlanIndex>,
    steps: step::Collection<World>,
    concurrency: usize,
}

impl ScenarioRunner {
    /// A runner for `plan` with at most `concurrency` scenarios at the same time.
    pub fn new(
        run: Arc<RunContext>,
        plan: Rc<PlanIndex>,
        steps: step::Collection<World>,
        concurrency: usize,
    ) -> Self {
        Self { run, plan, steps, concurrency }
    }
}

impl Runner<World> for ScenarioRunner {
    type Cli = cli::Empty;
    type EventStream = EventStream;

    fn run<S>(self, features: S, _: cli::Empty) -> EventStream
    where
        S: Stream<Item = parser::Result<gherkin::Feature>> + 'static,
    {
        let (out, events) = mpsc::unbounded();
        let driver = drive(self, features, Out(out));
        EventStream { events, driver: Some(Box::pin(driver)), handled: None }
    }
}

/// The events of a run. Whoever emits one goes on only once the writer has handled it, so that the order of
/// the journal is the order in which things happened.
pub struct EventStream {
    events: mpsc::UnboundedReceiver<(Output, oneshot::Sender<()>)>,
    driver: Option<LocalBoxFuture<'static, ()>>,
    handled: Option<oneshot::Sender<()>>,
}

impl Stream for EventStream {
    type Item = Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Output>> {
        // To be asked for the next event means that the last one has been handled.
        if let Some(handled) = self.handled.take() {
            let _ = handled.send(());
        }
        loop {
            if let Poll::Ready(next) = self.events.poll_next_unpin(cx) {
                return Poll::Ready(next.map(|(event, handled)| {
                    self.handled = Some(handled);
                    event
                }));
            }
            let Some(driver) = self.driver.as_mut() else { return Poll::Pending };
            if driver.as_mut().poll(cx).is_ready() {
                self.driver = None;
            } else if let Poll::Ready(next) = self.events.poll_next_unpin(cx) {
                return Poll::Ready(next.map(|(event, handled)| {
                    self.handled = Some(handled);
                    event
                }));
            } else {
                return Poll::Pending;
            }
        }
    }
}

/// The sending half of [`EventStream`].
#[derive(Clone)]
struct Out(mpsc::UnboundedSender<(Output, oneshot::Sender<()>)>);

impl Out {
    /// Emits an event and returns once it has been handled.
    async fn emit(&self, event: event::Cucumber<World>) {
        self.send(Ok(Event::new(event))).await;
    }

    async fn send(&self, event: Output) {
        let (done, handled) = oneshot::channel();
        // The receiver goes away only together with the driver.
        if self.0.unbounded_send((event, done)).is_ok() {
            let _ = handled.await;
        }
    }
}

/// One scenario, ready to run.
struct Job {
    planned: PlannedScenario,
    feature: Source<gherkin::Feature>,
    rule: Option<Source<gherkin::Rule>>,
    scenario: Source<gherkin::Scenario>,
    steps: Vec<(Source<gherkin::Step>, bool)>,
}

impl Job {
    fn event(&self, event: event::Scenario<World>) -> event::Cucumber<World> {
        event::Cucumber::scenario(
            self.feature.clone(),
            self.rule.clone(),
            self.scenario.clone(),
            RetryableScenario { event, retries: None },
        )
    }

    fn step_event(
        &self,
        (step, background): &(Source<gherkin::Step>, bool),
        event: event::Step<World>,
    ) -> event::Cucumber<World> {
        self.event(if *background {
            event::Scenario::Background(step.clone(), event)
        } else {
            event::Scenario::Step(step.clone(), event)
        })
    }
}

async fn drive<S>(runner: ScenarioRunner, features: S, out: Out)
where
    S: Stream<Item = parser::Result<gherkin::Feature>> + 'static,
{
    let ScenarioRunner { run, plan, steps, concurrency } = runner;
    out.emit(event::Cucumber::Started).await;
    let jobs = collect(&plan, features, &out).await;

    let mut open = Open::new(&jobs);
    let mut schedule = Schedule::new(jobs.iter().map(|job| &job.planned), concurrency);
    let mut running = FuturesUnordered::new();
    loop {
        while !run.cancel.is_cancelled()
            && let Some(index) = schedule.start_next()
        {
            let Some(job) = jobs.get(index) else { continue };
            open.start(job, &out).await;
            let scenario = ScenarioContext::new(Arc::clone(&run), &job.planned);
            let (steps, out) = (&steps, &out);
            running.push(async move {
                run_scenario(job, steps, scenario, out).await;
                index
            });
        }
        let Some(index) = running.next().await else { break };
        schedule.finished(index);
        if let Some(job) = jobs.get(index) {
            open.finish(job, &out).await;
        }
    }
    out.emit(event::Cucumber::Finished).await;
}

/// Takes in every feature and pairs its scenarios with those of the plan, in the plan's order.
async fn collect<S>(plan: &PlanIndex, features: S, out: &Out) -> Vec<Job>
where
    S: Stream<Item = parser::Result<gherkin::Feature>>,
{
    let mut features = std::pin::pin!(features);
    let mut jobs: Vec<(usize, Job)> = Vec::new();
    let (mut feature_count, mut rule_count, mut step_count, mut parser_errors) = (0, 0, 0, 0);
    while let Some(feature) = features.next().await {
        let feature = match feature {
            Ok(feature) => Source::new(feature),
            Err(error) => {
                parser_errors += 1;
                out.send(Err(error)).await;
                continue;
            }
        };
        feature_count += 1;
        rule_count += feature.rules.len();
        let plain = feature.scenarios.iter().map(|scenario| (None, scenario));
        let in_rules = feature.rules.iter().flat_map(|rule| {
            let source = Source::new(rule.clone());
            rule.scenarios.iter().map(move |scenario| (Some(source.clone()), scenario))
        });
        for (rule, scenario) in plain.chain(in_rules) {
            let Some(index) = plan.find(&feature, scenario) else { continue };
            let Some(planned) = plan.get(index) else { continue };
            let of_feature = feature.background.iter();
            let of_rule = rule.iter().filter_map(|rule| rule.background.as_ref());
            let background = of_feature.chain(of_rule).flat_map(|background| &background.steps);
            let steps: Vec<_> = background
                .map(|step| (Source::new(step.clone()), true))
                .chain(scenario.steps.iter().map(|step| (Source::new(step.clone()), false)))
                .collect();
            step_count += steps.len();
            jobs.push((
                index,
                Job {
                    planned: planned.clone(),
                    feature: feature.clone(),
                    rule: rule.clone(),
                    scenario: Source::new(scenario.clone()),
                    steps,
                },
            ));
        }
    }
    out.emit(event::Cucumber::ParsingFinished {
        features: feature_count,
        rules: rule_count,
        scenarios: jobs.len(),
        steps: step_count,
        parser_errors,
    })
    .await;
    jobs.sort_by_key(|(index, _)| *index);
    jobs.into_iter().map(|(_, job)| job).collect()
}

/// Which features and rules are open, so that each is started before its first scenario and finished after
/// its last.
struct Open {
    features: HashMap<Source<gherkin::Feature>, (bool, usize)>,
    rules: HashMap<Source<gherkin::Rule>, (bool, usize)>,
}

impl Open {
    fn new(jobs: &[Job]) -> Self {
        let mut open = Self { features: HashMap::new(), rules: HashMap::new() };
        for job in jobs {
            open.features.entry(job.feature.clone()).or_insert((false, 0)).1 += 1;
            if let Some(rule) = &job.rule {
                open.rules.entry(rule.clone()).or_insert((false, 0)).1 += 1;
            }
        }
        open
    }

    async fn start(&mut self, job: &Job, out: &Out) {
        if let Some((started @ false, _)) = self.features.get_mut(&job.feature) {
            *started = true;
            out.emit(event::Cucumber::feature_started(job.feature.clone())).await;
        }
        if let Some(rule) = &job.rule
            && let Some((started @ false, _)) = self.rules.get_mut(rule)
        {
            *started = true;
            out.emit(event::Cucumber::rule_started(job.feature.clone(), rule.clone())).await;
        }
    }

    async fn finish(&mut self, job: &Job, out: &Out) {
        if let Some(rule) = &job.rule
            && let Some((_, left)) = self.rules.get_mut(rule)
        {
            *left -= 1;
            if *left == 0 {
                out.emit(event::Cucumber::rule_finished(job.feature.clone(), rule.clone())).await;
            }
        }
        if let Some((_, left)) = self.features.get_mut(&job.feature) {
            *left -= 1;
            if *left == 0 {
                out.emit(event::Cucumber::feature_finished(job.feature.clone())).await;
            }
        }
    }
}

async fn run_scenario(job: &Job, steps: &step::Collection<World>, scenario: ScenarioContext, out: &Out) {
    out.emit(job.event(event::Scenario::Started)).await;
    match <World as cucumber::World>::new().await {
        Ok(mut world) => {
            world.enter(scenario.clone());
            for (index, step) in job.steps.iter().enumerate() {
                scenario.at_step(index);
                if !run_step(job, step, steps, &scenario, &mut world, out).await {
                    break;
                }
            }
        }
        Err(error) => {
            let reason = Reason::new(ReasonKind::Trouble, format!("could not set up the scenario: {error}"));
            let hook = event::Scenario::hook_failed(event::HookType::Before, None, Arc::new(reason));
            out.emit(job.event(hook)).await;
        }
    }
    out.emit(job.event(event::Scenario::Finished)).await;
}

/// Runs one step; false if it ended the scenario.
async fn run_step(
    job: &Job,
    step: &(Source<gherkin::Step>, bool),
    steps: &step::Collection<World>,
    scenario: &ScenarioContext,
    world: &mut World,
    out: &Out,
) -> bool {
    out.emit(job.step_event(step, event::Step::Started)).await;
    let (function, captures, place, context) = match steps.find(&step.0) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let failed = event::Step::Failed(None, None, None, event::StepError::NotFound);
            out.emit(job.step_event(step, failed)).await;
            return false;
        }
        Err(ambiguous) => {
            let error = event::StepError::AmbiguousMatch(ambiguous);
            out.emit(job.step_event(step, event::Step::Failed(None, None, None, error))).await;
            return false;
        }
    };

    let notes = Notes::default();
    let deadline = scenario.deadline();
    let ended = {
        let mut body = std::pin::pin!(panics::watch(notes.clone().scope(function(world, context))));
        tokio::select! {
            biased;
            () = scenario.run().cancel.cancelled() => Err(interrupted(&notes)),
            ended = &mut body => ended.map_err(|caught| reason_of(caught, place)),
            () = tokio::time::sleep_until(deadline) => Err(too_late(job.planned.deadline_ms, &notes)),
        }
    };
    match ended {
        Ok(()) => {
            out.emit(job.step_event(step, event::Step::Passed(captures, place))).await;
            true
        }
        Err(reason) => {
            let error = event::StepError::Panic(Arc::new(reason));
            let failed = event::Step::Failed(Some(captures), place, None, error);
            out.emit(job.step_event(step, failed)).await;
            false
        }
    }
}

fn interrupted(notes: &Notes) -> Reason {
    let message = match notes.describe() {
        Some(what) => format!("interrupted while waiting for {what}"),
        None => "interrupted".into(),
    };
    Reason::new(ReasonKind::Interrupted, message)
}

fn too_late(deadline_ms: u64, notes: &Notes) -> Reason {
    let deadline = Timespan::from_millis(deadline_ms);
    let message = match notes.describe() {
        Some(what) => format!("the scenario's deadline of {deadline} passed while waiting for {what}"),
        None => format!("the scenario's deadline of {deadline} passed"),
    };
    Reason::new(ReasonKind::Trouble, message)
}

fn reason_of(caught: panics::Caught, step: Option<step::Location>) -> Reason {
    if let Some(reason) = Raised::decode(&caught.message) {
        return reason;
    }
    let place = caught.place.or_else(|| step.map(|step| step.to_string()));
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    let mut reason =
        Reason::new(ReasonKind::Trouble, format!("the step panicked{place}: {}", caught.message));
    reason.hint = Some("this is a defect of the harness, not of the platform: please report it".into());
    reason
}
