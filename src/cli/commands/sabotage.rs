//! `plimsoll sabotage`.

use std::sync::Arc;

use super::lab;
use crate::cli::args::{SabotageCommand, SabotageListArgs, SabotageRunArgs};
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::output::{Listing, count};
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{access, catalog};
use crate::cluster::{PeerClusters, Target};
use crate::exit::Exit;
use crate::sabotage::{self, Kill, Order, Progress, Sabotage, SabotageError};

/// Lists or runs.
pub(super) fn run(command: &SabotageCommand, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    match command {
        SabotageCommand::List(args) => list(args),
        SabotageCommand::Run(args) => grade(args, layers, terminal),
    }
}

fn list(args: &SabotageListArgs) -> Result<Exit, Failure> {
    let all = sabotage::embedded().map_err(refused)?;
    let mut listing = Listing::new(vec!["name", "noticed by", "breaks"], 2);
    listing.name = 0;
    let mut data = Vec::new();
    for one in &all {
        listing.row([one.name.clone(), one.requirements.join(" "), one.breaks.clone()]);
        data.push(serde_json::json!({
            "name": one.name, "breaks": one.breaks, "requirements": one.requirements, "scenarios": one.scenarios,
        }));
    }
    listing.print(args.output, &data)?;
    Ok(Exit::Conformant)
}

fn grade(args: &SabotageRunArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let platform = Arc::new(catalog::platform(&layers.profile(args.profile.profile.clone()))?);
    let sabotages = choose(sabotage::embedded().map_err(refused)?, &args.names).map_err(refused)?;
    let target = access::target(&args.access, layers)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::trouble("cannot find this program").because(error))?;
    let scratch = tempfile::tempdir()
        .map_err(|error| Failure::trouble("no room for edited profiles").because(error))?;
    let directory = args.keep.clone().unwrap_or_else(|| scratch.path().to_owned());
    access::check_peers(&args.peers, &platform)?;
    let peer_target = args
        .peers
        .peer
        .iter()
        .flat_map(|peer| ["--peer".to_owned(), format!("{}={}", peer.name, peer.cluster)]);
    let mut order = Order {
        program,
        target: named(&target),
        peer_target: peer_target.collect(),
        peers: PeerClusters::default(),
        platform,
        sabotages,
        directory,
        sound: args.sound,
    };
    let grade = block_on(async {
        if let Target::Lab { name } = &target {
            lab::ensure(name, order.platform.platform.spec.environment, false).await?;
        }
        let platform = &order.platform.platform;
        order.peers = access::peers(&args.peers, layers, platform, terminal, false).await?;
        let cluster = access::connect(&args.access, layers, platform, terminal, true).await?;
        sabotage::run(&cluster, &order, show).await.map_err(refused)
    })?;
    let mut listing = Listing::new(vec!["name", "noticed by", "scenarios", "verdict"], 1);
    listing.name = 0;
    for one in &grade.sabotages {
        let noticed = one.scenarios.values().filter(|kill| matches!(kill, Kill::Killed { .. })).count();
        let verdict = if one.is_killed() { "noticed" } else { "SURVIVED" };
        let scenarios = format!("{noticed} of {}", one.scenarios.len());
        listing.row([one.name.clone(), one.requirements.join(" "), scenarios, verdict.to_owned()]);
    }
    let data: Vec<_> = grade.sabotages.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
    listing.print(args.output, &data)?;
    for (scenario, outcome) in grade.false_alarms.iter().flatten() {
        eprintln!("false alarm: {scenario}: {outcome}");
    }
    let survivors = grade.survivors().count();
    eprintln!("{}, {} not noticed", count(grade.sabotages.len(), "sabotage"), survivors);
    Ok(if grade.is_perfect() { Exit::Conformant } else { Exit::Failed })
}

fn show(progress: Progress) {
    match progress {
        Progress::Restored(what) => eprintln!("put back what an earlier run had left: {}", what.join(", ")),
        Progress::Breaking(index, all, names) => eprintln!("({index}/{all}) breaking {}", names.join(", ")),
        Progress::NotTried(name, why) => eprintln!("not tried: {name}: {why}"),
        Progress::Judged(one) => {
            let word = if one.is_killed() { "noticed " } else { "SURVIVED" };
            eprintln!("        {word} {}", one.name);
            for (scenario, kill) in &one.scenarios {
                match kill {
                    Kill::Killed { .. } => {}
                    Kill::WrongReason { reason } => {
                        eprintln!("                 {scenario}: red, but {reason}");
                    }
                    Kill::Survived { outcome, reason } => {
                        eprintln!(
                            "                 {scenario}: {outcome}: {}",
                            reason.as_deref().unwrap_or("-")
                        );
                    }
                }
            }
        }
    }
}

/// The arguments that name the cluster to another process of this program.
fn named(target: &Target) -> Vec<String> {
    match target {
        Target::Lab { name } => vec!["--cluster".to_owned(), format!("lab:{name}")],
        Target::Kind { name } => vec!["--cluster".to_owned(), format!("kind:{name}")],
        Target::Kubeconfig { file, context } => {
            let file = file.iter().flat_map(|file| ["--kubeconfig".to_owned(), file.display().to_string()]);
            let context = context.iter().flat_map(|context| ["--context".to_owned(), context.clone()]);
            file.chain(context).collect()
        }
    }
}

fn choose(all: Vec<Sabotage>, names: &[String]) -> Result<Vec<Sabotage>, SabotageError> {
    if let Some(name) = names.iter().find(|name| !all.iter().any(|one| one.name == **name)) {
        return Err(SabotageError::Unknown { name: name.clone() });
    }
    Ok(all.into_iter().filter(|one| names.is_empty() || names.contains(&one.name)).collect())
}

fn refused(error: SabotageError) -> Failure {
    let (exit, hint) = match &error {
        SabotageError::NotExpendable { .. } => (Exit::Usage, Some("use the lab: `--cluster lab`".to_owned())),
        SabotageError::Unknown { .. } => {
            (Exit::Usage, Some("`plimsoll sabotage list` names them".to_owned()))
        }
        SabotageError::Data { .. }
        | SabotageError::NoBlueprint { .. }
        | SabotageError::NotALab { .. }
        | SabotageError::Edit { .. } => (Exit::Usage, None),
        _ => (Exit::Inconclusive, None),
    };
    Failure::with_hint(exit, hint, error)
}
