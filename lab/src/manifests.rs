//! The manifests that come with the lab, embedded.

use std::path::Path;

use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};

use crate::apply::{Manifest, parse};
use crate::error::{LabError, Result};
use crate::paths::write;
use crate::state::Environment;

static MANIFESTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

/// Rights of the lab's own parts: applied before its nodes join.
pub(crate) fn bootstrap() -> Result<Vec<Manifest>> {
    directory("bootstrap")
}

/// What every cluster brings: its DNS.
pub(crate) fn system() -> Result<Vec<Manifest>> {
    directory("system")
}

/// The platform that the harness proves.
pub(crate) fn platform() -> Result<Vec<Manifest>> {
    directory("platform")
}

/// What the cluster is for, where whoever administers it finds it.
pub(crate) fn environment(lab: &str, environment: Environment) -> Result<Vec<Manifest>> {
    let text = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: platform, namespace: kube-public}}, \
         data: {{name: {lab:?}, environment: {environment}}}}}"
    );
    parse("environment", &text)
}

/// Writes all of them out, for those who apply them by themselves.
pub(crate) fn write_out(to: &Path) -> Result<()> {
    for file in MANIFESTS.dirs().flat_map(Dir::files).chain(MANIFESTS.files()) {
        write(&to.join(file.path()), file.contents())?;
    }
    Ok(())
}

/// Changes whenever a manifest does.
pub(crate) fn fingerprint() -> String {
    let mut files: Vec<_> = MANIFESTS.dirs().flat_map(Dir::files).collect();
    files.sort_by_key(|file| file.path());
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.path().as_os_str().as_encoded_bytes());
        digest.update((file.contents().len() as u64).to_le_bytes());
        digest.update(file.contents());
    }
    hex::encode(digest.finalize())
}

fn directory(name: &str) -> Result<Vec<Manifest>> {
    let mut files: Vec<_> = MANIFESTS.get_dir(name).into_iter().flat_map(Dir::files).collect();
    files.sort_by_key(|file| file.path());
    let mut manifests = Vec::new();
    for file in files.into_iter().filter(|file| file.path().extension().is_some_and(|kind| kind == "yaml")) {
        let source = file.path().display().to_string();
        let text = file.contents_utf8().ok_or_else(|| LabError::Usage(format!("{source} is not text")))?;
        manifests.extend(parse(&source, text)?);
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_manifests_can_be_read() {
        assert!(!bootstrap().unwrap().is_empty());
        assert!(!system().unwrap().is_empty());
        platform().unwrap();
        let [about] = &environment("default", Environment::Production).unwrap()[..] else { panic!() };
        assert_eq!(about.object.data["data"]["environment"], "production");
    }
}
