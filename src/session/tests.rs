//! Whole runs on a stage that is not there, with toy features.

use std::{path::Path, sync::Arc, time::Duration};

use proptest::prelude::*;
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::{
    bdd::{Services, step_definitions},
    catalog::{Catalog, PlanRequest, Requirements, Source},
    cluster::RunId,
    engine::{Event, Outcome, Plan, Reason, ReasonKind, Selection, Signal},
    evidence::{self, Integrity, Journal},
    exit::Exit,
};

/// A stage that does as it is told.
#[derive(Default)]
struct Toy {
    fails_to_open: bool,
    never_opens: bool,
    loses: Option<Arc<Notify>>,
    hung: Option<Arc<Notify>>,
    never_closes: Option<Arc<Notify>>,
    leftovers: Vec<Leftover>,
    opened: bool,
    closed: bool,
    /// Where events go, once it is open.
    events: Option<crate::engine::EventSink>,
}

impl Toy {
    fn tenant(&self, name: &str) {
        self.events.iter().for_each(|events| {
            events.emit(Event::TenantReady {
                name: name.into(),
                role: crate::engine::TenantRole::Subject,
                namespaces: vec![format!("toy-{name}")],
                adapter: "manifests".into(),
                took_ms: 1,
            });
        });
    }
}

impl Stage for Toy {
    async fn open(&mut self, run: &StageRun) -> Result<Opened, Reason> {
        self.opened = true;
        self.events = Some(run.events.clone());
        self.tenant("alpha");
        if self.fails_to_open {
            return Err(Reason::new(
                ReasonKind::Trouble,
                "the API server https://198.18.0.1 does not answer",
            ));
        }
        if self.never_opens {
            std::future::pending::<()>().await;
        }
        let capabilities = run
            .needs
            .iter()
            .map(|name| Detected { name: name.clone(), detected: Some(false), probe: "no answer".into() })
            .collect();
        let mut services = Services::default();
        if let Some(hung) = &self.hung {
            services = services.with(Arc::clone(hung));
        }
        Ok(Opened { context: "toy".into(), services, capabilities, versions: serde_json::Value::Null })
    }

    async fn lost(&self) -> String {
        match &self.loses {
            Some(loses) => loses.notified().await,
            None => std::future::pending().await,
        }
        "the API server has not answered for 20s".into()
    }

    async fn close(&mut self, _: Duration) -> Vec<Leftover> {
        if let Some(closing) = &self.never_closes {
            closing.notify_one();
            std::future::pending::<()>().await;
        }
        self.closed = true;
        self.leftovers.clone()
    }

    async fn abandon(&mut self) {
        // A tenant that becomes ready in the last moment.
        self.tenant("late");
        self.events = None;
    }
}

fn leftover() -> Leftover {
    Leftover { reference: "v1/Namespace toy-alpha".into(), why: "finalizer example.com/never".into() }
}

fn plan(feature: &str) -> (Plan, Vec<cucumber::gherkin::Feature>) {
    let requirements =
        Requirements::parse("- { id: NET-02, level: must, promise: apart, source: Network }").unwrap();
    let source = Source::new("features/toy.feature", "toy", feature);
    let catalog = Catalog::from_sources(requirements, vec![source], Vec::new(), Vec::new());
    let request = PlanRequest { selection: Selection::default(), deadline: Duration::from_hours(2) };
    let plan = catalog.plan(&request).unwrap();
    let features = catalog.gherkin(&plan);
    (plan, features)
}

fn order(feature: &str, runs: &Path) -> RunOrder {
    let (plan, features) = plan(feature);
    RunOrder {
        id: RunId::parse("toy23").unwrap(),
        command: vec!["plimsoll".into(), "run".into()],
        platform: Arc::new(crate::profile::load_lab().unwrap()),
        plan,
        features,
        steps: step_definitions(),
        seed: 1,
        concurrency: 2,
        keep: Keep::Never,
        runs: runs.to_owned(),
        reports: Vec::new(),
        requirements: Vec::new(),
        live: None,
    }
}

