//! Annotations of GitHub Actions: workflow commands in the log, at the feature's line.

use crate::engine::{Outcome, ScenarioId};

/// GitHub shows no more than this of a step.
const MOST: usize = 10;

/// What an annotation points at.
pub(super) struct Annotation {
    pub(super) outcome: Outcome,
    pub(super) id: ScenarioId,
    pub(super) requirements: String,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) message: String,
}

/// The commands, worst first, no more than GitHub shows.
pub(super) fn commands(mut annotations: Vec<Annotation>) -> Vec<String> {
    annotations.retain(|a| matches!(a.outcome, Outcome::Failed | Outcome::Inconclusive));
    annotations.sort_by_key(|a| a.outcome != Outcome::Failed);
    annotations
        .iter()
        .take(MOST)
        .map(|a| {
            let level = if a.outcome == Outcome::Failed { "error" } else { "warning" };
            let title = format!("{} {}", a.requirements, a.outcome.word());
            format!(
                "::{level} file={},line={},title={}::{}",
                property(&a.file),
                a.line,
                property(title.trim()),
                data(&format!("{} ({})", a.message, a.id))
            )
        })
        .collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(outcome: Outcome, message: &str) -> Annotation {
        Annotation {
            outcome,
            id: ScenarioId("a/b".to_owned()),
            requirements: "NET-02".to_owned(),
            file: "features/a,b:c.feature".to_owned(),
            line: 7,
            message: message.to_owned(),
        }
    }

    #[test]
    fn what_the_command_syntax_uses_is_escaped() {
        assert_eq!(
            commands(vec![annotation(Outcome::Failed, "100% :: of\nit")]),
            ["::error file=features/a%2Cb%3Ac.feature,line=7,title=NET-02 failed::100%25 :: of%0Ait (a/b)"]
        );
    }

    #[test]
    fn ten_at_most_and_failures_first() {
        let mut many: Vec<_> = (0..12).map(|_| annotation(Outcome::Inconclusive, "?")).collect();
        many.push(annotation(Outcome::Passed, "fine"));
        many.push(annotation(Outcome::Failed, "bad"));
        let commands = commands(many);
        assert_eq!(commands.len(), 10);
        assert!(commands[0].starts_with("::error"));
        assert!(commands[1].starts_with("::warning"));
    }
}
