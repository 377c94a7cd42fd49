//! `plimsoll verify`.

use serde_json::json;

use crate::cli::args::{OutputFormat, VerifyArgs};
use crate::cli::failure::Failure;
use crate::cli::settings::Layers;
use crate::cli::{output, recorded};
use crate::evidence;
use crate::exit::Exit;
use crate::report::shown;

/// Verifies the evidence of a run. Where the run's directory holds a bundle too, it is verified as well.
pub(super) fn run(args: &VerifyArgs, layers: &Layers) -> Result<Exit, Failure> {
    let reports_dir = layers.reports_dir(args.place.reports_dir.clone());
    let mut path = recorded::find(args.run.as_deref(), &reports_dir)?;
    let head = args.head.as_deref();
    let found = match recorded::bundle_beside(args.run.as_deref(), &path) {
        Some(bundle) => {
            let found = evidence::verify_both(&path, &bundle, head).map_err(recorded::unreadable)?;
            path.pop();
            found
        }
        None => evidence::verify(&path, head).map_err(recorded::unreadable)?,
    };
    // Not every path is text.
    let path = path.display().to_string();
    let text = match args.output {
        OutputFormat::Table | OutputFormat::Wide => {
            format!("{}\n  {found}", shown(&path)).trim_end().to_owned() + "\n"
        }
        OutputFormat::Name => format!("{}\n", found.integrity.word()),
        OutputFormat::Json | OutputFormat::Yaml => {
            let data = json!({
                "path": path,
                "subject": found.subject.word(),
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
