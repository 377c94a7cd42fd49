//! `plimsoll report`.

use std::fs;
use std::path::Path;

use crate::cli::args::{ReportArgs, ReportForm, ReportTarget};
use crate::cli::failure::Failure;
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{output, recorded};
use crate::evidence::{Bundle, Integrity};
use crate::exit::Exit;
use crate::report::{self, Format, Model};

/// Renders the results of a recorded run.
pub(super) fn run(args: &ReportArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let path = recorded::find(args.run.as_deref(), &layers.reports_dir(args.place.reports_dir.clone()))?;
    let journal = recorded::journal(&path)?;
    let mut model = recorded::model(&journal)?;
    if let Some(file) = &args.grade {
        model.give(recorded::grade(file)?);
    }
    let to_terminal = [ReportTarget { form: ReportForm::Rendered(Format::Terminal), path: None }];
    let targets = if args.report.is_empty() { &to_terminal[..] } else { &args.report };
    for target in targets {
        write(target, &model, &path, terminal)?;
    }
    match journal.integrity() {
        // A journal without its end is shown for what it is; one that was changed is no evidence.
        Integrity::Intact | Integrity::Unfinished => Ok(Exit::Conformant),
        Integrity::Broken => {
            eprintln!(
                "warning: the journal was changed after it was written: plimsoll verify {}",
                path.display()
            );
            Ok(Exit::Failed)
        }
    }
}

/// Writes one report of a run whose evidence lies at `source`.
pub(in crate::cli) fn write(
    target: &ReportTarget,
    model: &Model,
    source: &Path,
    terminal: Terminal,
) -> Result<(), Failure> {
    let bytes = match target.form {
        ReportForm::Bundle => bundle(source)?,
        ReportForm::Rendered(Format::Terminal) if target.path.is_none() => {
            report::render_terminal(model, terminal.stdout_color).into_bytes()
        }
        ReportForm::Rendered(format) => report::render(format, model)
            .map_err(|error| Failure::trouble(format!("cannot render the {format} report")).because(error))?,
    };
    match &target.path {
        None => output::print_bytes(&bytes),
        Some(path) => report::write_atomically(path, &bytes).map_err(|error| {
            Failure::usage(format!("cannot write the {} report to {}", target.form, path.display()))
                .because(error)
                .into()
        }),
    }
}

fn bundle(source: &Path) -> Result<Vec<u8>, Failure> {
    let path =
        if recorded::is_bundle(source)? { source.to_owned() } else { source.with_file_name(Bundle::FILE) };
    Ok(fs::read(&path).map_err(|error| {
        Failure::usage(format!("there is no bundle at {}", path.display()))
            .because(error)
            .hint("a run writes its bundle when it ends; a journal alone cannot be made into one")
    })?)
}
