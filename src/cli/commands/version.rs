//! `plimsoll version`.

use serde_json::json;

use crate::cli::args::VersionArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Listing;
use crate::exit::Exit;

/// Prints the version of the program and of what it speaks.
pub(super) fn run(args: &VersionArgs) -> Result<Exit, Failure> {
    let parts = [
        ("plimsoll", env!("CARGO_PKG_VERSION").to_owned()),
        ("journal", JOURNAL.to_owned()),
        ("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
    ];
    let mut listing = Listing::new(vec!["part", "version"], 2);
    let mut data = serde_json::Map::new();
    for (part, version) in parts {
        data.insert(part.to_owned(), json!(version));
        listing.row([part.to_owned(), version]);
    }
    listing.print(args.output, &data)?;
    Ok(Exit::Conformant)
}

/// The version of the journal's events.
const JOURNAL: &str = "plimsoll.dev/journal/v1";
