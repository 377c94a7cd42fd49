//! `plimsoll cleanup`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::access;
use crate::cli::args::CleanupArgs;
use crate::cli::catalog;
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::output::{self, Listing, count};
use crate::cli::settings::Layers;
use crate::cli::soundness;
use crate::cli::terminal::Terminal;
use crate::cluster::{Leftover, SweepSelection, find_leftovers, remove_leftovers_of_dead};
use crate::exit::Exit;

/// Removes what earlier runs left, and shows it: what was removed, or what would be.
pub(super) fn run(args: &CleanupArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let platform = catalog::platform(&layers.profile(args.profile.profile.clone()))?;
    let selection = if args.all {
        SweepSelection::All
    } else if args.run.is_empty() {
        SweepSelection::Expired
    } else {
        SweepSelection::Runs(args.run.iter().cloned().collect::<BTreeSet<String>>())
    };
    block_on(async {
        let cluster = access::connect(&args.access, layers, &platform, terminal, !args.dry_run).await?;
        let mut orphans = Vec::new();
        if let Some(broken) = soundness::broken(&cluster).await? {
            output::note(format_args!("warning: {broken}"));
            // Whoever is at work puts it back.
            if !args.dry_run && broken.by.is_none() {
                orphans = soundness::put_back(&cluster).await?;
            }
        }
        let mut found = find_leftovers(&cluster, &selection).await.map_err(access::refused)?;
        if !orphans.is_empty() {
            let selection = SweepSelection::Runs(orphans.into_iter().collect());
            let of_dead = find_leftovers(&cluster, &selection).await.map_err(access::refused)?;
            found.held_back.extend(of_dead.held_back);
            let of_dead = of_dead.meant;
            found.others.retain(|run, _| !of_dead.iter().any(|left| left.run == *run));
            let known: BTreeSet<_> = found.meant.iter().map(|left| left.reference.clone()).collect();
            found.meant.extend(of_dead.into_iter().filter(|left| !known.contains(&left.reference)));
        }
        if let Some(unseen) = found.blind_spots() {
            output::note(format_args!("warning: {unseen}"));
        }
        let remaining = if args.dry_run || found.meant.is_empty() {
            Vec::new()
        } else {
            let within = platform.platform.spec.deadlines.teardown.get();
            remove_leftovers_of_dead(&cluster, &found, within).await.map_err(access::refused)?
        };
        let fate = |leftover: &Leftover| match remaining
            .iter()
            .find(|other| other.reference == leftover.reference)
        {
            Some(kept) => kept.stuck.clone().unwrap_or_else(|| "still there".to_owned()),
            None if args.dry_run => leftover.stuck.clone().unwrap_or_else(|| "would be removed".to_owned()),
            None => "removed".to_owned(),
        };
        let mut listing = Listing::new(vec!["object", "run", "what", "tenant", "expires"], 3);
        let mut data = Vec::new();
        for leftover in &found.meant {
            let expires = leftover.expires.map_or_else(|| "unknown".to_owned(), |time| time.to_string());
            data.push(json!({
                "object": leftover.reference,
                "run": leftover.run,
                "tenant": leftover.tenant,
                "expires": leftover.expires.map(|time| time.to_string()),
                "removed": !args.dry_run && !remaining.iter().any(|kept| kept.reference == leftover.reference),
                "state": fate(leftover),
            }));
            listing.row([
                leftover.reference.clone(),
                leftover.run.clone(),
                fate(leftover),
                leftover.tenant.clone().unwrap_or_default(),
                expires,
            ]);
        }
        if !found.meant.is_empty() || args.output.is_data() {
            listing.print(args.output, &Value::Array(data))?;
        }
        let gone = found.meant.len() - remaining.len();
        if args.dry_run {
            output::note(format_args!("{} would be removed", count(found.meant.len(), "object")));
        } else {
            output::note(format_args!("{} removed, {} still there", count(gone, "object"), remaining.len()));
        }
        for (run, objects) in &found.others {
            output::note(format_args!("not meant: {} of run {run} (--run {run})", count(*objects, "object")));
        }
        Ok(if remaining.is_empty() { Exit::Conformant } else { Exit::Leftovers })
    })
}
