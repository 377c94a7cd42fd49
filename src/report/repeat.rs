//! The command that repeats a scenario: on the same cluster, with the same profile and seed.

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
];

/// Builds the command from the one that was typed.
pub(super) fn command(typed: &[String], scenario: &str, seed: u64) -> String {
    let mut words = vec!["plimsoll".to_owned(), "run".to_owned()];
    let mut rest = typed.iter();
    while let Some(word) = rest.next() {
        match word.split_once('=') {
            Some((name, _)) if KEPT.contains(&name) => words.push(word.clone()),
            None if KEPT.contains(&word.as_str()) => {
                words.push(word.clone());
                words.extend(rest.next().cloned());
            }
            _ => {}
        }
    }
    words.extend(["--scenario".to_owned(), scenario.to_owned(), "--seed".to_owned(), seed.to_string()]);
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
    fn quotes_what_a_shell_would_take_apart() {
        assert_eq!(
            command(&typed("plimsoll run"), "a/b's#2", 0),
            r"plimsoll run --scenario 'a/b'\''s#2' --seed 0"
        );
    }
}
