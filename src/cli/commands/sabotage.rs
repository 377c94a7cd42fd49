//! `plimsoll sabotage`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::lab;
use crate::cli::args::{
    OutputFormat, SabotageCommand, SabotageExplainArgs, SabotageListArgs, SabotageRunArgs, SabotageSelectArgs,
};
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::output::{self, Listing};
use crate::cli::settings::Layers;
use crate::cli::soundness::refused;
use crate::cli::terminal::Terminal;
use crate::cli::{access, agent_image, catalog, topics};
use crate::cluster::{PeerClusters, Target};
use crate::engine::Signal;
use crate::exit::Exit;
use crate::report::{Grade, render_grade, render_survivor, write_atomically};
use crate::sabotage::{self, Edit, Order, Progress, Sabotage, SabotageError};
use crate::session::{RunOrder, Signals};

/// Lists, explains or runs.
pub(super) fn run(
    command: &SabotageCommand,
    layers: &Layers,
    terminal: Terminal,
    quiet: bool,
) -> Result<Exit, Failure> {
    match command {
        SabotageCommand::List(args) => list(args),
        SabotageCommand::Explain(args) => explain(args),
        SabotageCommand::Run(args) => grade(args, layers, terminal, quiet),
    }
}

fn list(args: &SabotageListArgs) -> Result<Exit, Failure> {
    let all = choose(sabotage::embedded().map_err(refused)?, &[], &args.select).map_err(refused)?;
    let mut listing = Listing::new(vec!["name", "noticed by", "breaks"], 2);
    listing.name = 0;
    let mut data = Vec::new();
    for one in &all {
        listing.row([one.name.clone(), one.requirements.join(" "), one.breaks.clone()]);
        data.push(serde_json::json!({
            "name": one.name, "breaks": one.breaks, "requirements": one.requirements, "scenarios": one.scenarios,
            "reason": one.reason,
        }));
    }
    listing.print(args.output, &data)?;
    Ok(Exit::Conformant)
}

fn explain(args: &SabotageExplainArgs) -> Result<Exit, Failure> {
    let all = sabotage::embedded().map_err(refused)?;
    let Some(one) = all.iter().find(|one| one.name == args.name) else {
        let near = topics::nearest(all.iter().map(|one| one.name.as_str()), &args.name);
        let hint = if near.is_empty() {
            "`plimsoll sabotage list` names them".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        };
        let message = SabotageError::Unknown { name: args.name.clone() }.to_string();
        return Err(Failure::usage(message).hint(hint).into());
    };
    let mut text = format!("{}\n", one.name);
    for line in textwrap::wrap(&one.breaks, 78) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "\n  must notice  {}", one.requirements.join(" "));
    for scenario in &one.scenarios {
        let _ = writeln!(text, "               {scenario}");
    }
    let _ = writeln!(text, "  by saying    {}", one.reason);
    let mut edits = |title: &str, edits: &[Edit], undone: &str| -> Result<(), Failure> {
        for edit in edits {
            let of = edit.of().map_err(refused)?;
            let _ = writeln!(text, "  {title:<11}  {} {of}", word(edit));
        }
        if !edits.is_empty() {
            let _ = writeln!(text, "               {undone}");
        }
        Ok(())
    };
    edits("blueprint", &one.blueprint, "in a copy: it goes with the tenants that are onboarded by it")?;
    edits(
        "cluster",
        &one.cluster,
        "the original is recorded on the cluster first, and put back and compared",
    )?;
    for edit in &one.lab {
        let place = edit.peer.as_ref().map(|peer| format!(" of the peer `{peer}`")).unwrap_or_default();
        let _ = writeln!(text, "  lab          changes {}{place} at {}", edit.file, edit.at);
    }
    if !one.lab.is_empty() {
        let _ = writeln!(
            text,
            "               the file is recorded on its cluster first, and put back and compared"
        );
    }
    if !one.tenants.is_empty() {
        let _ = writeln!(text, "  only for     {}", one.tenants.join(" "));
    }
    for sign in &one.effective {
        let _ = writeln!(text, "  in effect    when {sign}");
    }
    output::print(&text)?;
    Ok(Exit::Conformant)
}

const fn word(edit: &Edit) -> &'static str {
    match edit {
        Edit::Patch { .. } => "changes",
        Edit::Append { .. } => "adds to",
        Edit::Remove { .. } => "removes",
        Edit::Add { .. } => "adds",
    }
}

