//! Reading a profile, with every problem at its place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::NamedSource;
use serde_saphyr::{Error as YamlError, Spanned};
use sha2::{Digest, Sha256};

use super::diagnostic::{Place, ProfileError, ProfileProblem, did_you_mean};
use super::locate::{Tree, locate, mapping_with_key_at};
use super::{Platform, check};

/// The profile of the lab, which is used where no other is named.
pub const LAB_PROFILE: &str = include_str!("../../profiles/lab.yaml");

/// A profile, ready for use.
#[derive(Clone, Debug)]
pub struct LoadedPlatform {
    /// The profile.
    pub platform: Platform,
    /// The file, as the user named it; `@lab` for the embedded one.
    pub file: String,
    /// What relative paths in it are relative to.
    pub directory: PathBuf,
    /// The text, byte by byte, for the bundle.
    pub text: String,
    /// SHA-256 of the text, in hexadecimal.
    pub sha256: String,
}

/// Reads the profile in a file.
pub fn load(file: &Path) -> Result<LoadedPlatform, ProfileError> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|source| ProfileError::Read { file: name.clone(), source })?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    load_str(&name, &text, directory)
}

/// The embedded profile of the lab.
pub fn load_lab() -> Result<LoadedPlatform, ProfileError> {
    load_str("@lab", LAB_PROFILE, Path::new("."))
}

/// Reads a profile from text. `file` is what problems are reported under.
pub fn load_str(file: &str, text: &str, directory: &Path) -> Result<LoadedPlatform, ProfileError> {
    let source = Arc::new(NamedSource::new(file, text.to_owned()).with_language("yaml"));
    let invalid = |problems| ProfileError::Invalid { file: file.to_owned(), problems };
    let options = || serde_saphyr::options! { with_snippet: false };

    let platform: Platform = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| invalid(vec![problem(&source, error.without_snippet())]))?;
    // The same text has just been read, so this second reading fails only where the first one was laxer.
    let tree: Spanned<Tree> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| invalid(vec![problem(&source, error.without_snippet())]))?;

    let mut problems: Vec<ProfileProblem> = check::findings(&platform)
        .into_iter()
        .map(|finding| {
            ProfileProblem::new(&source, locate(&tree, &finding.path), finding.message)
                .with_help(finding.help)
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    Ok(LoadedPlatform {
        platform,
        file: file.to_owned(),
        directory: directory.to_owned(),
        text: text.to_owned(),
        sha256: hex::encode(Sha256::digest(text.as_bytes())),
    })
}

fn problem(source: &Arc<NamedSource<String>>, error: &YamlError) -> ProfileProblem {
    let place = error.location().map_or(Place::START, Place::of);
    if let YamlError::SerdeMissingField { field, .. } = error
        && let Ok(tree) = serde_saphyr::from_str::<Spanned<Tree>>(source.inner())
        && let Some((path, place)) = mapping_with_key_at(&tree, place)
    {
        let inside = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        return ProfileProblem::new(source, place, format!("the key `{field}` is missing{inside}"));
    }
    let (message, help) = explain(error);
    ProfileProblem::new(source, place, message).with_help(help)
}

/// What the reader found, in our words where it is of one of the common kinds.
fn explain(error: &YamlError) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => (
            format!("unknown key `{field}`; expected {}", one_of(expected)),
            did_you_mean(field, expected.iter().copied()),
        ),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => (
            format!("unknown value `{variant}`; expected {}", one_of(expected)),
            did_you_mean(variant, expected.iter().copied()),
        ),
        YamlError::SerdeMissingField { field, .. } => (format!("the key `{field}` is missing here"), None),
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), None)
        }
        YamlError::InvalidScalar { ty, .. } => (format!("expected {ty}, found something else"), None),
        YamlError::Unexpected { expected, .. } => {
            (format!("expected {expected}, found something else"), None)
        }
        YamlError::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the key `{key}` is here twice"), Some("remove one of the two".to_owned()))
        }
        YamlError::Message { msg, .. } => (msg.clone(), None),
        YamlError::NullIntoString { .. } => ("expected a text, found nothing".to_owned(), None),
        YamlError::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            ("only one of these keys may be here, and this is the second".to_owned(), None)
        }
        other => {
            // The place is told apart from the message, so it need not stand in it as well.
            let options = serde_saphyr::RenderOptions::new(&serde_saphyr::UserMessageFormatter);
            let text = other.render_with_options(options);
            let text = text.lines().next().unwrap_or("not valid YAML");
            let text = text.rsplit_once(" at line ").map_or(text, |(before, _)| before);
            (text.to_owned(), None)
        }
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => "no key at all".to_owned(),
        [only] => format!("`{only}`"),
        [firsts @ .., last] => {
            let firsts: Vec<String> = firsts.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", firsts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_profile_of_the_lab_is_valid() {
        if let Err(error) = load_lab() {
            panic!("{error}");
        }
    }
}
