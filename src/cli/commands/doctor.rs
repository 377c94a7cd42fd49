//! `plimsoll doctor`.

use serde_json::json;

use super::cleanup;
use crate::cli::args::DoctorArgs;
use crate::cli::failure::Failure;
use crate::cli::main::block_on;
use crate::cli::output::{self, Listing, count};
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{access, catalog, soundness};
use crate::cluster::{Finding, FindingLevel, Ownership, RunId, doctor};
use crate::exit::Exit;

/// Looks at a cluster and says what it lacks.
pub(super) fn run(args: &DoctorArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let profile = catalog::platform(&layers.profile(args.profile.profile.clone()))?;
    let platform = &profile.platform;
    let suites: Vec<String> = args.suite.iter().cloned().collect();
    if let Some(suite) = &args.suite {
        catalog::load(&[])?.suite(suite).map_err(|error| Failure::diagnostic(Exit::Usage, error))?;
    }
    block_on(async {
        let cluster = access::connect(&args.access, layers, &profile, terminal, false).await?;
        output::note(format_args!(
            "{} at {}, profile {}",
            cluster.context(),
            cluster.server(),
            platform.metadata.name
        ));
        // The throwaway namespace by which capabilities are detected is a change like any other.
        let mutating = platform.allows_context(cluster.context());
        let ownership = Ownership::of_run(RunId::random(), platform.spec.deadlines.run.get());
        // Before the rest, which takes a while: what is seen there is seen on the platform as it is now.
        let broken = soundness::broken(&cluster).await?;
        let report =
            doctor(&cluster, &profile, &ownership, &suites, mutating).await.map_err(access::refused)?;

        let mut listing = Listing::new(vec!["state", "topic", "finding", "suites", "what to do"], 3);
        listing.name = 2;
        let mut data = Vec::new();
        for finding in &report.findings {
            data.push(json!({
                "level": word(finding.level),
                "topic": finding.topic,
                "message": finding.message,
                "suites": finding.suites,
                "hint": finding.hint,
            }));
            listing.row([
                word(finding.level).to_owned(),
                finding.topic.to_owned(),
                message(finding),
                finding.suites.join(" "),
                finding.hint.clone().unwrap_or_default(),
            ]);
        }
        if let Some(broken) = &broken {
            let hint = match broken.by {
                Some(_) => "wait until it is done".to_owned(),
                None => format!("`{}` puts it back", cleanup(None, None)),
            };
            data.push(json!({
                "level": word(FindingLevel::Lacking), "topic": "platform", "message": broken.to_string(),
                "suites": [], "hint": hint,
            }));
            let message = format!("{broken}; {hint}");
            let cells = [word(FindingLevel::Lacking), "platform", &message, "", &hint];
            listing.row(cells.map(str::to_owned));
        }
        listing.print(args.output, &data)?;
        let lacking = report.findings.iter().filter(|finding| finding.level == FindingLevel::Lacking).count()
            + usize::from(broken.is_some());
        if lacking == 0 {
            output::note(format_args!("nothing is lacking"));
            Ok(Exit::Conformant)
        } else {
            output::note(format_args!("lacking: {} that a run needs", count(lacking, "thing")));
            Ok(Exit::Usage)
        }
    })
}

const fn word(level: FindingLevel) -> &'static str {
    match level {
        FindingLevel::Fine => "ok",
        FindingLevel::Notice => "note",
        FindingLevel::Lacking => "LACKING",
    }
}

/// The finding with what to do about it, for the narrow table.
fn message(finding: &Finding) -> String {
    match &finding.hint {
        Some(hint) if finding.level != FindingLevel::Fine => format!("{}; {hint}", finding.message),
        _ => finding.message.clone(),
    }
}
