//! Writes container images without a container engine: one layer, as a `docker save` archive that every container
//! runtime imports. The same content gives the same bytes, and so the same image id.

use std::io::{self, Write};

use serde_json::json;
use sha2::{Digest as _, Sha256};

/// A file of an image.
#[derive(Debug, Clone)]
struct Entry {
    path: String,
    content: Vec<u8>,
    mode: u32,
}

/// An image under construction.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    reference: String,
    entries: Vec<Entry>,
    directories: Vec<(String, u32)>,
    entrypoint: Vec<String>,
    env: Vec<String>,
    user: String,
}

impl ImageBuilder {
    /// An empty image that will be known by a full reference such as `example.org/name:tag`.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            entries: Vec::new(),
            directories: Vec::new(),
            entrypoint: Vec::new(),
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            user: String::new(),
        }
    }

    /// Adds a file; the directories above it come by themselves.
    #[must_use]
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.entries.push(Entry {
            path: path.trim_start_matches('/').to_owned(),
            content: content.into(),
            mode,
        });
        self
    }

    /// Adds an empty directory, or sets the mode of one that files bring.
    #[must_use]
    pub fn directory(mut self, path: &str, mode: u32) -> Self {
        self.directories.push((path.trim_matches('/').to_owned(), mode));
        self
    }

    /// Sets the program, with its first arguments.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// Sets the user, as `uid` or `uid:gid`.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// Writes the archive.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        let layer = self.layer()?;
        let layer_digest = hex::encode(Sha256::digest(&layer));
        let config = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": { "Entrypoint": self.entrypoint, "Env": self.env, "User": self.user, "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
            "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "plimsoll" }],
        }))?;
        let config_name = format!("{}.json", hex::encode(Sha256::digest(&config)));
        let layer_name = format!("{layer_digest}/layer.tar");
        let manifest = serde_json::to_vec(&json!([{
            "Config": config_name,
            "RepoTags": [self.reference],
            "Layers": [layer_name],
        }]))?;

        let mut archive = tar::Builder::new(to);
        append(&mut archive, &config_name, &config, 0o644)?;
        append(&mut archive, &layer_name, &layer, 0o644)?;
        append(&mut archive, "manifest.json", &manifest, 0o644)?;
        archive.into_inner()?.flush()
    }

    /// The archive as bytes.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut directories: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
        for entry in &self.entries {
            for (at, _) in entry.path.match_indices('/') {
                directories.insert(entry.path[..at].to_owned(), 0o755);
            }
        }
        directories.extend(self.directories.iter().cloned());

        let mut layer = tar::Builder::new(Vec::new());
        for (path, mode) in &directories {
            let mut header = header(0, *mode);
            header.set_entry_type(tar::EntryType::Directory);
            layer.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        for entry in entries {
            append(&mut layer, &entry.path, &entry.content, entry.mode)?;
        }
        layer.into_inner()
    }
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    archive.append_data(&mut header(content.len() as u64, mode), path, content)
}

/// A header without anything that would tell one machine or one moment from another.
fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// The architecture in the words of the image specification.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::io::Read as _;

    fn unpack(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), content)
            })
            .collect()
    }

    fn sample() -> ImageBuilder {
        ImageBuilder::new("example.org/a:1")
            .file("/bin/tool", b"#!", 0o755)
            .entrypoint(["/bin/tool"])
            .user("65532")
    }

    #[test]
    fn the_archive_is_whole_and_its_digests_are_right() {
        let files = unpack(&sample().directory("/tmp", 0o1777).to_bytes().unwrap());
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "example.org/a:1");
        let config_name = manifest[0]["Config"].as_str().unwrap();
        let config = &files[config_name];
        assert_eq!(config_name, format!("{}.json", hex::encode(Sha256::digest(config))));
        let config: serde_json::Value = serde_json::from_slice(config).unwrap();
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", hex::encode(Sha256::digest(layer))));
        assert_eq!(config["config"]["User"], "65532");
        let inside = unpack(layer);
        assert_eq!(inside.keys().collect::<Vec<_>>(), ["bin/", "bin/tool", "tmp/"]);
        assert_eq!(inside["bin/tool"], b"#!");
    }

    proptest::proptest! {
        #[test]
        fn the_order_of_files_does_not_change_the_image(names in proptest::collection::btree_set("[a-z]{1,8}", 1..6)) {
            let build = |names: &mut dyn Iterator<Item = &String>| {
                names
                    .fold(ImageBuilder::new("example.org/a:1"), |image, name| {
                        image.file(&format!("/d/{name}"), name.as_bytes(), 0o644)
                    })
                    .to_bytes()
                    .unwrap()
            };
            proptest::prop_assert_eq!(build(&mut names.iter()), build(&mut names.iter().rev()));
        }
    }
}
