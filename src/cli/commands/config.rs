//! `plimsoll config`.

use serde_json::{Map, json};

use crate::cli::args::ConfigArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Listing;
use crate::cli::settings::Layers;
use crate::exit::Exit;

/// Shows each setting with its value and its origin.
pub(super) fn run(args: &ConfigArgs, layers: &Layers) -> Result<Exit, Failure> {
    let mut listing = Listing::new(vec!["setting", "value", "origin"], 3);
    let mut data = Map::new();
    for (name, setting) in layers.all()? {
        data.insert(name.to_owned(), json!({ "value": setting.value, "origin": setting.origin.to_string() }));
        listing.row([name.to_owned(), setting.value, setting.origin.to_string()]);
    }
    listing.print(args.output, &data)?;
    Ok(Exit::Conformant)
}
