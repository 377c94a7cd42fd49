//! `plimsoll report`.

use std::fs;
use std::path::Path;

use crate::cli::args::{ReportArgs, ReportForm, ReportTarget};
use crate::cli::failure::Failure;
use crate::cli::settings::Layers;
use crate::cli::terminal::Terminal;
use crate::cli::{output, recorded};
use crate::evidence::{Bundle, Integrity, Journal, Subject};
use crate::exit::Exit;
use crate::report::{self, Format, Model};

/// Renders the results of a recorded run.
pub(super) fn run(args: &ReportArgs, layers: &Layers, terminal: Terminal) -> Result<Exit, Failure> {
    let path = recorded::find(args.run.as_deref(), &layers.reports_dir(args.place.reports_dir.clone()))?;
    let (subject, journal) = recorded::journal(&path)?;
    let mut model = recorded::model(&journal)?;
    if let Some(file) = &args.grade {
        model.give(recorded::grade(file)?);
    }
    let to_terminal = [ReportTarget { form: ReportForm::Rendered(Format::Terminal), path: None }];
    let targets = if args.report.is_empty() { &to_terminal[..] } else { &args.report };
    let beside = path.with_file_name(Bundle::FILE);
    let bundle = if subject == Subject::Bundle { &path } else { &beside };
    for target in targets {
        write(target, &model, bundle, terminal)?;
    }
    // A journal without its end is shown for what it is; one that was changed or does not add up is no evidence.
    match model.unsound() {
        None => Ok(Exit::Conformant),
        Some(why) => {
            let look = match journal.integrity() {
                Integrity::Broken => format!("plimsoll verify {}", path.display()),
                Integrity::Intact | Integrity::Unfinished => "what does not is in the report".to_owned(),
            };
            output::note(format_args!("warning: {why}: {look}"));
            Ok(Exit::Failed)
        }
    }
}

/// Writes one report of a run whose bundle, if there is one, lies at `bundle`.
pub(in crate::cli) fn write(
    target: &ReportTarget,
    model: &Model,
    bundle: &Path,
    terminal: Terminal,
) -> Result<(), Failure> {
    let bytes = match target.form {
        ReportForm::Bundle => sound_bundle(bundle, &model.journal.head)?,
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

/// The bytes of a bundle that is handed on: as it was written, and of the journal whose head is `head`.
fn sound_bundle(path: &Path, head: &str) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(path).map_err(|error| {
        Failure::usage(format!("there is no bundle at {}", path.display()))
            .because(error)
            .hint("a run writes its bundle when it ends; a journal alone cannot be made into one")
    })?;
    let bundle = Bundle::read_loaded(path, &bytes).map_err(recorded::unreadable)?;
    let of_another = bundle.journal.head != head;
    let journal = bundle.into_journal();
    let why = match journal.problems.iter().find(|problem| problem.kind.integrity() == Integrity::Broken) {
        Some(problem) => problem.to_string(),
        None if of_another => format!("it is not of the {} beside it", Journal::FILE),
        None => return Ok(bytes),
    };
    Err(Failure::usage(format!("the bundle at {} is not handed on", path.display()))
        .because(why)
        .hint(format!("see what is wrong: plimsoll verify {}", path.display()))
        .into())
}