fn grade(args: &SabotageRunArgs, layers: &Layers, terminal: Terminal, quiet: bool) -> Result<Exit, Failure> {
    // Everything that can be refused is refused here, before anything is touched.
    let platform = Arc::new(catalog::platform(&layers.profile(args.profile.profile.clone()))?);
    let sabotages =
        choose(sabotage::embedded().map_err(refused)?, &args.names, &args.select).map_err(refused)?;
    if !platform.platform.spec.expendable {
        let profile = platform.platform.metadata.name.clone();
        return Err(refused(SabotageError::NotExpendable { profile }));
    }
    let target = access::target(&args.access, layers)?;
    access::check_peers(&args.peers, &platform)?;
    if let Some(file) = &args.results {
        writable(file)?;
    }
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::trouble("no room for edited blueprints").because(error))?;
    let mut order = Order {
        catalog: Arc::new(catalog::load(&[])?),
        platform,
        image: agent_image::choose(&target, args.agent_image.as_deref())?,
        command: super::run::command_line(),
        peers: PeerClusters::default(),
        sabotages,
        sound_runs: args.sound_runs,
        directory: args.keep.clone().unwrap_or_else(|| scratch.path().to_owned()),
        seed: args.seed.unwrap_or_else(rand::random),
        concurrency: layers.jobs(None).value.map_or(RunOrder::CONCURRENCY, usize::from),
        lanes: usize::from(args.lanes),
    };
    order.sabotages.sort_by(|a, b| a.name.cmp(&b.name));
    let (grade, signal) = block_on(async {
        let mut signals = Signals::of_process()
            .map_err(|error| Failure::trouble("cannot listen to signals").because(error))?;
        if let Target::Lab { name } = &target {
            lab::ensure(name, order.platform.platform.spec.environment, false).await?;
        }
        let platform = Arc::clone(&order.platform);
        order.peers = access::peers(&args.peers, layers, &platform.platform, terminal, quiet).await?;
        let cluster = access::connect(&args.access, layers, &platform, terminal, true).await?;
        let stop = CancellationToken::new();
        let mut running = std::pin::pin!(sabotage::run(&cluster, &order, &stop, Arc::new(teller(quiet))));
        let mut signal = None;
        loop {
            tokio::select! {
                grade = &mut running => return Ok((grade.map_err(refused)?, signal)),
                came = signals.next() => {
                    // However often it is asked: what is broken is put back before this ends.
                    output::note(format_args!("ending: what is broken is put back, tenants are removed"));
                    signal = Some(came);
                    stop.cancel();
                }
            }
        }
    })?;
    if let Some(file) = &args.results {
        let bytes = output::json(&grade)?;
        write_atomically(file, bytes.as_bytes()).map_err(|error| {
            Failure::usage(format!("cannot write the grade to {}", file.display())).because(error)
        })?;
    }
    show(&grade, args.output)?;
    Ok(match signal {
        Some(Signal::Interrupt) => Exit::Interrupted,
        Some(Signal::Terminate) => Exit::Terminated,
        None if grade.is_perfect() => Exit::Conformant,
        None => Exit::Failed,
    })
}

fn show(grade: &Grade, form: OutputFormat) -> Result<(), Failure> {
    if form == OutputFormat::Table {
        return output::print(&render_grade(grade));
    }
    let mut listing = Listing::new(vec!["name", "noticed by", "verdict", "took"], 4);
    listing.name = 0;
    for one in &grade.sabotages {
        let took = format!("{:.1}s", Duration::from_millis(one.took_ms).as_secs_f64());
        listing.row([one.name.clone(), one.requirements.join(" "), one.verdict.word().to_owned(), took]);
    }
    listing.print(form, grade)
}

/// Found out before an hour's work, not after it.
fn writable(file: &Path) -> Result<(), Failure> {
    let there = file.exists();
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    opened.map_err(|error| {
        Failure::usage(format!("cannot write the grade to {}", file.display())).because(error)
    })?;
    if !there {
        // Nothing is better than an empty file, should this be killed.
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// Says on stderr how it goes on.
fn teller(quiet: bool) -> impl Fn(Progress) + Send + Sync {
    let begun = Instant::now();
    move |progress| {
        let at = begun.elapsed().as_secs();
        match progress {
            Progress::Restored(objects, runs) => {
                let all: Vec<_> = objects.into_iter().chain(runs).collect();
                output::note(format_args!("put back what an earlier run had left: {}", all.join(", ")));
            }
            _ if quiet => {}
            Progress::Sound(run, runs, alarms) => {
                output::note(format_args!(
                    "[{at:>4}s] sound {run}/{runs}: {}",
                    output::count(alarms, "false alarm")
                ));
            }
            Progress::Breaking(name) => output::note(format_args!("[{at:>4}s] breaking {name}")),
            Progress::Broken(name) => output::note(format_args!("[{at:>4}s] broken   {name}")),
            Progress::Mending(name) => output::note(format_args!("[{at:>4}s] mending  {name}")),
            Progress::Mended(name) => output::note(format_args!("[{at:>4}s] mended   {name}")),
            Progress::NotTried(name, why) => {
                output::note(format_args!("[{at:>4}s] not tried: {name}: {why}"));
            }
            Progress::Judged(index, all, one) if one.is_killed() => {
                output::note(format_args!("[{at:>4}s] {index}/{all} noticed {}", one.name));
            }
            Progress::Judged(index, all, one) => {
                output::say(format_args!("[{at:>4}s] {index}/{all} {}", render_survivor(&one)));
            }
        }
    }
}

fn choose(
    all: Vec<Sabotage>,
    names: &[String],
    select: &SabotageSelectArgs,
) -> Result<Vec<Sabotage>, SabotageError> {
    if let Some(name) = names.iter().find(|name| !all.iter().any(|one| one.name == **name)) {
        return Err(SabotageError::Unknown { name: name.clone() });
    }
    let any =
        |wanted: &[String], one: &Sabotage| wanted.is_empty() || wanted.iter().any(|id| one.concerns(id));
    let chosen: Vec<_> = all
        .into_iter()
        .filter(|one| names.is_empty() || names.contains(&one.name))
        .filter(|one| any(&select.requirement, one) && any(&select.family, one))
        .collect();
    if chosen.is_empty() { Err(SabotageError::Nothing) } else { Ok(chosen) }
}
