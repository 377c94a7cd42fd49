//! `plimsoll run`.

use std::path::PathBuf;
use std::sync::Arc;

use super::lab;
use crate::bdd;
use crate::cli::args::{Keep, ReportForm, ReportTarget, RunArgs};
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{access, agent_image, catalog, output, place, recorded, soundness};
use crate::cluster::{Cluster, PeerClusters, RunId, Target};
use crate::engine::{Plan, Signal};
use crate::evidence::{self, Bundle, Journal};
use crate::exit::Exit;
use crate::profile::LoadedPlatform;
use crate::report::{self, Format, GivenGrade, LiveOptions, LiveReporter, RequirementInfo};
use crate::session::{self, ClusterStage, Ended, RunOrder, Signals};
use crate::tenant::AgentImage;

/// Everything of a run that has been resolved and checked, for one run or for many.
pub(super) struct Prepared {
    platform: Arc<LoadedPlatform>,
    features: Vec<cucumber::gherkin::Feature>,
    plan: Plan,
    pub(super) seed: u64,
    concurrency: usize,
    keep: session::Keep,
    runs: PathBuf,
    reports: Vec<(Format, PathBuf)>,
    requirements: Vec<RequirementInfo>,
    grade: Option<GivenGrade>,
    /// The other clusters of the fleet.
    peers: PeerClusters,
}

impl Prepared {
    pub(super) fn order(&self, id: RunId, seed: u64, live: Option<LiveReporter>) -> RunOrder {
        RunOrder {
            id,
            command: command_line(),
            platform: Arc::clone(&self.platform),
            features: self.features.clone(),
            plan: self.plan.clone(),
            steps: bdd::step_definitions(),
            seed,
            concurrency: self.concurrency,
            keep: self.keep,
            runs: self.runs.clone(),
            reports: self.reports.clone(),
            requirements: self.requirements.clone(),
            live,
        }
    }

    pub(super) fn stage(&self, cluster: &Cluster, image: &AgentImage) -> ClusterStage {
        let stage = ClusterStage::new(cluster.clone(), Arc::clone(&self.platform), image.clone());
        stage.given(self.grade.as_ref().map(GivenGrade::evidence)).beside(self.peers.clone())
    }
}

/// Runs what is selected, and says where the evidence lies.
pub(super) fn run(args: &RunArgs, layers: &Layers, terminal: Terminal, quiet: bool) -> Result<Exit, Failure> {
    // Everything that can be refused is refused here, before anything is touched.
    let platform = Arc::new(catalog::platform(&layers.profile(args.profile.profile.clone()))?);
    let all = catalog::load(&layers.features(args.select.features.clone()).value)?;
    let plan = catalog::plan(&all, catalog::selection(&args.select, layers), &platform, terminal)?;
    let grade = args.grade.as_deref().map(recorded::grade).transpose()?;
    let target = access::target(&args.access, layers)?;
    access::check_peers(&args.peers, &platform)?;
    let runs = place::writable(&layers.reports_dir(args.place.reports_dir.clone()))?;
    let (later, reports) = split(&args.report);
    let mut prepared = Prepared {
        features: all.gherkin(&plan),
        plan,
        seed: args.seed.unwrap_or_else(rand::random),
        concurrency: layers.jobs(args.jobs).value.map_or(RunOrder::CONCURRENCY, usize::from),
        keep: match args.keep.unwrap_or_default() {
            Keep::Never => session::Keep::Never,
            Keep::Failed => session::Keep::Failed,
            Keep::Always => session::Keep::Always,
        },
        runs,
        reports,
        requirements: recorded::requirement_infos(all.requirements()),
        platform: Arc::clone(&platform),
        grade,
        peers: PeerClusters::default(),
    };
    block_on(async {
        let options = access::options(&args.access, terminal, true);
        let mut signals = Signals::of_process()
            .map_err(|error| Failure::trouble("cannot listen to signals").because(error))?;
        if let Target::Lab { name } = &target {
            tokio::select! {
                up = lab::ensure(name, platform.platform.spec.environment, quiet) => up?,
                signal = signals.next() => {
                    // Nothing of the run exists yet; the lab's own processes end with us or stay whole.
                    return Ok(match signal {
                        Signal::Interrupt => Exit::Interrupted,
                        Signal::Terminate => Exit::Terminated,
                    });
                }
            }
        }
        let cluster = access::connect_to(&target, &platform, &options).await?;
        prepared.peers = access::peers(&args.peers, layers, &platform.platform, terminal, quiet).await?;
        let image = agent_image::choose(&target, args.agent_image.as_deref())?;
        soundness::ensure(&cluster, &platform.platform, None).await?;
        for peer in prepared.peers.all() {
            let place = args.peers.peer.iter().find(|target| target.name == peer.name);
            let place = place.map(|target| target.cluster.to_string());
            soundness::ensure(&peer.cluster, &platform.platform, place.as_deref()).await?;
        }
        if let Some(times) = args.repeat {
            let times =
                super::repeat::Times { runs: times.into(), until_disagreement: args.until_disagreement };
            return super::repeat::run(&prepared, times, &cluster, &image, &mut signals).await;
        }
        let id = RunId::random();
        let order = prepared.order(id.clone(), prepared.seed, (!quiet).then(|| live(terminal)));
        let mut stage = prepared.stage(&cluster, &image);
        let ended = session::run(order, &mut stage, &mut signals)
            .await
            .map_err(|error| Failure::diagnostic(Exit::Usage, error))?;
        finish(&ended, &id, &later, terminal, quiet)
    })
}

