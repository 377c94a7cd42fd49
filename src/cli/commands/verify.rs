//! `plimsoll verify`.

use serde_json::json;

use crate::cli::args::{OutputFormat, VerifyArgs};
use crate::cli::failure::Failure;
use crate::cli::settings::Layers;
use crate::cli::{output, recorded};
use crate::evidence::{self, Subject};
use crate::exit::Exit;

/// Verifies the evidence of a run. Where the run's directory holds a bundle too, it is verified as well.
pub(super) fn run(args: &VerifyArgs, layers: &Layers) -> Result<Exit, Failure> {
    let reports_dir = layers.reports_dir(args.place.reports_dir.clone());
    let path = recorded::find(args.run.as_deref(), &reports_dir)?;
    let found = evidence::verify(&path, args.head.as_deref()).map_err(recorded::unreadable)?;
    let text = match args.output {
        OutputFormat::Table | OutputFormat::Wide => {
            format!("{}\n  {found}", path.display()).trim_end().to_owned() + "\n"
        }
        OutputFormat::Name => format!("{}\n", found.integrity.word()),
        OutputFormat::Json | OutputFormat::Yaml => {
            let data = json!({
                "path": path,
                "subject": match found.subject {
                    Subject::Journal => "journal",
                    Subject::Bundle => "bundle",
                },
                "integrity": found.integrity.word(),
                "run": found.run_id,
                "records": found.records,
                "head": found.head,
                "live": found.live,
                "problems": found.problems,
            });
            if args.output == OutputFormat::Json { output::json(&data)? } else { output::yaml(&data)? }
        }
    };
    output::print(&text)?;
    Ok(found.exit())
}
