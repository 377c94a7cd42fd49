//! Where the results of runs lie.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::settings::{Setting, xdg};
use crate::session::LATEST;

/// Below the current directory.
const HERE: &str = "reports/runs";

/// The directory of all runs, made and known to be writable. A directory that was named must be; the default
/// one gives way to the user's state directory (a checkout may be mounted read-only).
pub(super) fn writable(named: &Setting<Option<PathBuf>>) -> Result<PathBuf, Failure> {
    if let Some(dir) = &named.value {
        return match probe(dir) {
            Ok(()) => Ok(dir.clone()),
            Err(error) => Err(Failure::usage(format!("cannot write results to {}", dir.display()))
                .because(error)
                .hint("name another directory with --reports-dir")
                .into()),
        };
    }
    let here = PathBuf::from(HERE);
    let Err(first) = probe(&here) else { return Ok(here) };
    match state().filter(|dir| probe(dir).is_ok()) {
        Some(dir) => Ok(dir),
        None => {
            Err(Failure::usage(format!("cannot write results to {HERE}, nor to the user's state directory"))
                .because(first)
                .hint("name a directory with --reports-dir")
                .into())
        }
    }
}

/// The last run.
pub(super) fn latest(named: &Setting<Option<PathBuf>>) -> Result<PathBuf, Failure> {
    let candidates = match &named.value {
        Some(dir) => vec![dir.clone()],
        None => [Some(PathBuf::from(HERE)), state()].into_iter().flatten().collect(),
    };
    candidates.iter().map(|dir| dir.join(LATEST)).find(|dir| dir.is_dir()).ok_or_else(|| {
        let places: Vec<String> = candidates.iter().map(|dir| dir.display().to_string()).collect();
        Failure::usage(format!("no run is recorded in {}", places.join(" or ")))
            .hint("name a run directory, a journal or a bundle; `plimsoll run` makes one")
            .into()
    })
}

fn state() -> Option<PathBuf> {
    xdg("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("plimsoll/runs"))
}

/// Makes the directory, and a file in it: permissions alone do not tell (read-only mounts, full disks).
fn probe(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let file = dir.join(format!(".writable.{}", std::process::id()));
    fs::write(&file, b"?")?;
    fs::remove_file(&file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::Origin;
    use crate::session::point_latest;

    fn named(dir: &Path) -> Setting<Option<PathBuf>> {
        Setting { value: Some(dir.to_owned()), origin: Origin::Flag }
    }

    #[test]
    fn latest_follows_the_last_run() {
        let dir = tempfile::tempdir().unwrap();
        assert!(latest(&named(dir.path())).is_err());
        for run in ["one", "two"] {
            fs::create_dir(dir.path().join(run)).unwrap();
            point_latest(dir.path(), run).unwrap();
            let found = latest(&named(dir.path())).unwrap();
            assert_eq!(found.canonicalize().unwrap(), dir.path().join(run).canonicalize().unwrap());
        }
    }

    #[test]
    fn a_named_directory_that_is_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(writable(&named(&file)).is_err());
        assert!(writable(&named(&dir.path().join("new/below"))).is_ok());
    }
}
