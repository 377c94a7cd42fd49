//! The link beside the runs that points to the last one.

use std::{fs, io, os::unix::fs::symlink, path::Path};

/// Its name.
pub const LATEST: &str = "latest";

/// Points it to a run. The link is replaced in one step, so that a reader finds the old one or the new.
pub fn point_latest(runs: &Path, run: &str) -> io::Result<()> {
    let fresh = runs.join(format!(".{LATEST}.{run}"));
    let _ = fs::remove_file(&fresh);
    symlink(run, &fresh)?;
    fs::rename(&fresh, runs.join(LATEST)).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}
