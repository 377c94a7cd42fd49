//! `plimsoll lint`.

use crate::catalog::render;
use crate::cli::args::{LintArgs, OutputFormat};
use crate::cli::catalog;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Listing, count};
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::exit::Exit;

/// Checks the profile, the features and the suites. Findings are data: they go to stdout.
pub(super) fn run(args: &LintArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let platform = catalog::platform(&layers.profile(args.profile.profile.clone()))?;
    let catalog = catalog::load(&layers.features(args.features.clone()).value)?;
    let mut findings = catalog::findings(&catalog)?;
    findings.extend(catalog::waivers(&catalog, &platform));
    match args.output {
        OutputFormat::Table if !findings.is_empty() => {
            output::print(&render(&findings, &terminal.diagnostics()))?;
        }
        OutputFormat::Table => {}
        format => {
            let mut listing = Listing::new(vec!["place", "code", "finding"], 3);
            for finding in &findings {
                listing.row([
                    format!("{}:{}:{}", finding.file, finding.line, finding.column),
                    finding.code.to_string(),
                    finding.message.clone(),
                ]);
            }
            listing.print(format, &findings)?;
        }
    }
    let checked = format!(
        "{} in {}, {}",
        count(catalog.scenarios().count(), "scenario"),
        count(catalog.features().len(), "feature"),
        count(catalog.suites().len(), "suite")
    );
    if findings.is_empty() {
        output::note(format_args!("{checked}: nothing to complain about"));
        return Ok(Exit::Conformant);
    }
    output::note(format_args!(
        "{checked}: {}; `plimsoll explain CODE` says more",
        count(findings.len(), "finding")
    ));
    Ok(Exit::Usage)
}
