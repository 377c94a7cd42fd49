//! The reference documentation and the schemas, generated from the code. A test keeps the files that are
//! checked in equal to what this gives.

use std::fmt::Write as _;

use super::args::{SchemaWhat, command};
use super::catalog;
use super::commands::schema;
use super::failure::Failure;
use super::output;
use super::topics::{self, TopicKind};
use crate::engine::Level;

const HEAD: &str = "<!-- Generated from the code: UPDATE_REFERENCE=1 cargo test --test reference -->\n";

/// Every generated file: its path in the repository and its text.
///
/// # Errors
///
/// Where the embedded catalog is not valid.
pub fn reference() -> Result<Vec<(String, String)>, Failure> {
    let mut files = vec![
        ("docs/reference/commands.md".to_owned(), commands()),
        ("docs/reference/requirements.md".to_owned(), requirements()?),
        ("docs/reference/suites.md".to_owned(), suites()?),
        ("docs/reference/words.md".to_owned(), words()?),
    ];
    for what in SchemaWhat::ALL {
        files.push((
            format!("reports/schemas/{}.schema.json", what.file()),
            output::json(&schema::schema(what))?,
        ));
    }
    Ok(files)
}

/// The help of every command.
fn commands() -> String {
    let mut program = command().color(clap::ColorChoice::Never).term_width(80);
    program.build();
    let mut text = format!("{HEAD}# Commands\n");
    let mut help = |command: &mut clap::Command, name: &str| {
        let _ = write!(
            text,
            "\n## `{name}`\n\n```text\n{}\n```\n",
            trimmed(&command.render_long_help().to_string())
        );
    };
    help(&mut program, "plimsoll");
    let mut walk: Vec<(String, clap::Command)> = children("plimsoll", &program);
    while !walk.is_empty() {
        let (name, mut command) = walk.remove(0);
        help(&mut command, &name);
        let below = children(&name, &command);
        walk.splice(0..0, below);
    }
    text
}

fn children(name: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    command
        .get_subcommands()
        .filter(|child| !child.is_hide_set())
        .map(|child| (format!("{name} {}", child.get_name()), child.clone()))
        .collect()
}

/// Without spaces at the ends of lines.
fn trimmed(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

fn requirements() -> Result<String, Failure> {
    let mut text = format!(
        "{HEAD}# Requirements\n\nEach is one promise of the platform, with a stable id. `plimsoll explain ID` shows one;\n\
         `plimsoll list requirements -o wide` shows which scenarios prove it.\n"
    );
    let mut family = String::new();
    for requirement in catalog::requirements()?.iter() {
        if requirement.family() != family {
            requirement.family().clone_into(&mut family);
            let _ = write!(
                text,
                "\n## {family}: {}\n\n| id | level | promise | controls |\n|---|---|---|---|\n",
                catalog::family_title(&family)
            );
        }
        let controls: Vec<String> = requirement
            .controls
            .iter()
            .map(|control| format!("{} {}", control.framework, control.id))
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            requirement.id,
            match requirement.level {
                Level::Must => "must",
                Level::Should => "should",
            },
            cell(&requirement.promise),
            cell(&controls.join(", "))
        );
    }
    Ok(text)
}

/// The suites, and what those that stand for somebody else's catalogue have for each of its checks.
fn suites() -> Result<String, Failure> {
    let catalog = catalog::load(&[])?;
    let mut text = format!(
        "{HEAD}# Suites\n\nA suite is data (`scenarios/suites/`): a selection with a name. `plimsoll plan --suite NAME` \
         lists what it selects.\n"
    );
    for entry in catalog.suites() {
        let metadata = &entry.suite.metadata;
        let _ =
            write!(text, "\n## `{}`\n\n{}.\n", metadata.name, metadata.title.as_deref().unwrap_or_default());
        let checks = catalog
            .checks(entry)
            .map_err(|error| Failure::usage("a suite names what there is not").because(error))?;
        if checks.is_empty() {
            continue;
        }
        let _ = write!(text, "\n| check | scenarios |\n|---|---|\n");
        for (check, scenarios) in checks {
            let list: Vec<_> = scenarios.iter().map(|id| format!("`{id}`")).collect();
            let _ = writeln!(text, "| {} | {} |", cell(&check), list.join("<br>"));
        }
    }
    Ok(text)
}

/// The closed vocabularies: verdicts, outcomes, capabilities, tags, codes, exit codes.
fn words() -> Result<String, Failure> {
    let topics = topics::all(&catalog::requirements()?);
    let mut text = format!("{HEAD}# Words\n\n`plimsoll explain WORD` knows each of these.\n");
    for (kind, title) in TopicKind::VOCABULARIES {
        let _ = write!(text, "\n## {title}\n\n| {} | meaning |\n|---|---|\n", kind.word());
        for topic in topics.iter().filter(|topic| topic.kind == kind) {
            let _ = writeln!(text, "| `{}` | {} |", topic.id, cell(&topic.meaning));
        }
    }
    Ok(text)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
