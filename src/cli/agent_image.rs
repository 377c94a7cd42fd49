//! The agent's image: named by the caller where nodes pull it, made by us where we can put it onto them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::failure::Failure;
use super::settings::xdg;
use crate::cluster::Target;
use crate::probe::image::{agent_image, agent_reference};
use crate::report::write_atomically;
use crate::tenant::AgentImage;

/// The image for a target. A name goes first; without one, the lab and kind get our own.
pub(super) fn choose(target: &Target, named: Option<&str>) -> Result<AgentImage, Failure> {
    if let Some(reference) = named {
        return Ok(AgentImage { reference: reference.to_owned(), archive: None });
    }
    if matches!(target, Target::Kubeconfig { .. }) {
        return Err(Failure::usage("the nodes of this cluster pull images, and the agent's is not named")
            .hint(
                "`plimsoll image agent.tar` writes it; push it to a registry that the nodes reach, and name it with \
                 --agent-image REFERENCE",
            )
            .into());
    }
    let archive = cached().map_err(|error| {
        Failure::usage("cannot write the agent's image to the user's cache directory").because(error)
    })?;
    Ok(AgentImage { reference: agent_reference(), archive: Some(archive) })
}

/// Writes the image as an archive, and gives its reference.
pub(super) fn write(path: &Path) -> io::Result<String> {
    let image = agent_image()?;
    write_atomically(path, &image.archive)?;
    Ok(image.reference)
}

/// The archive in the user's cache, made where it is not there. Its name is that of its content.
fn cached() -> io::Result<PathBuf> {
    let cache = xdg("XDG_CACHE_HOME", ".cache").unwrap_or_else(std::env::temp_dir).join("plimsoll/agent");
    let name = agent_reference().replace([':', '/'], "-");
    let path = cache.join(format!("{name}.tar"));
    if !path.is_file() {
        fs::create_dir_all(&cache)?;
        write(&path)?;
    }
    Ok(path)
}
