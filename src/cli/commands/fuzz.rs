//! `plimsoll fuzz`.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::lab;
use crate::cli::args::{FuzzCommand, FuzzNetworkArgs};
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::output::{Listing, count};
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{access, agent_image, catalog, place};
use crate::cluster::{Cluster, ImageDelivery, Ownership, RunId, Target};
use crate::engine::Signal;
use crate::exit::Exit;
use crate::fuzz::{
    Bounds, Disagreement, Equipment, Order, Origin, Progress, Recorded, Report, Reproduction, Source,
    clean_up,
};
use crate::profile::Platform;
use crate::report::write_atomically;
use crate::session::Signals;
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
    let platform = catalog::platform(&layers.profile(args.profile.profile.clone()))?.platform;
    let seed = args.seed.unwrap_or_else(rand::random);
    let source = source(args, seed)?;
    let target = access::target(&args.access, layers)?;
    let runs = place::writable(&layers.reports_dir(args.place.reports_dir.clone()))?;
    let run = RunId::random();
    let generated = matches!(source, Source::Generated { .. });
    if !quiet {
        let of = if generated { format!(", seed {seed}") } else { String::new() };
        eprintln!("run {run}: {}{of}", count(source.count(), "case"));
    }
    block_on(async {
        let mut signals = Signals::of_process()
            .map_err(|error| Failure::trouble("cannot listen to signals").because(error))?;
        if let Target::Lab { name } = &target {
            tokio::select! {
                up = lab::ensure(name, platform.spec.environment, quiet) => up?,
                signal = signals.next() => return Ok(interrupted(signal)),
            }
        }
        let cluster = access::connect(&args.access, layers, &platform, terminal, true).await?;
        let planted = cluster.provider().planted().await;
        for planted in &planted {
            eprintln!("warning: {planted}");
        }
        let image = agent_image::choose(&target, args.agent_image.as_deref())?;
        let equipment = equipment(&cluster, &platform, &run, &image).await?;
        let bounds = Bounds {
            tries: args.shrink_tries.unwrap_or(SHRINK_TRIES).into(),
            time: args.shrink_for.unwrap_or(SHRINK_FOR),
        };
        let order = Order {
            equipment,
            prefix: format!("plim-{run}"),
            source,
            parallel: args.parallel.unwrap_or(PARALLEL).into(),
            convergence: platform.spec.deadlines.policy_convergence.get(),
            bounds: (!bounds.time.is_zero() && bounds.tries > 0).then_some(bounds),
        };
        let told = Cell::new(0);
        let show = |progress| {
            if !quiet {
                show(progress, &told);
            }
        };
        let ended = tokio::select! {
            ended = crate::fuzz::run(&order, false, &show) => Ok(ended),
            signal = signals.next() => Err(signal),
        };
        let stays = tokio::select! {
            stays = clean_up(&order.equipment, platform.spec.deadlines.teardown.get()) => left_over(stays),
            // Whoever asks twice does not want to wait; what is left is found by its labels.
            signal = signals.next() => {
                eprintln!("left over: plimsoll cleanup --run {run}");
                return Ok(interrupted(signal));
            }
        };
        for (name, why) in &stays {
            eprintln!("left over: namespace {name}: {why} (plimsoll cleanup --run {run})");
        }
        let report = match ended {
            Err(signal) => return Ok(interrupted(signal)),
            Ok(Err(trouble)) => {
                return Err(Failure::trouble("the cases could not be tried")
                    .because(trouble.to_string())
                    .into());
            }
            Ok(Ok(report)) => report,
        };
        let directory = runs.join(run.as_str());
        let seed = generated.then_some(seed);
        let files = write_reproductions(&report, &order.source, seed, &planted, &directory)?;
        tell(args, &report, seed, &run, &planted, &files)?;
        Ok(judge(&report, &stays))
    })
}

/// The exit code: what disagrees comes first, then what could not be told, then what is left.
fn judge(report: &Report, stays: &[(String, String)]) -> Exit {
    if !report.disagreements.is_empty() {
        return Exit::Failed;
    }
    let doubts = report.doubts();
    for doubt in &doubts {
        eprintln!("could not tell: {doubt}");
    }
    match (doubts.is_empty(), stays.is_empty()) {
        (false, _) => Exit::Inconclusive,
        (true, false) => Exit::Leftovers,
        (true, true) => Exit::Conformant,
    }
}

fn interrupted(signal: Signal) -> Exit {
    match signal {
        Signal::Interrupt => Exit::Interrupted,
        Signal::Terminate => Exit::Terminated,
    }
}

fn left_over(stays: Result<Vec<(String, String)>, crate::cluster::ClusterError>) -> Vec<(String, String)> {
    stays.unwrap_or_else(|error| vec![("(any)".to_owned(), format!("nobody could look: {error}"))])
}

