//! Words and figures that more than one renderer writes the same way.

use crate::engine::Outcome;

/// `1 scenario`, `2 scenarios`.
pub(crate) fn count(n: usize, singular: &str, plural: &str) -> String {
    format!("{n} {}", if n == 1 { singular } else { plural })
}

/// A duration for people, with three significant digits at most: `850 µs`, `12.4 ms`, `3.20 s`, `2 min 05 s`.
pub(crate) fn duration_us(us: u64) -> String {
    let value = us as f64;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.2} ms", value / 1e3),
        10_000..100_000 => format!("{:.1} ms", value / 1e3),
        100_000..999_500 => format!("{:.0} ms", value / 1e3),
        999_500..9_995_000 => format!("{:.2} s", value / 1e6),
        9_995_000..59_950_000 => format!("{:.1} s", value / 1e6),
        _ => {
            let seconds = (us + 500_000) / 1_000_000;
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
                (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
            }
        }
    }
}

/// As [`duration_us`], from milliseconds.
pub(crate) fn duration_ms(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { duration_us(ms.saturating_mul(1_000)) }
}

/// `2 failed, 1 not-run`: the outcomes that occur, worst first.
pub(crate) fn tally(tally: &crate::engine::Tally) -> String {
    let parts: Vec<String> = BY_WEIGHT
        .iter()
        .filter(|outcome| tally.of(**outcome) > 0)
        .map(|outcome| format!("{} {}", tally.of(*outcome), outcome.word()))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// Worst first. A requirement is worth its worst scenario, and only passed is proof: so what could not be told
/// or never ran weighs more than what was accepted, and that more than what does not apply.
pub(crate) const BY_WEIGHT: [Outcome; 6] = [
    Outcome::Failed,
    Outcome::Inconclusive,
    Outcome::NotRun,
    Outcome::Waived,
    Outcome::NotApplicable,
    Outcome::Passed,
];

/// The worst of some outcomes.
pub(crate) fn worst(outcomes: impl IntoIterator<Item = Outcome>) -> Option<Outcome> {
    outcomes.into_iter().min_by_key(|outcome| BY_WEIGHT.iter().position(|other| other == outcome))
}

/// The text on one line: line breaks and other control characters become spaces.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shown(&spaced).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text of others as it may go to a terminal: control characters (those of C1 too) and the controls of the
/// direction of text become U+FFFD, so that a forged file cannot move the cursor, colour or turn around what
/// is said about it.
pub(crate) fn shown(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if moves(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        let shown: Vec<String> = [
            0,
            999,
            1_000,
            9_999,
            12_345,
            99_999,
            850_400,
            999_499,
            999_500,
            3_204_000,
            45_000_000,
            59_949_999,
            59_950_000,
            125_000_000,
            7_500_000_000,
        ]
        .map(duration_us)
        .into();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn the_worst_outcome_stands_for_all() {
        assert_eq!(worst([Outcome::Passed, Outcome::Waived, Outcome::NotRun]), Some(Outcome::NotRun));
        assert_eq!(worst([Outcome::NotApplicable, Outcome::Passed]), Some(Outcome::NotApplicable));
        assert_eq!(worst(Outcome::ALL), Some(Outcome::Failed));
        assert_eq!(worst([]), None);
    }

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(one_line("a\n\tb\r\n c\u{7}"), "a b c");
    }

    #[test]
    fn text_of_others_moves_nothing() {
        assert_eq!(
            shown("a\u{1b}[2K\rb\u{9b}c\u{202e}d\u{2066}e\u{7f}"),
            "a\u{fffd}[2K\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}"
        );
        assert_eq!(shown("r\u{e9}seau \u{2192} 10 \u{b5}s"), "r\u{e9}seau \u{2192} 10 \u{b5}s");
        assert_eq!(one_line("a\u{202e}b"), "a\u{fffd}b");
    }
}