/// What came of a run, as its journal has it.
struct Came {
    ended: Ended,
    events: Vec<Event>,
}

impl Came {
    fn outcomes(&self) -> Vec<(String, Outcome, String)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::ScenarioFinished { id, outcome, reason, .. } => Some((
                    id.0.clone(),
                    *outcome,
                    reason.as_ref().map(|reason| reason.message.clone()).unwrap_or_default(),
                )),
                _ => None,
            })
            .collect()
    }

    fn warnings(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Warning { message } => Some(message.as_str()),
                _ => None,
            })
            .collect()
    }
}

async fn came(order: RunOrder, stage: &mut Toy, signals: &mut Signals) -> Came {
    let directory = order.directory();
    let planned = order.plan.scenarios.len();
    let ended = run(order, stage, signals).await.unwrap();
    let journal = evidence::read(&directory.join(Journal::FILE)).unwrap();
    assert_eq!(journal.integrity(), Integrity::Intact, "{:?}", journal.problems);
    let events: Vec<Event> = journal.records.into_iter().map(|record| record.event).collect();
    // Whatever happens, these hold.
    assert!(matches!(events.first(), Some(Event::RunStarted { .. })));
    assert!(matches!(events.get(1), Some(Event::Planned { .. })));
    let Some(Event::RunFinished { tally, exit, .. }) = events.last() else { panic!("no end: {events:?}") };
    assert_eq!(tally.total(), planned);
    if ended.troubles.is_empty() {
        assert_eq!(*exit, ended.exit.code());
    }
    for file in ["report.html", "report.json", "junit.xml", "report.md", "bundle.tar.gz"] {
        assert!(directory.join(file).is_file(), "{file} is missing: {:?}", ended.troubles);
    }
    Came { ended, events }
}

const FINE: &str = "@NET-02 @must\nFeature: Fine\n\n  Scenario: one\n    Then toy: nothing\n\n  Scenario: two\n    Then toy: nothing\n";
const BROKEN: &str = "@NET-02 @must\nFeature: Broken\n\n  Scenario: one\n    Then toy: a promise is broken\n\n  Scenario: two\n    Then toy: nothing\n";
const HANGS: &str = "@NET-02 @must\nFeature: Hangs\n\n  Scenario: one\n    When toy: it hangs\n    Then toy: nothing\n\n  @serial\n  Scenario: two\n    Then toy: nothing\n";
const NEEDS: &str = "@NET-02 @must\nFeature: Needs\n\n  @risk-fault\n  Scenario: one\n    Then toy: nothing\n\n  @needs-dns\n  Scenario: two\n    Then toy: nothing\n";

#[tokio::test]
async fn a_run_that_proves_everything_is_conformant() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Toy::default();
    let came = came(order(FINE, dir.path()), &mut stage, &mut Signals::channel().1).await;
    assert_eq!(came.ended.exit, Exit::Conformant);
    assert!(came.ended.all_passed());
    assert!(stage.closed);
    assert_eq!(came.warnings(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_broken_promise_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let came = came(order(BROKEN, dir.path()), &mut Toy::default(), &mut Signals::channel().1).await;
    assert_eq!(came.ended.exit, Exit::Failed);
}

#[tokio::test]
async fn leftovers_show_only_where_the_verdict_is_fine() {
    for (feature, exit) in [(FINE, Exit::Leftovers), (BROKEN, Exit::Failed)] {
        let dir = tempfile::tempdir().unwrap();
        // Two ways lead to the same object: by its tenant, and by its label.
        let mut stage = Toy { leftovers: vec![leftover(), leftover()], ..Toy::default() };
        let came = came(order(feature, dir.path()), &mut stage, &mut Signals::channel().1).await;
        assert_eq!(came.ended.exit, exit);
        assert_eq!(came.ended.leftovers, [leftover()]);
        let told = came.events.iter().filter(|event| matches!(event, Event::Leftover { .. })).count();
        assert_eq!(told, 1);
    }
}

#[tokio::test]
async fn a_stage_that_cannot_open_leaves_everything_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Toy { fails_to_open: true, ..Toy::default() };
    let came = came(order(FINE, dir.path()), &mut stage, &mut Signals::channel().1).await;
    assert_eq!(came.ended.exit, Exit::Inconclusive);
    assert_eq!(came.ended.tally.not_run, 2);
    assert_eq!(came.outcomes()[0].2, "not started: the API server https://198.18.0.1 does not answer");
    assert!(stage.closed);
}

