//! `plimsoll man`.

use std::fs;
use std::path::Path;

use clap_mangen::Man;

use crate::cli::args::{ManArgs, command};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::exit::Exit;

/// Prints the page of the program, or writes one page a command.
pub(super) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let mut program = command();
    program.build();
    match &args.dir {
        None => output::print(&page(program)?)?,
        Some(dir) => {
            fs::create_dir_all(dir).map_err(|error| cannot_write(dir, error))?;
            write_all(program, "plimsoll", dir)?;
        }
    }
    Ok(Exit::Conformant)
}

/// Writes the page of a command and of all below it.
fn write_all(command: clap::Command, name: &str, dir: &Path) -> Result<(), Failure> {
    for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
        write_all(child.clone(), &format!("{name}-{}", child.get_name()), dir)?;
    }
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command)?).map_err(|error| cannot_write(&path, error))
}

fn page(command: clap::Command) -> Result<String, Failure> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn cannot_write(path: &Path, error: std::io::Error) -> Failure {
    Failure::usage(format!("cannot write the manual to {}", path.display())).because(error).into()
}