/// What is left to do once a run has ended: the summary, and where things lie.
fn finish(
    ended: &Ended,
    id: &RunId,
    later: &[ReportTarget],
    terminal: Terminal,
    quiet: bool,
) -> Result<Exit, Failure> {
    for trouble in &ended.troubles {
        output::note(format_args!("warning: {trouble}"));
    }
    let journal = ended.directory.join(Journal::FILE);
    let model = recorded::model(&evidence::read(&journal).map_err(recorded::unreadable)?)?;
    let bundle = ended.directory.join(Bundle::FILE);
    let mut exit = ended.exit;
    for target in later {
        if let Err(failure) = super::report::write(target, &model, &bundle, terminal) {
            // The verdict stands in the journal; a report that cannot be written must not hide it.
            let found = failure.report();
            exit = if exit == Exit::Conformant { found } else { exit };
        }
    }
    let to_stdout = later.iter().any(|target| target.path.is_none());
    if !to_stdout {
        let printed = output::print(&report::render_terminal(&model, terminal.stdout_color));
        if let Err(failure) = printed {
            let found = failure.report();
            exit = if exit == Exit::Conformant { found } else { exit };
        }
    }
    if !quiet {
        where_it_lies(ended, id);
    }
    Ok(exit)
}

/// Where the evidence lies: the last lines of a run.
pub(super) fn where_it_lies(ended: &Ended, id: &RunId) {
    let directory = ended.directory.canonicalize().unwrap_or_else(|_| ended.directory.clone());
    let file = |name: &str| directory.join(name).display().to_string();
    output::note(format_args!("report    {}", file(Format::Html.file_name())));
    output::note(format_args!("evidence  {}", file(Bundle::FILE)));
    if !ended.leftovers.is_empty() {
        output::note(format_args!("left over {}", cleanup(None, Some(id.as_str()))));
    }
}

/// How the run is shown while it goes.
fn live(terminal: Terminal) -> LiveReporter {
    let options =
        LiveOptions { color: terminal.stderr_color, progress: terminal.interactive, ..LiveOptions::detect() };
    LiveReporter::new(options, Box::new(std::io::stderr()))
}

/// Reports that are written after the run, by us, and those that the run writes itself.
fn split(targets: &[ReportTarget]) -> (Vec<ReportTarget>, Vec<(Format, PathBuf)>) {
    let mut later = Vec::new();
    let mut own = Vec::new();
    for target in targets {
        match (target.form, &target.path) {
            (ReportForm::Rendered(format), Some(path)) => own.push((format, path.clone())),
            _ => later.push(target.clone()),
        }
    }
    (later, own)
}

/// The command that removes or puts back what this one, as typed, has left; [`report::cleanup`] says what it takes.
pub(in crate::cli) fn cleanup(peer: Option<&str>, run: Option<&str>) -> String {
    report::cleanup(&command_line(), peer, run)
}

/// The command as typed, for the report. None of our arguments takes a secret.
pub(super) fn command_line() -> Vec<String> {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let mut command = vec!["plimsoll".to_owned()];
    words.next();
    command.extend(words);
    command
}
