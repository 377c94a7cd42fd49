//! A recorded run, as the offline commands read it: a run directory, a journal or a bundle.

use std::path::{Path, PathBuf};

use super::catalog;
use super::failure::Failure;
use super::place;
use super::settings::Setting;
use crate::catalog::Requirements;
use crate::evidence::{self, Bundle, EvidenceError, Journal, ReadJournal, Subject};
use crate::report::{GivenGrade, Model, RequirementInfo};

/// The file that holds a run's evidence.
pub(super) fn find(typed: Option<&Path>, reports_dir: &Setting<Option<PathBuf>>) -> Result<PathBuf, Failure> {
    let path = match typed {
        Some(path) => path.to_owned(),
        None => place::latest(reports_dir)?,
    };
    if !path.is_dir() {
        return Ok(path);
    }
    // The journal goes first: it is there from the first moment of a run, the bundle from its last.
    [Journal::FILE, Bundle::FILE]
        .into_iter()
        .map(|name| path.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Failure::usage(format!("{} holds neither {} nor {}", path.display(), Journal::FILE, Bundle::FILE))
                .hint("name a run directory, a journal or a bundle")
                .into()
        })
}

/// The bundle beside the journal that [`find`] found, where a whole run was asked for: of somebody who names a
/// file, that file is meant.
pub(super) fn bundle_beside(typed: Option<&Path>, found: &Path) -> Option<PathBuf> {
    let bundle = found.with_file_name(Bundle::FILE);
    (typed.is_none_or(Path::is_dir) && found.ends_with(Journal::FILE) && bundle.is_file()).then_some(bundle)
}

/// Reads the journal of a run, from the journal's file or from a bundle. What is wrong with a bundle is a
/// problem of its journal, so that every report shows it.
pub(super) fn journal(path: &Path) -> Result<(Subject, ReadJournal), Failure> {
    evidence::open(path).map_err(unreadable)
}

/// The report of a journal.
pub(super) fn model(journal: &ReadJournal) -> Result<Model, Failure> {
    Ok(Model::from_journal(journal, &requirement_infos(&catalog::requirements()?)))
}

/// What the report says of each requirement.
pub(super) fn requirement_infos(requirements: &Requirements) -> Vec<RequirementInfo> {
    requirements
        .iter()
        .map(|requirement| RequirementInfo {
            id: requirement.id.clone(),
            level: requirement.level,
            family: catalog::family_title(requirement.family()).to_owned(),
            promise: requirement.promise.clone(),
            controls: requirement
                .controls
                .iter()
                .map(|control| format!("{} {}", control.framework, control.id))
                .collect(),
        })
        .collect()
}

/// Evidence that cannot be read is the caller's mistake: the wrong file, or no rights.
#[allow(clippy::needless_pass_by_value, reason = "stands in map_err")]
pub(super) fn unreadable(error: EvidenceError) -> Failure {
    let text = error.to_string();
    let (message, hint) = match text.split_once("\nhint: ") {
        Some((message, hint)) => (message.to_owned(), Some(hint.to_owned())),
        None => (text, None),
    };
    let mut sentence = Failure::usage(format!("cannot {message}"));
    if let Some(source) = std::error::Error::source(&error) {
        sentence = sentence.because(source.to_string());
    }
    match hint {
        Some(hint) => sentence.hint(hint).into(),
        None => sentence.into(),
    }
}

/// Reads a grade.
pub(super) fn grade(file: &Path) -> Result<GivenGrade, Failure> {
    let cannot = || format!("cannot read the grade in {}", file.display());
    let bytes = std::fs::read(file).map_err(|error| Failure::usage(cannot()).because(error))?;
    Ok(GivenGrade::read(&bytes).map_err(|error| {
        Failure::usage(cannot()).because(error).hint("`plimsoll sabotage run --results FILE` writes one")
    })?)
}
