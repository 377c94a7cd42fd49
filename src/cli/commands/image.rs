//! `plimsoll image`.

use crate::cli::args::ImageArgs;
use crate::cli::failure::Failure;
use crate::cli::{agent_image, output};
use crate::exit::Exit;

/// Writes the agent's image, and prints its reference.
pub(super) fn run(args: &ImageArgs) -> Result<Exit, Failure> {
    let reference = agent_image::write(&args.file).map_err(|error| {
        Failure::usage(format!("cannot write the image to {}", args.file.display())).because(error)
    })?;
    output::print(&format!("{reference}\n"))?;
    Ok(Exit::Conformant)
}
