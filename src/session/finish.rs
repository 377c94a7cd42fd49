//! What stays of a run on disk.

use std::path::{Path, PathBuf};

use super::{Ended, RunOrder};
use crate::{
    evidence::{self, Bundle, BundleParts, Journal},
    exit::Exit,
    report::{self, Format, Model},
};

/// Formats that lie in every run's own directory.
const ALWAYS: [Format; 4] = [Format::Html, Format::Json, Format::Junit, Format::Markdown];

/// Renders every report from the journal and packs the bundle. What cannot be written is said in
/// [`Ended::troubles`], and a verdict that nobody can read is none.
pub(super) fn write_results(order: &RunOrder, ended: &mut Ended, versions: &serde_json::Value) {
    let path = ended.directory.join(Journal::FILE);
    let mut troubles = Vec::new();
    match evidence::read(&path) {
        Ok(journal) => {
            let model = Model::from_journal(&journal, &order.requirements);
            let own = ALWAYS.into_iter().map(|format| (format, ended.directory.join(format.file_name())));
            for target in own.chain(order.reports.iter().cloned()) {
                // One by one, so that each failure is told.
                if let Err(error) = report::write_all(&[target], &model) {
                    troubles.push(chain(&error));
                }
            }
        }
        Err(error) => troubles.push(chain(&error)),
    }
    if let Err(error) = pack(order, &path, &ended.directory, versions) {
        troubles.push(chain(&error));
    }
    ended.troubles.extend(troubles);
    if !ended.troubles.is_empty() && matches!(ended.exit, Exit::Conformant | Exit::Leftovers) {
        ended.exit = Exit::Inconclusive;
    }
}

fn pack(
    order: &RunOrder,
    journal: &Path,
    directory: &Path,
    versions: &serde_json::Value,
) -> Result<(), evidence::EvidenceError> {
    let bundle: PathBuf = directory.join(Bundle::FILE);
    let mut all = serde_json::json!({ "plimsoll": env!("CARGO_PKG_VERSION") });
    if let (Some(all), Some(versions)) = (all.as_object_mut(), versions.as_object()) {
        all.extend(versions.clone());
    }
    let parts =
        BundleParts { journal, profile: order.platform.text.as_bytes(), versions: &all, artefacts: &[] };
    Bundle::write(&bundle, &parts).map(drop)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("could not {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
