//! The agent's image, made in memory: one layer with one static program.
//!
//! The archive is what `docker save` writes, which containerd, Docker and kind all read. It is deterministic, and its tag
//! is the hash of its content, so that a node that has the image has the right one.

use std::io;

use serde_json::json;
use sha2::{Digest, Sha256};

/// The agent that this harness carries.
pub const AGENT: &[u8] = include_bytes!(env!("PLIMSOLL_AGENT_EMBEDDED"));

/// Where the program lies in the image.
pub const AGENT_PATH: &str = "/plimsoll-agent";

/// The user that the image runs as: the convention for "nobody in particular".
pub const AGENT_UID: u32 = 65_532;

const REPOSITORY: &str = "plimsoll.dev/agent";

/// An image as an archive with its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `plimsoll.dev/agent:<hash>`.
    pub reference: String,
    /// The archive, as `docker save` writes it.
    pub archive: Vec<u8>,
}

/// The image of the agent that this harness carries.
///
/// # Errors
/// Memory cannot be written to, which is not expected.
pub fn agent_image() -> io::Result<Image> {
    image(AGENT)
}

/// The reference of that image, without making it.
pub fn agent_reference() -> String {
    reference(AGENT)
}

fn reference(program: &[u8]) -> String {
    // The version of the recipe is hashed, too: the same program in another image is another image.
    let mut hash = Sha256::new();
    hash.update(b"plimsoll agent image 1\n");
    hash.update(program);
    let hash = hex::encode(hash.finalize());
    format!("{REPOSITORY}:{}", hash.get(..16).unwrap_or(&hash))
}

fn image(program: &[u8]) -> io::Result<Image> {
    let reference = reference(program);
    let mut layer = Archive::default();
    layer.add(AGENT_PATH.trim_start_matches('/'), 0o755, program)?;
    let layer = layer.finish()?;
    let layer_hash = sha256(&layer);

    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "User": format!("{AGENT_UID}:{AGENT_UID}"),
            "Entrypoint": [AGENT_PATH],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "Plimsoll agent",
                "org.opencontainers.image.description": "Client and server of Plimsoll's probes",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_hash}")] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "plimsoll" }],
    })
    .to_string();
    let config_name = format!("{}.json", sha256(config.as_bytes()));
    let layer_name = format!("{layer_hash}/layer.tar");
    let manifest =
        json!([{ "Config": config_name, "RepoTags": [reference], "Layers": [layer_name] }]).to_string();

    let mut archive = Archive::default();
    archive.add("manifest.json", 0o644, manifest.as_bytes())?;
    archive.add(&config_name, 0o644, config.as_bytes())?;
    archive.add(&layer_name, 0o644, &layer)?;
    Ok(Image { reference, archive: archive.finish()? })
}

/// A tar archive without times and names of this machine.
struct Archive(tar::Builder<Vec<u8>>);

impl Default for Archive {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl Archive {
    fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
        header.set_mode(mode);
        self.0.append_data(&mut header, path, content)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// The architecture in the words of container images; the agent is built for the harness's own.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::io::Read;

    fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), content);
        }
        files
    }

    #[test]
    fn the_agent_is_a_static_program_and_its_image_is_small() {
        assert_eq!(AGENT.get(..4), Some(&b"\x7fELF"[..]));
        let image = agent_image().unwrap();
        assert!(image.archive.len() < 8 << 20, "{} bytes", image.archive.len());
        assert_eq!(image.reference, agent_reference());
        // A static program names no interpreter (PT_INTERP): the empty image has none to offer.
        assert!(!AGENT.windows(13).any(|it| it == b"/ld-linux-x86"), "the agent is linked dynamically");
    }

    #[test]
    fn every_hash_in_the_archive_is_that_of_its_file() {
        let image = image(b"a program").unwrap();
        let files = unpack(&image.archive);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], image.reference.as_str());
        let config_name = manifest[0]["Config"].as_str().unwrap();
        let config = &files[config_name];
        assert_eq!(config_name, format!("{}.json", sha256(config)));
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        let config: Value = serde_json::from_slice(config).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(layer)));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(unpack(layer)["plimsoll-agent"], b"a program");
    }

    #[test]
    fn the_same_program_makes_the_same_image_and_another_one_another() {
        assert_eq!(image(b"a").unwrap(), image(b"a").unwrap());
        assert_ne!(image(b"a").unwrap().reference, image(b"b").unwrap().reference);
    }
}
