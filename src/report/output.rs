//! Puts rendered reports on disk: each whole, or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::format::{Format, RenderError, render};
use super::model::Model;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It could not be rendered.
    #[error("render the {format} report")]
    Render {
        /// Which.
        format: Format,
        /// Why.
        source: RenderError,
    },
    /// It could not be put on disk.
    #[error("write the {format} report to {}", path.display())]
    Io {
        /// Which.
        format: Format,
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Renders and writes every report. One that fails does not keep the others from being written; the first
/// failure is returned. A path of `-` is standard output.
pub fn write_all(reports: &[(Format, PathBuf)], model: &Model) -> Result<(), WriteError> {
    let mut first = Ok(());
    for (format, path) in reports {
        let written = render(*format, model)
            .map_err(|source| WriteError::Render { format: *format, source })
            .and_then(|bytes| {
                if path.as_os_str() == "-" {
                    let mut out = io::stdout().lock();
                    // A reader that has gone away (`| head`) is no trouble of the report's.
                    match out.write_all(&bytes).and_then(|()| out.flush()) {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                        done => done,
                    }
                } else {
                    write_atomically(path, &bytes)
                }
                .map_err(|source| WriteError::Io {
                    format: *format,
                    path: path.clone(),
                    source,
                })
            });
        first = first.and(written);
    }
    first
}

/// Writes a file so that its name holds either its old content or all of the new, whatever happens. Missing
/// directories are made.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(dir)?;
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it names no file"));
    };
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = dir.join(temporary);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // Nothing of it stays behind; the error that matters is the first.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