#[tokio::test]
async fn what_the_platform_does_not_have_is_not_applicable_and_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut order = order(NEEDS, dir.path());
    let platform = Arc::make_mut(&mut order.platform);
    platform.platform.spec.capabilities.clear();
    platform.platform.spec.risk_ceiling = crate::engine::Risk::Load;
    let came = came(order, &mut Toy::default(), &mut Signals::channel().1).await;
    assert_eq!(
        came.outcomes(),
        [
            (
                "toy/one".to_owned(),
                Outcome::NotApplicable,
                "the profile allows risk up to `load`, and this is `fault`".to_owned()
            ),
            (
                "toy/two".to_owned(),
                Outcome::NotApplicable,
                "the profile does not claim `dns`, and the cluster does not show it: no answer".to_owned()
            ),
        ]
    );
    assert_eq!(came.ended.exit, Exit::Inconclusive);
}

#[tokio::test]
async fn what_is_claimed_but_not_detected_runs_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut order = order(NEEDS, dir.path());
    let platform = Arc::make_mut(&mut order.platform);
    platform.platform.spec.capabilities = vec![crate::profile::Capability::Dns];
    platform.platform.spec.risk_ceiling = crate::engine::Risk::Fault;
    let came = came(order, &mut Toy::default(), &mut Signals::channel().1).await;
    assert_eq!(came.ended.tally.passed, 2);
}

/// A run whose scenario hangs, and something that happens meanwhile.
async fn while_hanging(
    mut stage: Toy,
    meanwhile: impl AsyncFnOnce(mpsc::UnboundedSender<Signal>, Arc<Notify>),
) -> (Came, Toy) {
    let dir = tempfile::tempdir().unwrap();
    let hung = Arc::new(Notify::new());
    stage.hung = Some(Arc::clone(&hung));
    let (sender, mut signals) = Signals::channel();
    let (came, ()) =
        tokio::join!(came(order(HANGS, dir.path()), &mut stage, &mut signals), meanwhile(sender, hung));
    (came, stage)
}

#[tokio::test]
async fn a_first_signal_ends_the_run_in_order() {
    for (signal, exit) in [(Signal::Interrupt, Exit::Interrupted), (Signal::Terminate, Exit::Terminated)] {
        let (came, stage) = while_hanging(Toy::default(), async |signals, hung| {
            hung.notified().await;
            signals.send(signal).unwrap();
        })
        .await;
        assert_eq!(came.ended.exit, exit);
        assert!(stage.closed);
        let name = signal.name();
        assert_eq!(
            came.outcomes(),
            [
                (
                    "toy/one".to_owned(),
                    Outcome::Inconclusive,
                    "interrupted while waiting for pod alpha/web-0 to be Ready (last seen: Pending: \
                     ErrImageNeverPull)"
                        .to_owned()
                ),
                ("toy/two".to_owned(), Outcome::NotRun, format!("not started: the run was ended by {name}")),
            ]
        );
        let interrupts = came.events.iter().filter(|event| matches!(event, Event::Interrupted { .. }));
        assert_eq!(interrupts.count(), 1);
    }
}

