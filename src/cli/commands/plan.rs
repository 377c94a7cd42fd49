//! `plimsoll plan`.

use std::collections::BTreeSet;

use crate::cli::args::PlanArgs;
use crate::cli::catalog;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Listing, count};
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::engine::Risk;
use crate::exit::Exit;

/// Shows what a run would do.
pub(super) fn run(args: &PlanArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let platform = catalog::platform(&layers.profile(args.profile.profile.clone()))?;
    let catalog = catalog::load(&layers.features(args.select.features.clone()).value)?;
    let plan = catalog::plan(&catalog, catalog::selection(&args.select, layers), &platform, terminal)?;
    let mut listing =
        Listing::new(vec!["proves", "risk", "deadline", "scenario", "needs", "place", "name"], 4);
    listing.name = 3;
    for scenario in &plan.scenarios {
        listing.row([
            scenario.requirements.join(" "),
            risk(scenario.risk).to_owned(),
            format!("{}s", scenario.deadline_ms / 1000),
            scenario.id.to_string(),
            scenario.needs.join(" "),
            format!("{}:{}", scenario.file, scenario.line),
            scenario.name.clone(),
        ]);
    }
    listing.print(args.output, &plan)?;
    let proven: BTreeSet<&str> =
        plan.scenarios.iter().flat_map(|scenario| &scenario.requirements).map(String::as_str).collect();
    output::note(format_args!(
        "{} for {}, profile {}",
        count(plan.scenarios.len(), "scenario"),
        count(proven.len(), "requirement"),
        platform.platform.metadata.name
    ));
    Ok(Exit::Conformant)
}

/// The word of a risk.
pub(super) const fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "none",
        Risk::Load => "load",
        Risk::Fault => "fault",
    }
}
