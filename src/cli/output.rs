//! Data on stdout, in the form that `-o` asks for; words about it on stderr.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::args::OutputFormat;
use super::failure::Failure;

/// The width that tables keep to.
const WIDTH: usize = 80;
/// A last column narrower than this reads worse than a line that is too long.
const NARROWEST: usize = 30;

/// A listing: rows for people, data for programs, names for pipes.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Heads of the columns.
    pub heads: Vec<&'static str>,
    /// How many of the columns `table` shows; `wide` shows all.
    pub narrow: usize,
    /// Rows, as wide as the heads.
    pub rows: Vec<Vec<String>>,
    /// Which column is the name; the first one, if not said otherwise.
    pub name: usize,
}

impl Listing {
    /// An empty listing with these columns, of which `narrow` stand in the narrow form.
    pub(super) fn new(heads: Vec<&'static str>, narrow: usize) -> Self {
        Self { heads, narrow, rows: Vec::new(), name: 0 }
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
                    text.push_str(row.get(self.name).map_or("", String::as_str));
                    text.push('\n');
                }
                text
            }
            OutputFormat::Table => self.table(self.narrow, Some(WIDTH)),
            OutputFormat::Wide => self.table(self.heads.len(), None),
        };
        print(&text)
    }

    /// The table itself, in kubectl's plain style. Names are never broken, so that they can be copied; only
    /// the last column is folded to the width.
    pub(super) fn table(&self, columns: usize, width: Option<usize>) -> String {
        let last = columns.saturating_sub(1);
        let before: usize = (0..last)
            .map(|column| {
                let cells =
                    self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
                let head = self.heads.get(column).map_or(0, |head| head.len());
                cells.max().unwrap_or(0).max(head) + 2
            })
            .sum();
        let room = width.map(|width| width.saturating_sub(before).max(NARROWEST));
        let fold = |cell: &str| match room {
            Some(room) => textwrap::fill(
                cell,
                textwrap::Options::new(room)
                    .break_words(false)
                    .word_splitter(textwrap::WordSplitter::NoHyphenation),
            ),
            None => cell.to_owned(),
        };
        let mut builder = Builder::default();
        builder.push_record(self.heads.iter().take(columns).map(|head| head.to_uppercase()));
        for row in &self.rows {
            builder.push_record(
                row.iter()
                    .take(columns)
                    .enumerate()
                    .map(|(column, cell)| if column == last { fold(cell) } else { cell.clone() }),
            );
        }
        let mut table = builder.build();
        table
            .with(Style::empty())
            .with(Padding::new(0, 2, 0, 0))
            .with(Modify::new(Columns::new(..)).with(Alignment::left()));
        let mut text = String::new();
        for line in table.to_string().lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Writes a line to stderr. What is said there goes with the result and is not the result: where nobody hears it (a
/// full disk, a reader that has gone away), the command goes on and ends as it would have. `eprintln!` would panic.
pub(in crate::cli) fn note(line: impl Display) {
    say(format_args!("{line}\n"));
}

/// The same without the end of the line.
pub(super) fn say(text: impl Display) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{text}");
    let _ = stderr.flush();
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
