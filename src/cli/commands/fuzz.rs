//! `plimsoll fuzz`.

use std::cell::{Cell, OnceCell};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::lab;
use crate::cli::args::{FuzzCommand, FuzzNetworkArgs};
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::output::{self, Listing, count};
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{access, agent_image, catalog, place, recorded, soundness};
use crate::cluster::{Cluster, ClusterError, ImageDelivery, Ownership, RunId, Target};
use crate::engine::{EventSink, Plan, Reason, ReasonKind, Signal};
use crate::exit::Exit;
use crate::fuzz::{
    Bounds, Disagreement, Equipment, Order, Origin, Progress, Recorded, Recorder, Report, Reproduction,
    Shrunk, Source, Trouble, clean_up,
};
use crate::profile::{LoadedPlatform, Platform};
use crate::report::{replay, write_atomically};
use crate::session::{self, Closing, Leftover, Recording, RunOrder, Signals};
use crate::tenant::AgentImage;

const CASES: u32 = 100;
const PARALLEL: u16 = 4;
const SHRINK_FOR: Duration = Duration::from_secs(180);
const SHRINK_TRIES: u16 = 200;

/// Runs it.
pub(super) fn run(
    command: &FuzzCommand,
    layers: &Layers,
    terminal: Terminal,
    quiet: bool,
) -> Result<Exit, Failure> {
    match command {
        FuzzCommand::Network(args) => network(args, layers, terminal, quiet),
    }
}

fn network(
    args: &FuzzNetworkArgs,
    layers: &Layers,
    terminal: Terminal,
    quiet: bool,
) -> Result<Exit, Failure> {
    // Everything that can be refused is refused here, before anything is touched.
    let platform = catalog::platform(&layers.profile(args.profile.profile.clone()))?;
    let seed = args.seed.unwrap_or_else(rand::random);
    let (source, from) = source(args, seed)?;
    let target = access::target(&args.access, layers)?;
    let runs = place::writable(&layers.reports_dir(args.place.reports_dir.clone()))?;
    let order = order(args, platform, crate::fuzz::plan(&source, from, &origin(args, seed)), seed, runs)?;
    let asked =
        Asked { args, source, from, order, generated: args.replay.is_none() && args.cases_from.is_none() };
    if !quiet {
        let of = if asked.generated { format!(", seed {seed}") } else { String::new() };
        output::note(format_args!(
            "run {}: {}{of}",
            asked.order.id,
            count(asked.order.plan.scenarios.len(), "case")
        ));
    }
    block_on(async {
        let platform = &asked.order.platform.platform;
        let mut signals = Signals::of_process()
            .map_err(|error| Failure::trouble("cannot listen to signals").because(error))?;
        if let Target::Lab { name } = &target {
            tokio::select! {
                up = lab::ensure(name, platform.spec.environment, quiet) => up?,
                signal = signals.next() => return Ok(interrupted(signal)),
            }
        }
        let cluster = access::connect(&args.access, layers, &asked.order.platform, terminal, true).await?;
        let image = agent_image::choose(&target, args.agent_image.as_deref())?;
        soundness::ensure(&cluster, platform, None).await?;
        record(&asked, &cluster, &image, &mut signals, quiet).await
    })
}

/// What was asked for, resolved.
struct Asked<'a> {
    args: &'a FuzzNetworkArgs,
    source: Source,
    /// The number of the first case, from 0.
    from: usize,
    /// As the run's record has it.
    order: RunOrder,
    generated: bool,
}

/// The run as its record has it: a case is a scenario.
fn order(
    args: &FuzzNetworkArgs,
    platform: LoadedPlatform,
    plan: Plan,
    seed: u64,
    runs: PathBuf,
) -> Result<RunOrder, Failure> {
    Ok(RunOrder {
        id: RunId::random(),
        command: super::run::command_line(),
        platform: Arc::new(platform),
        plan,
        features: Vec::new(),
        steps: cucumber::step::Collection::new(),
        seed,
        concurrency: args.parallel.unwrap_or(PARALLEL).into(),
        keep: session::Keep::Never,
        runs,
        reports: Vec::new(),
        requirements: recorded::requirement_infos(&catalog::requirements()?),
        live: None,
    })
}

