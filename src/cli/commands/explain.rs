//! `plimsoll explain`.

use std::fmt::Write as _;

use crate::cli::args::ExplainArgs;
use crate::cli::catalog;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::topics;
use crate::exit::Exit;

/// Explains one thing on stdout.
pub(super) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let topics = topics::all(&catalog::requirements()?);
    let Some(topic) = topics::find(&topics, &args.id) else {
        let near = topics::nearest(topics.iter().map(|topic| topic.id.as_str()), &args.id);
        let hint = if near.is_empty() {
            "`plimsoll list requirements` names the requirements".to_owned()
        } else {
            format!("did you mean {}?", near.join(" or "))
        };
        return Err(Failure::usage(format!("nothing is known about `{}`", args.id)).hint(hint).into());
    };
    let mut text = format!("{} ({})\n", topic.id, topic.kind.word());
    for line in textwrap::wrap(&topic.meaning, 78) {
        let _ = writeln!(text, "  {line}");
    }
    if !topic.facts.is_empty() {
        text.push('\n');
    }
    for (name, value) in &topic.facts {
        let indent = " ".repeat(13);
        let wrapped = textwrap::fill(
            value,
            textwrap::Options::new(80).initial_indent(&indent).subsequent_indent(&indent),
        );
        let _ = writeln!(text, "  {name:<10} {}", wrapped.trim_start());
    }
    output::print(&text)?;
    Ok(Exit::Conformant)
}
