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
    catalog::platform(&layers.profile(args.profile.profile.clone()))?;
    let catalog = catalog::load(&layers.features(args.features.clone()).value)?;
    let findings = catalog::findings(&catalog)?;
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
        eprintln!("{checked}: nothing to complain about");
        return Ok(Exit::Conformant);
    }
    eprintln!("{checked}: {}; `plimsoll explain CODE` says more", count(findings.len(), "finding"));
    Ok(Exit::Usage)
}