/// Compares, and leaves a record of it whatever happens meanwhile.
async fn record(
    asked: &Asked<'_>,
    cluster: &Cluster,
    image: &AgentImage,
    signals: &mut Signals,
    quiet: bool,
) -> Result<Exit, Failure> {
    let order = &asked.order;
    let books = Recording::begin(order, None).map_err(|error| Failure::diagnostic(Exit::Usage, error))?;
    if let Some(unpointed) = books.point_latest() {
        output::note(format_args!("warning: {unpointed}"));
    }
    let run = Comparing {
        asked,
        cluster,
        image,
        planted: cluster.provider().planted().await,
        events: books.events(),
        recorder: Recorder::new(books.events().clone()),
        equipment: OnceCell::new(),
        versions: OnceCell::new(),
        quiet,
    };
    for planted in &run.planted {
        output::note(format_args!("warning: {planted}"));
    }
    let (came, mut signal) = tokio::select! {
        came = run.compare() => (came, None),
        signal = signals.next() => {
            books.interrupted(signal);
            let by = format!("the run was ended by {}", signal.name());
            (Err(Reason::new(ReasonKind::Interrupted, by)), Some(signal))
        }
        () = books.lost() => {
            let lost = "the journal could not be written any more";
            (Err(Reason::new(ReasonKind::Trouble, lost)), None)
        }
    };
    let (unstarted, doubts) = match &came {
        Err(reason) => {
            let message = format!("not looked at to the end: {}", reason.message);
            run.recorder.cut_off(&Reason { message, ..reason.clone() });
            let doubts = if signal.is_some() { Vec::new() } else { vec![reason.message.clone()] };
            (reason.clone(), doubts)
        }
        Ok(report) => {
            let trouble = |message: String| Reason::new(ReasonKind::Trouble, message);
            match report.disagreements.first() {
                // What is certain goes before what is not.
                Some(one) => {
                    for trouble in &report.troubles {
                        output::note(format_args!("warning: {trouble}"));
                        books.events().warn(trouble.clone());
                    }
                    let to = format!("case {} disagrees, and is to be understood first", one.number + 1);
                    (trouble(to), Vec::new())
                }
                None => (trouble("its world is not what it should be any more".to_owned()), report.doubts()),
            }
        }
    };
    for doubt in &doubts {
        output::note(format_args!("could not tell: {doubt}"));
    }
    let leftovers = removed(run.equipment.get(), order, signals, &mut signal, &books).await;
    let told = doubts.clone();
    let closing = Closing {
        unstarted: Reason { message: format!("not started: {}", unstarted.message), ..unstarted },
        signal,
        leftovers,
        doubts,
        versions: run.versions.get().cloned().unwrap_or_default(),
    };
    let planted = run.planted.clone();
    drop(run);
    let ended = books.close(closing).await;
    for trouble in ended.troubles.iter().filter(|trouble| !told.contains(trouble)) {
        output::note(format_args!("warning: {trouble}"));
    }
    for Leftover { reference, why } in &ended.leftovers {
        output::note(format_args!("left over: {reference}: {why}"));
    }
    let mut exit = ended.exit;
    if let Ok(report) = &came
        && let Err(failure) = tell(asked, report, &planted)
    {
        // What was found stands in the journal; that nobody reads it here must not hide it.
        let found = failure.report();
        exit = if exit == Exit::Conformant { found } else { exit };
    }
    if !quiet {
        super::run::where_it_lies(&ended, &order.id);
    }
    Ok(exit)
}

/// A run that compares.
struct Comparing<'a> {
    asked: &'a Asked<'a>,
    cluster: &'a Cluster,
    image: &'a AgentImage,
    planted: Vec<String>,
    events: &'a EventSink,
    recorder: Recorder,
    /// Known from the moment when something can be made with it.
    equipment: OnceCell<Equipment>,
    versions: OnceCell<serde_json::Value>,
    quiet: bool,
}