/// Where the cases come from.
fn source(args: &FuzzNetworkArgs, seed: u64) -> Result<Source, Failure> {
    if let Some(path) = &args.replay {
        let wrong =
            |why: String| Failure::usage(format!("{} cannot be tried again", path.display())).because(why);
        let read = Reproduction::read(&text(path)?).map_err(wrong)?;
        let layout = read.layout().map_err(wrong)?;
        return Ok(Source::Given { layout, cases: vec![read.case] });
    }
    if let Some(path) = &args.cases_from {
        let wrong = |why: String| Failure::usage(format!("{} holds no cases", path.display())).because(why);
        let read = Recorded::read(&text(path)?).map_err(wrong)?;
        let wanted = (0..read.cases.len()).filter(|number| args.all || read.cases[*number].default);
        let cases: Vec<_> = wanted.filter_map(|number| read.case(number)).collect();
        return Ok(Source::Given { layout: read.layout(), cases });
    }
    let cases = usize::try_from(args.cases.unwrap_or(CASES)).unwrap_or(usize::MAX);
    Ok(Source::Generated { seed, cases })
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
) -> Result<Equipment, Failure> {
    let provider = cluster.provider();
    let delivery = match &image.archive {
        Some(archive) if provider.loads_images() => {
            provider.load_image(archive).await.map_err(access::refused)?
        }
        _ => ImageDelivery::ByReference,
    };
    let deadlines = &platform.spec.deadlines;
    let ownership = Ownership::of_run(run.clone(), deadlines.run.get() * 2);
    Equipment::new(cluster.clone(), ownership, image.reference.clone(), delivery, deadlines)
        .await
        .map_err(access::refused)
}

/// Says what is going on. On a terminal every case, elsewhere each tenth of them.
fn show(progress: Progress, told: &Cell<usize>) {
    match progress {
        Progress::Standing { pods, took } => {
            eprintln!("{} stand after {:.1}s", count(pods, "pod"), took.as_secs_f64());
        }
        Progress::Compared { done, all } => {
            let tenth = done * 10 / all.max(1);
            if std::io::stderr().is_terminal() {
                eprint!("\r{done} of {all} cases compared");
                if done == all {
                    eprintln!();
                }
            } else if tenth > told.replace(tenth) {
                eprintln!("{done} of {all} cases compared");
            }
        }
        Progress::Disagrees { number, name, first, more } => {
            eprintln!(
                "case {number} ({name}) disagrees: expected {} to {}:{}/{} to be {}, saw {}{}",
                first.from,
                first.to,
                first.port,
                first.protocol,
                first.expected,
                first.seen,
                if more > 0 { format!(" (and {more} more)") } else { String::new() }
            );
        }
        Progress::Smaller { policies, rules } => {
            eprintln!("  smaller: {policies} policies, at most {rules} rules each");
        }
    }
}

/// Writes what disagrees to files from which it can be tried again.
fn write_reproductions(
    report: &Report,
    source: &Source,
    seed: Option<u64>,
    planted: &[String],
    directory: &Path,
) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for Disagreement { number, shrunk, .. } in &report.disagreements {
        let origin = Origin {
            seed,
            number: number + 1,
            tries: shrunk.tries,
            smallest: shrunk.complete,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            planted: planted.to_vec(),
        };
        let path = directory.join(format!("reproduction-{}.yaml", number + 1));
        let (case, deviations) = (shrunk.case.clone(), shrunk.deviations.clone());
        let written = Reproduction::new(origin, &source.layout(), case, deviations)
            .text(&path.display().to_string())
            .map_err(|why| Failure::trouble("cannot write the reproduction").because(why))?;
        std::fs::create_dir_all(directory)
            .and_then(|()| write_atomically(&path, written.as_bytes()))
            .map_err(|error| Failure::trouble(format!("cannot write {}", path.display())).because(error))?;
        eprintln!(
            "smallest case found: {} (plimsoll fuzz network --replay {})",
            size(shrunk),
            path.display()
        );
        files.push(path);
    }
    Ok(files)
}

fn size(shrunk: &crate::fuzz::Shrunk) -> String {
    let (policies, rules) = shrunk.case.size();
    let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
    format!("{policies} with at most {} after {}", count(rules, "rule"), tries(shrunk.tries))
}

fn tries(number: usize) -> String {
    if number == 1 { "1 try".to_owned() } else { format!("{number} tries") }
}

/// The data, for people or programs.
fn tell(
    args: &FuzzNetworkArgs,
    report: &Report,
    seed: Option<u64>,
    run: &RunId,
    planted: &[String],
    files: &[PathBuf],
) -> Result<(), Failure> {
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
        .zip(files)
        .map(|(one, file)| {
            json!({
                "case": one.number + 1,
                "reproduction": file,
                "policies": one.shrunk.case.size().0,
                "rules": one.shrunk.case.size().1,
                "tries": one.shrunk.tries,
                "smallest": one.shrunk.complete,
                "deviations": one.shrunk.deviations,
            })
        })
        .collect();
    listing.print(
        args.output,
        &json!({
            "run": run.as_str(), "seed": seed, "planted": planted, "tally": tally,
            "disagreements": disagreements, "doubts": report.doubts(),
        }),
    )
}
