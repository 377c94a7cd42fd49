//! The catalog and the profile, as the commands need them: read, or refused with a reason.

use crate::catalog::Requirements;
use crate::profile::{self, LoadedPlatform};

use super::failure::Failure;
use super::settings::Setting;
use crate::exit::Exit;
use std::path::PathBuf;

/// The requirements.
pub(super) fn requirements() -> Result<Requirements, Failure> {
    Ok(Requirements::embedded()
        .map_err(|error| Failure::usage("the embedded requirements are not valid").because(error))?)
}

/// The profile that the settings name, or the lab's own.
pub(super) fn platform(path: &Setting<Option<PathBuf>>) -> Result<LoadedPlatform, Failure> {
    match &path.value {
        Some(path) => profile::load(path),
        None => profile::load_lab(),
    }
    .map_err(|error| Failure::diagnostic(Exit::Usage, error))
}
