//! Commands that go on from the one that was typed, on the same cluster and with the same profile: the one that repeats
//! a scenario, the one that tries a case again, the one that removes what a run has left.

use std::path::Path;

/// Options of `run` that say where and against what it runs; what selects scenarios or writes reports is left
/// out. All of them take a value.
const KEPT: &[&str] = &[
    "--profile",
    "--cluster",
    "--name",
    "--kubeconfig",
    "--context",
    "--namespace",
    "-n",
    "--as",
    "--as-group",
    "--request-timeout",
    "--waivers",
    "--features",
    "--config",
    "--agent-image",
    "--peer",
];

/// And those of `fuzz`, which say where its cases are from.
const FUZZ_KEPT: &[&str] = &["--cases-from", "--replay", "--parallel"];

/// Options that `cleanup` takes too, apart from those that say which cluster.
const CLEANUP_KEPT: &[&str] = &["--profile", "--as", "--as-group", "--request-timeout", "--config"];

/// And those that say it.
const CLUSTER: &[&str] = &["--cluster", "--kubeconfig", "--context"];

/// How the scenarios of `fuzz` are named, up to the number of the case.
pub const FUZZED: &str = "fuzz/network/case-";

/// The command that tries the case of a file again, on the same cluster.
pub fn replay(typed: &[String], file: &Path) -> String {
    let mut words = kept(typed, &["plimsoll", "fuzz", "network"], |name| KEPT.contains(&name));
    words.extend(["--replay".to_owned(), file.display().to_string()]);
    line(&words)
}

/// The command that removes what a run has left where it ran; what is expired, where no run is named. `peer` is where
/// another cluster of the fleet is, if that one is meant.
pub fn cleanup(typed: &[String], peer: Option<&str>, run: Option<&str>) -> String {
    let mut words = kept(typed, &["plimsoll", "cleanup"], |name| {
        CLEANUP_KEPT.contains(&name) || (peer.is_none() && CLUSTER.contains(&name))
    });
    for (name, value) in [("--cluster", peer), ("--run", run)] {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_owned()]));
    }
    line(&words)
}

/// Builds the command from the one that was typed.
pub(super) fn command(typed: &[String], scenario: &str, seed: u64) -> String {
    let case = scenario.strip_prefix(FUZZED);
    let (command, more): (&[&str], _) = match case {
        Some(_) => (&["plimsoll", "fuzz", "network"], FUZZ_KEPT),
        None => (&["plimsoll", "run"], &[][..]),
    };
    let mut words = kept(typed, command, |name| KEPT.contains(&name) || more.contains(&name));
    if case.is_some() && typed.iter().any(|word| word == "--all") {
        words.push("--all".to_owned());
    }
    let given = |name: &str| words.iter().any(|word| word.split('=').next() == Some(name));
    let (replayed, from_file) = (given("--replay"), given("--cases-from"));
    let seed = ["--seed".to_owned(), seed.to_string()];
    match case {
        None => {
            words.extend(["--scenario".to_owned(), scenario.to_owned()]);
            words.extend(seed);
        }
        // There is one case in such a file.
        Some(_) if replayed => {}
        Some(number) => {
            words.extend(["--case".to_owned(), number.to_owned()]);
            if !from_file {
                words.extend(seed);
            }
        }
    }
    line(&words)
}

/// The command, with those of the typed options that are kept; all of them take a value.
fn kept(typed: &[String], command: &[&str], is_kept: impl Fn(&str) -> bool) -> Vec<String> {
    let mut words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let mut rest = typed.iter();
    while let Some(word) = rest.next() {
        match word.split_once('=') {
            Some((name, _)) if is_kept(name) => words.push(word.clone()),
            None if is_kept(word) => {
                words.push(word.clone());
                words.extend(rest.next().cloned());
            }
            _ => {}
        }
    }
    words
}

fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// As a POSIX shell must be given it.
fn quoted(word: &str) -> String {
    let plain =
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn keeps_the_place_and_drops_the_selection() {
        let typed = typed(
            "plimsoll run --profile p.yaml --suite smoke --context=prod --report html=r.html --tags @NET-02",
        );
        assert_eq!(
            command(&typed, "network/apart/closed", 7),
            "plimsoll run --profile p.yaml --context=prod --scenario network/apart/closed --seed 7"
        );
    }

    #[test]
    fn a_case_of_fuzz_is_tried_again_by_fuzz() {
        assert_eq!(
            command(
                &typed("plimsoll fuzz network --cases-from a.json --all --context c"),
                "fuzz/network/case-3",
                9
            ),
            "plimsoll fuzz network --cases-from a.json --context c --all --case 3"
        );
        assert_eq!(
            command(&typed("plimsoll fuzz network --replay=r.yaml"), "fuzz/network/case-1", 9),
            "plimsoll fuzz network --replay=r.yaml"
        );
        assert_eq!(
            replay(&typed("plimsoll -q fuzz network --cases 9 --context c"), Path::new("a b/r.yaml")),
            "plimsoll fuzz network --context c --replay 'a b/r.yaml'"
        );
    }

    #[test]
    fn what_is_left_is_removed_where_it_is() {
        let typed = typed(
            "plimsoll run -q --context qa-eu-1 --kubeconfig=k --profile p.yaml --suite ci --agent-image a:1 \
             --peer production=lab:b",
        );
        assert_eq!(
            cleanup(&typed, None, Some("x7k2")),
            "plimsoll cleanup --context qa-eu-1 --kubeconfig=k --profile p.yaml --run x7k2"
        );
        assert_eq!(cleanup(&typed, Some("lab:b"), None), "plimsoll cleanup --profile p.yaml --cluster lab:b");
        assert_eq!(cleanup(&["plimsoll".to_owned()], None, None), "plimsoll cleanup");
        let again = command(&typed, "network/apart/closed", 7);
        assert!(again.contains(" --agent-image a:1 --peer production=lab:b "), "{again}");
    }

    #[test]
    fn quotes_what_a_shell_would_take_apart() {
        assert_eq!(
            command(&typed("plimsoll run"), "a/b's#2", 0),
            r"plimsoll run --scenario 'a/b'\''s#2' --seed 0"
        );
    }
}
