//! Data on stdout, in the form that `-o` asks for.

use std::io::{self, Write};

use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::peaker::PriorityMax;
use tabled::settings::{Alignment, Modify, Padding, Style, Width};

use super::args::OutputFormat;
use super::failure::Failure;

/// The width that tables keep to.
const WIDTH: usize = 80;

/// A listing: rows for people, data for programs, names for pipes.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Heads of the columns.
    pub heads: Vec<&'static str>,
    /// How many of the columns `table` shows; `wide` shows all.
    pub narrow: usize,
    /// Rows, as wide as the heads; the first column is the name.
    pub rows: Vec<Vec<String>>,
}

impl Listing {
    /// An empty listing with these columns, of which `narrow` stand in the narrow form.
    pub(super) fn new(heads: Vec<&'static str>, narrow: usize) -> Self {
        Self { heads, narrow, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Writes it to stdout; `data` is what JSON and YAML show.
    pub(super) fn print(&self, format: OutputFormat, data: &impl Serialize) -> Result<(), Failure> {
        let text = match format {
            OutputFormat::Json => json(data)?,
            OutputFormat::Yaml => yaml(data)?,
            OutputFormat::Name => {
                let mut text = String::new();
                for row in &self.rows {
                    text.push_str(row.first().map_or("", String::as_str));
                    text.push('\n');
                }
                text
            }
            OutputFormat::Table => self.table(self.narrow, Some(WIDTH)),
            OutputFormat::Wide => self.table(self.heads.len(), None),
        };
        print(&text)
    }

    /// The table itself, in kubectl's plain style.
    pub(super) fn table(&self, columns: usize, width: Option<usize>) -> String {
        let mut builder = Builder::default();
        builder.push_record(self.heads.iter().take(columns).map(|head| head.to_uppercase()));
        for row in &self.rows {
            builder.push_record(row.iter().take(columns).cloned());
        }
        let mut table = builder.build();
        table
            .with(Style::empty())
            .with(Padding::new(0, 2, 0, 0))
            .with(Modify::new(Columns::new(..)).with(Alignment::left()));
        if let Some(width) = width {
            table.with(Width::wrap(width).keep_words(true).priority(PriorityMax::left()));
        }
        let mut text = String::new();
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Writes text to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

/// Writes bytes to stdout.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

/// JSON, indented, with a newline at its end.
pub(super) fn json(data: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(data)
        .map_err(|error| Failure::trouble("cannot write the data as JSON").because(error))?;
    text.push('\n');
    Ok(text)
}

/// YAML.
pub(super) fn yaml(data: &impl Serialize) -> Result<String, Failure> {
    Ok(serde_yaml::to_string(data)
        .map_err(|error| Failure::trouble("cannot write the data as YAML").because(error))?)
}

/// `1 scenario`, `2 scenarios`.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