impl Comparing<'_> {
    /// What came of it, or why nothing did.
    async fn compare(&self) -> Result<Report, Reason> {
        let (args, order) = (self.asked.args, &self.asked.order);
        let platform = &order.platform.platform;
        let mut versions = session::see(self.cluster, platform, self.events).await.map_err(Reason::from)?;
        versions["agentImage"] = self.image.reference.clone().into();
        let _ = self.versions.set(versions);
        let made = equipment(self.cluster, platform, &order.id, self.image).await.map_err(Reason::from)?;
        let equipment = self.equipment.get_or_init(|| made);
        let bounds = Bounds {
            tries: args.shrink_tries.unwrap_or(SHRINK_TRIES).into(),
            time: args.shrink_for.unwrap_or(SHRINK_FOR),
        };
        let cases = Order {
            equipment: equipment.clone(),
            prefix: format!("plim-{}", order.id),
            source: self.asked.source.clone(),
            from: self.asked.from,
            parallel: order.concurrency,
            convergence: platform.spec.deadlines.policy_convergence.get(),
            bounds: (!bounds.time.is_zero() && bounds.tries > 0).then_some(bounds),
        };
        let told = Cell::new(0);
        let note = |progress: Progress| {
            let file = self.keep(&progress);
            let again = file.map(|file| replay(&self.asked.order.command, &file));
            self.recorder.note(&progress, again.as_deref());
            if !self.quiet {
                show(&progress, &told);
            }
        };
        crate::fuzz::run(&cases, false, &note).await.map_err(|trouble| match trouble {
            Trouble::Cluster(error) => error.into(),
            other => Reason::new(ReasonKind::Trouble, other.to_string()),
        })
    }

    /// Writes the file from which a case that disagrees can be tried again: as soon as it is found, so that it is not
    /// lost with the run, and once more when it is as small as it gets.
    fn keep(&self, progress: &Progress) -> Option<PathBuf> {
        match progress {
            Progress::Looked(looked) if !looked.deviations().is_empty() => {
                write_reproduction(self.asked, looked.number, &looked.found(), &self.planted)
            }
            Progress::Understood { number, shrunk } => {
                write_reproduction(self.asked, *number, shrunk, &self.planted)
            }
            _ => None,
        }
    }
}

/// Removes everything of the run; a second signal ends that, and what is left is found by its labels.
async fn removed(
    equipment: Option<&Equipment>,
    order: &RunOrder,
    signals: &mut Signals,
    signal: &mut Option<Signal>,
    books: &Recording<'_>,
) -> Vec<Leftover> {
    let Some(equipment) = equipment else { return Vec::new() };
    let everything = |why: String| {
        let reference = format!("whatever carries the label {}={}", crate::cluster::RUN_LABEL, order.id);
        vec![Leftover { reference, why }]
    };
    let within = order.platform.platform.spec.deadlines.teardown.get();
    let mut removing = std::pin::pin!(clean_up(equipment, within));
    loop {
        tokio::select! {
            removed = &mut removing => {
                let named = |(name, why)| Leftover { reference: format!("v1/Namespace {name}"), why };
                return match removed {
                    Ok(stays) => stays.into_iter().map(named).collect(),
                    Err(error) => everything(format!("nobody could look: {error}")),
                };
            }
            came = signals.next() => {
                if signal.is_some() {
                    return everything("removal was cut off".to_owned());
                }
                books.interrupted(came);
                *signal = Some(came);
            }
        }
    }
}

fn interrupted(signal: Signal) -> Exit {
    match signal {
        Signal::Interrupt => Exit::Interrupted,
        Signal::Terminate => Exit::Terminated,
    }
}

/// Where the cases come from, in the words of a report.
fn origin(args: &FuzzNetworkArgs, seed: u64) -> String {
    match args.replay.as_ref().or(args.cases_from.as_ref()) {
        Some(file) => file.display().to_string(),
        None => format!("seed {seed}"),
    }
}

