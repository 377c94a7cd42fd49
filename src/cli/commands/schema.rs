//! `plimsoll schema`.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

use crate::catalog::suite_schema;
use crate::cli::args::{SchemaArgs, SchemaWhat};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::settings::ConfigFile;
use crate::evidence::Record;
use crate::exit::Exit;
use crate::profile;
use crate::report::{Grade, Model};
use crate::sabotage;

/// Prints the schema of a file format.
pub(super) fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    output::print(&output::json(&schema(args.what))?)?;
    Ok(Exit::Conformant)
}

/// The schema of one format.
pub(in crate::cli) fn schema(what: SchemaWhat) -> Value {
    match what {
        SchemaWhat::Config => of::<ConfigFile>(),
        SchemaWhat::Journal => of::<Record>(),
        SchemaWhat::Report => of::<Model>(),
        SchemaWhat::Grade => of::<Grade>(),
        SchemaWhat::Sabotage => sabotage::schema(),
        SchemaWhat::Profile => profile::schema(),
        SchemaWhat::Suite => suite_schema(),
    }
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}