/// Of what was known to be there, and of what nobody has looked for.
const NOT_WAITED_FOR: &str = "its removal was not waited for";
const NOT_LOOKED: &str = "removal was cut off before anybody looked";

fn whys(came: &Came) -> Vec<&str> {
    came.ended.leftovers.iter().map(|left| left.why.as_str()).collect()
}

#[tokio::test]
async fn a_second_signal_stops_at_once_and_lists_what_is_left() {
    let closing = Arc::new(Notify::new());
    let stage = Toy { never_closes: Some(Arc::clone(&closing)), ..Toy::default() };
    let (came, _) = while_hanging(stage, async |signals, hung| {
        hung.notified().await;
        signals.send(Signal::Interrupt).unwrap();
        closing.notified().await;
        signals.send(Signal::Interrupt).unwrap();
    })
    .await;
    assert_eq!(came.ended.exit, Exit::Interrupted);
    assert_eq!(whys(&came), [NOT_WAITED_FOR, NOT_WAITED_FOR, NOT_LOOKED]);
}

#[tokio::test]
async fn a_signal_while_the_stage_opens_or_closes_is_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, mut signals) = Signals::channel();
    sender.send(Signal::Terminate).unwrap();
    let mut stage = Toy { never_opens: true, ..Toy::default() };
    let first = came(order(FINE, dir.path()), &mut stage, &mut signals).await;
    assert_eq!(first.ended.exit, Exit::Terminated);
    assert_eq!(first.ended.tally.not_run, 2);
    assert!(stage.closed);

    let dir = tempfile::tempdir().unwrap();
    let (sender, mut signals) = Signals::channel();
    let closing = Arc::new(Notify::new());
    let mut stage = Toy { never_closes: Some(Arc::clone(&closing)), ..Toy::default() };
    let (second, ()) = tokio::join!(came(order(FINE, dir.path()), &mut stage, &mut signals), async {
        closing.notified().await;
        sender.send(Signal::Interrupt).unwrap();
        sender.send(Signal::Interrupt).unwrap();
    });
    assert_eq!(second.ended.exit, Exit::Interrupted);
    assert_eq!(second.ended.tally.passed, 2);
    assert_eq!(whys(&second), [NOT_WAITED_FOR, NOT_WAITED_FOR, NOT_LOOKED]);
}

#[tokio::test]
async fn a_lost_cluster_ends_the_run_inconclusive() {
    let lost = Arc::new(Notify::new());
    let stage = Toy { loses: Some(Arc::clone(&lost)), ..Toy::default() };
    let (came, stage) = while_hanging(stage, async |_signals, hung| {
        hung.notified().await;
        lost.notify_one();
    })
    .await;
    assert_eq!(came.ended.exit, Exit::Inconclusive);
    assert_eq!(came.outcomes()[1].2, "not started: the API server has not answered for 20s");
    assert_eq!(came.warnings(), ["the API server has not answered for 20s; the run ends early"]);
    assert!(stage.closed);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_run_and_a_stage_that_hangs_have_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Toy { never_closes: Some(Arc::default()), ..Toy::default() };
    let mut order = order(HANGS, dir.path());
    Arc::make_mut(&mut order.platform).platform.spec.deadlines.run =
        crate::profile::Timespan::from_secs(3600);
    let came = came(order, &mut stage, &mut Signals::channel().1).await;
    assert_eq!(came.ended.exit, Exit::Inconclusive);
    assert_eq!(came.outcomes()[1].2, "not started: the run's deadline of 1h passed");
    assert_eq!(whys(&came), [NOT_WAITED_FOR, NOT_WAITED_FOR, NOT_LOOKED]);
}