/// Where the cases come from, and the number of the first.
fn source(args: &FuzzNetworkArgs, seed: u64) -> Result<(Source, usize), Failure> {
    let only = args.case.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let from = only.map_or(0, |number| number - 1);
    if let Some(path) = &args.replay {
        let wrong =
            |why: String| Failure::usage(format!("{} cannot be tried again", path.display())).because(why);
        let read = Reproduction::read(&text(path)?).map_err(wrong)?;
        let layout = read.layout().map_err(wrong)?;
        return Ok((Source::Given { layout, cases: vec![read.case] }, 0));
    }
    if let Some(path) = &args.cases_from {
        let wrong = |why: String| Failure::usage(format!("{} holds no cases", path.display())).because(why);
        let read = Recorded::read(&text(path)?).map_err(wrong)?;
        let wanted = (0..read.cases.len()).filter(|number| args.all || read.cases[*number].default);
        let mut cases: Vec<_> = wanted.filter_map(|number| read.case(number)).collect();
        if let Some(only) = only {
            if only > cases.len() {
                return Err(Failure::usage(format!("there is no case {only} in {}", path.display()))
                    .hint(format!("it holds {}", count(cases.len(), "case")))
                    .into());
            }
            cases.truncate(only);
        }
        return Ok((Source::Given { layout: read.layout(), cases }, from));
    }
    if only.is_some() && args.seed.is_none() {
        return Err(Failure::usage("--case needs to know of which seed")
            .hint("name the seed that the earlier run has printed with --seed")
            .into());
    }
    let cases = only.unwrap_or_else(|| usize::try_from(args.cases.unwrap_or(CASES)).unwrap_or(usize::MAX));
    Ok((Source::Generated { seed, cases }, from))
}

fn text(path: &Path) -> Result<String, Failure> {
    Ok(std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(error))?)
}

/// What the worlds are made with.
async fn equipment(
    cluster: &Cluster,
    platform: &Platform,
    run: &RunId,
    image: &AgentImage,
) -> Result<Equipment, ClusterError> {
    let provider = cluster.provider();
    let delivery = match &image.archive {
        Some(archive) if provider.loads_images() => provider.load_image(archive).await?,
        _ => ImageDelivery::ByReference,
    };
    let deadlines = &platform.spec.deadlines;
    let ownership = Ownership::of_run(run.clone(), deadlines.run.get() * 2);
    Equipment::new(cluster.clone(), ownership, image.reference.clone(), delivery, deadlines).await
}

/// Says what is going on. On a terminal every case, elsewhere each tenth of them.
fn show(progress: &Progress, told: &Cell<usize>) {
    // Over the line that counts, on a terminal.
    let over = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    match progress {
        Progress::Standing { pods, took } => {
            output::note(format_args!("{} stand after {:.1}s", count(*pods, "pod"), took.as_secs_f64()));
        }
        Progress::Compared { done, all } => {
            let (done, all) = (*done, *all);
            let tenth = done * 10 / all.max(1);
            if std::io::stderr().is_terminal() {
                output::say(format_args!("\r{done} of {all} cases compared"));
                if done == all {
                    output::note("");
                }
            } else if tenth > told.replace(tenth) {
                output::note(format_args!("{done} of {all} cases compared"));
            }
        }
        Progress::Looked(looked) => {
            if let Some((first, rest)) = looked.deviations().split_first() {
                let more =
                    if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                output::note(format_args!(
                    "{over}case {} ({}) disagrees: {first}{more}",
                    looked.number + 1,
                    looked.case.name
                ));
            }
        }
        Progress::Smaller { policies, rules } => {
            output::note(format_args!("{over}  smaller: {policies} policies, at most {rules} rules each"));
        }
        Progress::Stuck { number, why } => {
            output::note(format_args!("{over}case {} could not be tried: {why}", number + 1));
        }
        Progress::Begins { .. } | Progress::Enters(_) | Progress::Understood { .. } => {}
    }
}

