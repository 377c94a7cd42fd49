//! Where features and suites come from: built in, and the user's folders.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use include_dir::{Dir, include_dir};
use miette::NamedSource;

static FEATURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/features");
static SUITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/scenarios/suites");

/// A text with the names it goes by.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file as the user would name it: `features/network/tenants-apart.feature`.
    pub file: String,
    /// The same below its root and without extension: `network/tenants-apart`. Ids begin with it.
    pub stem: String,
    /// The text, ready for diagnostics.
    pub text: Arc<NamedSource<String>>,
}

impl Source {
    /// A text that is held in memory.
    pub fn new(file: impl Into<String>, stem: impl Into<String>, text: impl Into<String>) -> Self {
        let file = file.into();
        let text = Arc::new(NamedSource::new(&file, text.into()));
        Self { file, stem: stem.into(), text }
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.text.inner()
    }

    /// Line and column (both from 1) of a byte offset.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let text = self.text();
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before.get(start..).map_or(0, |rest| rest.chars().count()) + 1)
    }
}

/// A folder or file that could not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot read `{}`", .path.display())]
#[diagnostic(help("name a directory that holds `.feature` files (and, in `suites/`, suites)"))]
pub struct ReadError {
    /// What could not be read.
    pub path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The features that are built in.
pub(super) fn embedded_features() -> Vec<Source> {
    embedded(&FEATURES, "features", "feature")
}

/// The suites that are built in.
pub(super) fn embedded_suites() -> Vec<Source> {
    embedded(&SUITES, "scenarios/suites", "yaml")
}

fn embedded(dir: &Dir<'_>, root: &str, extension: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        open.extend(dir.dirs());
        for file in dir.files() {
            if let Some(stem) = stem(file.path(), extension)
                && let Some(text) = file.contents_utf8()
            {
                found.push(Source::new(format!("{root}/{stem}.{extension}"), stem, text));
            }
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    found
}

/// Every file with the extension below a folder, in a stable order.
pub(super) fn folder(root: &Path, extension: &str) -> Result<Vec<Source>, ReadError> {
    let error = |path: &Path| {
        let path = path.to_owned();
        move |source| ReadError { path, source }
    };
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(error(&dir))? {
            let entry = entry.map_err(error(&dir))?;
            let path = entry.path();
            // A link to a directory may lead back up; one to a file is as good as the file.
            if entry.file_type().map_err(error(&path))?.is_dir() {
                open.push(path);
            } else if let Some(stem) = stem(path.strip_prefix(root).unwrap_or(&path), extension) {
                let text = fs::read_to_string(&path).map_err(error(&path))?;
                found.push(Source::new(path.display().to_string(), stem, text));
            }
        }
    }
    found.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(found)
}

fn stem(path: &Path, extension: &str) -> Option<String> {
    let matches = path.extension().is_some_and(|found| found == extension);
    let stem = path.with_extension("");
    let parts: Vec<_> = stem.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    matches.then(|| parts.join("/"))
}