#[tokio::test]
async fn tenants_are_kept_where_that_is_asked_for() {
    for (keep, feature, closed) in [
        (Keep::Never, BROKEN, true),
        (Keep::Failed, BROKEN, false),
        (Keep::Failed, FINE, true),
        (Keep::Always, FINE, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut stage = Toy::default();
        let command = ["plimsoll", "run", "--context", "qa"].map(str::to_owned).to_vec();
        let order = RunOrder { command, keep, ..order(feature, dir.path()) };
        let came = came(order, &mut stage, &mut Signals::channel().1).await;
        assert_eq!(stage.closed, closed, "{keep:?}");
        assert_eq!(came.warnings().len(), usize::from(!closed));
        // Where they are, and not on the lab.
        let named = |warning: &&str| warning.contains("`plimsoll cleanup --context qa --run toy23`");
        assert!(came.warnings().iter().all(named), "{:?}", came.warnings());
    }
}

#[tokio::test]
async fn waivers_that_expire_or_are_not_needed_fail_the_run() {
    let waiver = |expires: &str| crate::profile::Waiver {
        requirement: Some("NET-02".into()),
        scenario: None,
        reason: "known".into(),
        owner: "team".into(),
        expires: expires.parse().unwrap(),
        contexts: Vec::new(),
    };
    for (feature, expires, exit) in [
        (BROKEN, "2999-01-01", Exit::Conformant),
        (FINE, "2999-01-01", Exit::Failed),
        (FINE, "2000-01-01", Exit::Failed),
        (BROKEN, "2000-01-01", Exit::Failed),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut order = order(feature, dir.path());
        Arc::make_mut(&mut order.platform).platform.spec.waivers = vec![waiver(expires)];
        let came = came(order, &mut Toy::default(), &mut Signals::channel().1).await;
        assert_eq!(came.ended.exit, exit, "{expires}");
    }
}

#[tokio::test]
async fn a_run_directory_that_is_taken_is_refused_before_anything_happens() {
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Toy::default();
    came(order(FINE, dir.path()), &mut stage, &mut Signals::channel().1).await;
    let mut again = Toy::default();
    let error = run(order(FINE, dir.path()), &mut again, &mut Signals::channel().1).await.unwrap_err();
    assert!(matches!(error, SessionError::Journal(_)), "{error}");
    assert!(!again.opened);
}

#[tokio::test]
async fn a_run_that_is_killed_is_the_last_one_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    point_latest(dir.path(), "before").unwrap();
    let (mut stage, mut signals) = (Toy { never_opens: true, ..Toy::default() }, Signals::channel().1);
    let running = run(order(FINE, dir.path()), &mut stage, &mut signals);
    tokio::time::timeout(Duration::from_millis(100), running).await.unwrap_err();
    assert_eq!(std::fs::read_link(dir.path().join(LATEST)).unwrap(), Path::new("toy23"));
}

#[tokio::test]
async fn a_report_that_cannot_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut order = order(FINE, dir.path());
    order.reports = vec![(crate::report::Format::Json, "/proc/nowhere/report.json".into())];
    let came = came(order, &mut Toy::default(), &mut Signals::channel().1).await;
    assert_eq!(came.ended.exit, Exit::Inconclusive);
    assert_eq!(came.ended.troubles.len(), 1);
}