/// The file from which a case that disagrees can be tried again.
fn reproduction(asked: &Asked<'_>, number: usize) -> PathBuf {
    asked.order.directory().join(format!("reproduction-{}.yaml", number + 1))
}

/// Writes it; where that fails, the journal has the case all the same.
fn write_reproduction(
    asked: &Asked<'_>,
    number: usize,
    shrunk: &Shrunk,
    planted: &[String],
) -> Option<PathBuf> {
    let origin = Origin {
        seed: asked.generated.then_some(asked.order.seed),
        number: number + 1,
        tries: shrunk.tries,
        smallest: shrunk.complete,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        planted: planted.to_vec(),
    };
    let path = reproduction(asked, number);
    let (case, deviations) = (shrunk.case.clone(), shrunk.deviations.clone());
    let written = Reproduction::new(origin, &asked.source.layout(), case, deviations)
        .text(&replay(&asked.order.command, &path))
        .and_then(|text| write_atomically(&path, text.as_bytes()).map_err(|error| error.to_string()));
    match written {
        Ok(()) => Some(path),
        Err(why) => {
            output::note(format_args!("warning: cannot write {}: {why}", path.display()));
            None
        }
    }
}

fn size(shrunk: &Shrunk) -> String {
    let (policies, rules) = shrunk.case.size();
    let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
    format!("{policies} with at most {} after {}", count(rules, "rule"), tries(shrunk.tries))
}

fn tries(number: usize) -> String {
    if number == 1 { "1 try".to_owned() } else { format!("{number} tries") }
}

/// The data, for people or programs.
fn tell(asked: &Asked<'_>, report: &Report, planted: &[String]) -> Result<(), Failure> {
    let file = |number| Some(reproduction(asked, number)).filter(|file| file.is_file());
    for Disagreement { number, shrunk, .. } in &report.disagreements {
        let what = if shrunk.tries == 0 { "the case as it was found" } else { "smallest case found" };
        let again = file(*number).map(|file| format!(" ({})", replay(&asked.order.command, &file)));
        output::note(format_args!("{what}: {}{}", size(shrunk), again.unwrap_or_default()));
    }
    let tally = &report.tally;
    let mut listing = Listing::new(vec!["what", "how many"], 2);
    let seconds = |ms: u64| format!("{:.1}s", ms as f64 / 1000.0);
    for (what, value) in [
        ("cases compared", tally.cases.to_string()),
        ("stages measured", tally.stages.to_string()),
        ("paths compared", tally.paths.to_string()),
        ("of them to be open", tally.open.to_string()),
        ("of them to be closed", tally.closed.to_string()),
        ("paths not defined, not tried", tally.undefined.to_string()),
        ("paths that agreed late", format!("{} (latest {})", tally.late, seconds(tally.latest_ms))),
        (
            "policy in force after",
            format!(
                "{} (median), {} (longest)",
                seconds(tally.in_force_p50_ms),
                seconds(tally.in_force_max_ms)
            ),
        ),
        ("cases that disagree", report.disagreements.len().to_string()),
        ("set up in", seconds(tally.set_up_ms)),
        ("compared in", seconds(tally.took_ms)),
        ("cases a minute", tally.cases_a_minute.to_string()),
    ] {
        listing.row([what.to_owned(), value]);
    }
    let disagreements: Vec<_> = report
        .disagreements
        .iter()
        .map(|one| {
            json!({
                "case": one.number + 1,
                "reproduction": file(one.number),
                "policies": one.shrunk.case.size().0,
                "rules": one.shrunk.case.size().1,
                "tries": one.shrunk.tries,
                "smallest": one.shrunk.complete,
                "deviations": one.shrunk.deviations,
            })
        })
        .collect();
    listing.print(
        asked.args.output,
        &json!({
            "run": asked.order.id.as_str(), "seed": asked.generated.then_some(asked.order.seed), "planted": planted, "tally": tally,
            "disagreements": disagreements, "doubts": report.doubts(),
        }),
    )
}
