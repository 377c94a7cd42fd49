//! Rulesets read by the real nft, in a network namespace of their own.

use std::io::Write;
use std::process::{Command, Stdio};

use super::super::{Ruleset, compile};
use super::fixtures::{NODE_A, cluster_policy, policy, view};
use super::snapshots::varied;

/// Loads rulesets one after the other into one new namespace; the text of what is then in force.
fn load(rulesets: &[Ruleset]) -> String {
    // A user namespace makes it work without root as well.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "sh", "-ec"]);
    let files: Vec<String> = (0..rulesets.len()).map(|number| format!("\"$dir/{number}\"")).collect();
    let script = format!("for file in {}; do nft -f \"$file\"; done; nft list ruleset", files.join(" "));
    let dir = tempfile::tempdir().expect("directory");
    for (number, ruleset) in rulesets.iter().enumerate() {
        let mut file = std::fs::File::create(dir.path().join(number.to_string())).expect("file");
        write!(file, "{ruleset}").expect("write");
    }
    let output = command
        .arg(script)
        .env("dir", dir.path())
        .stderr(Stdio::piped())
        .output()
        .expect("unshare and nft are needed for this test (packages util-linux and nftables)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn kernel_takes_a_bit_of_everything() {
    let (snapshot, view) = varied();
    let listed = load(&[compile(&snapshot, &view)]);
    for expected in [
        "ip daddr 0.0.0.0/0 ip daddr != 10.0.0.0/8 ip daddr != 10.1.0.0/16 accept",
        "meta l4proto sctp accept",
        "type ipv4_addr : verdict",
        "198.18.1.21 : accept",
    ] {
        assert!(listed.contains(expected), "{expected:?} is not in:\n{listed}");
    }
}

#[test]
fn a_ruleset_replaces_all_of_the_one_before() {
    let (mut snapshot, view) = varied();
    let closed = Ruleset::closed(view.pod_ranges.clone());
    let full = compile(&snapshot, &view);
    snapshot.policies.clear();
    let open = compile(&snapshot, &view);
    assert_eq!(load(&[closed, full, open.clone()]), load(&[open]));
}

#[test]
fn names_too_long_for_a_comment() {
    let (mut snapshot, _) = varied();
    snapshot.policies = vec![policy("{podSelector: {}, ingress: [{}]}")];
    snapshot.policies[0].name = "n".repeat(253);
    let rules = "{tier: Admin, priority: 0, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}";
    snapshot.cluster_policies = vec![cluster_policy(&"c".repeat(253), rules)];
    load(&[compile(&snapshot, &view(NODE_A))]);
}