/// A kubeconfig that leads to a server on this port of loopback.
fn kubeconfig(dir: &Path, port: u16) -> std::path::PathBuf {
    let file = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: plimsoll-toy\n\
         clusters: [{{ name: toy, cluster: {{ server: 'http://127.0.0.1:{port}' }} }}]\n\
         users: [{{ name: toy, user: {{ token: nobody }} }}]\n\
         contexts: [{{ name: plimsoll-toy, context: {{ cluster: toy, user: toy }} }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

async fn cluster_stage(
    dir: &Path,
    port: u16,
    platform: &Arc<crate::profile::LoadedPlatform>,
) -> ClusterStage {
    let target = crate::cluster::Target::Kubeconfig { file: Some(kubeconfig(dir, port)), context: None };
    let options = crate::cluster::ConnectOptions {
        mutating: true,
        request_timeout: None,
        ci: false,
        impersonate: None,
    };
    let cluster = crate::cluster::connect(&target, &platform.platform, &options).await.unwrap();
    let image = crate::tenant::AgentImage { reference: "plimsoll.dev/agent:toy".into(), archive: None };
    ClusterStage::new(cluster, Arc::clone(platform), image)
}

/// Answers every request on a port of loopback with the same words.
async fn server(status: &'static str, body: &'static str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

#[tokio::test]
async fn an_api_server_that_is_not_there_ends_the_run_with_whole_books() {
    let dir = tempfile::tempdir().unwrap();
    let order = order(FINE, dir.path());
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut stage = cluster_stage(dir.path(), port, &order.platform).await;
    let directory = order.directory();
    let ended = run(order, &mut stage, &mut Signals::channel().1).await.unwrap();
    assert_eq!(ended.exit, Exit::Inconclusive);
    assert_eq!(ended.tally.not_run, 2);
    assert!(ended.leftovers.is_empty());
    assert!(directory.join("junit.xml").is_file());
    let journal = evidence::read(&directory.join(Journal::FILE)).unwrap();
    assert_eq!(journal.integrity(), Integrity::Intact);
}

#[tokio::test]
async fn credentials_that_are_not_accepted_end_the_run_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let order = order(FINE, dir.path());
    let refused = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
    let port = server("401 Unauthorized", refused).await;
    let mut stage = cluster_stage(dir.path(), port, &order.platform).await;
    let directory = order.directory();
    let ended = run(order, &mut stage, &mut Signals::channel().1).await.unwrap();
    assert_eq!(ended.exit, Exit::Inconclusive);
    let journal = evidence::read(&directory.join(Journal::FILE)).unwrap();
    let reason = journal.records.iter().find_map(|record| match &record.event {
        Event::ScenarioFinished { reason, .. } => reason.clone(),
        _ => None,
    });
    let reason = reason.unwrap();
    assert!(reason.message.contains("does not accept the credentials"), "{}", reason.message);
    assert_eq!(reason.hint.as_deref(), Some("log in again (or renew the token), then repeat the run"));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_stays_away_counts_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Arc::new(crate::profile::load_lab().unwrap());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stage = cluster_stage(dir.path(), port, &platform).await;
    let why = stage.lost().await;
    assert!(why.starts_with(&format!("the API server http://127.0.0.1:{port} does not answer")), "{why}");
    assert!(why.ends_with("s)"), "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// However the scenarios end and whenever a signal comes, every planned scenario has exactly one outcome
    /// and the journal is whole ([`came`] checks both).
    #[test]
    fn the_sum_always_equals_the_plan(
        kinds in prop::collection::vec(0_usize..6, 1..10),
        concurrency in 1_usize..4,
        signal_after in prop::option::of(0_usize..60),
        fails_to_open in prop::bool::weighted(0.1),
    ) {
        let steps = ["Then toy: nothing", "Then toy: a promise is broken", "When toy: it panics",
            "When toy: 3 attempts are made", "When toy: nobody wrote this", "Then toy: the control was shut"];
        let scenario = |(index, kind): (usize, &usize)| format!("\n  Scenario: number {index}\n    {}\n", steps[*kind]);
        let feature = format!(
            "@NET-02 @must\nFeature: Any\n{}",
            kinds.iter().enumerate().map(scenario).collect::<String>()
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let came = runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let order = RunOrder { concurrency, ..order(&feature, dir.path()) };
            let mut stage = Toy { fails_to_open, ..Toy::default() };
            let (sender, mut signals) = Signals::channel();
            let run = came(order, &mut stage, &mut signals);
            let poke = async {
                if let Some(turns) = signal_after {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                    let _ = sender.send(Signal::Interrupt);
                }
            };
            tokio::join!(run, poke).0
        });
        prop_assert_eq!(came.ended.tally.total(), kinds.len());
    }
}
