//! A recorded run, as the offline commands read it: a run directory, a journal or a bundle.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::catalog;
use super::failure::Failure;
use super::place;
use super::settings::Setting;
use crate::catalog::Requirements;
use crate::evidence::{self, Bundle, EvidenceError, Journal, ReadJournal};
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

/// Reads the journal of a run, from the journal's file or from a bundle.
pub(super) fn journal(path: &Path) -> Result<ReadJournal, Failure> {
    if is_bundle(path)? {
        let bundle = Bundle::read(path).map_err(unreadable)?;
        for problem in &bundle.problems {
            eprintln!("warning: {}: {problem}", path.display());
        }
        return Ok(bundle.journal);
    }
    evidence::read(path).map_err(unreadable)
}

/// Whether a file is a bundle: by content, not by name.
pub(super) fn is_bundle(path: &Path) -> Result<bool, Failure> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(2).read_to_end(&mut magic))
        .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).because(error))?;
    Ok(magic == [0x1f, 0x8b])
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
