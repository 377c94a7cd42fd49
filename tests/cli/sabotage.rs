//! `plimsoll sabotage`, as far as it needs no cluster.

use crate::{Sandbox, run};

#[test]
fn a_cluster_that_is_not_expendable_is_refused_before_anything_is_touched() {
    let sandbox = Sandbox::new();
    let profile = plimsoll::profile::LAB_PROFILE.replace("expendable: true", "expendable: false");
    let file = sandbox.write("platform.yaml", &profile);
    // A kubeconfig that cannot be read would be found out as soon as anybody looked at it.
    let kubeconfig = sandbox.write("kubeconfig", "this: is: none");
    let arguments =
        ["sabotage", "run", "--profile", &file, "--kubeconfig", &kubeconfig, "--context", "production"];
    let (code, stdout, stderr) = run(&mut sandbox.plimsoll(&arguments));
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("does not mark its cluster as expendable"), "{stderr}");
}

#[test]
fn what_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    for (arguments, code, words) in [
        (&["sabotage", "run", "no-such-thing"][..], 2, "there is no sabotage `no-such-thing`"),
        (&["sabotage", "explain", "viewer-toches"], 2, "did you mean viewer-touches"),
        (&["sabotage", "list", "--requirement", "XYZ-99"], 4, "no sabotage meets all the criteria"),
        (&["sabotage", "run", "--results", "/proc/nowhere/x"], 2, "/proc/nowhere/x"),
        (&["sabotage", "run", "--lanes", "0"], 2, "1..=16"),
    ] {
        let (seen, _, stderr) = run(&mut sandbox.plimsoll(arguments));
        assert_eq!(seen, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn they_are_listed_by_requirement_and_family_and_explained() {
    let sandbox = Sandbox::new();
    let names = |arguments: &[&str]| {
        let (code, stdout, stderr) = run(&mut sandbox.plimsoll(arguments));
        assert_eq!(code, 0, "{stderr}");
        stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = names(&["sabotage", "list", "-o", "name"]);
    let family = names(&["sabotage", "list", "--family", "TEN", "-o", "name"]);
    let one = names(&["sabotage", "list", "--requirement", "TEN-03", "-o", "name"]);
    assert!(all.len() > family.len() && family.len() > one.len() && !one.is_empty());
    let (_, text, _) = run(&mut sandbox.plimsoll(&["sabotage", "explain", "namespace-labels-writable"]));
    for words in
        ["TEN-09", "the-administrator-cannot-trick#1", "saw OPEN", "put back", "ClusterRole tenant-admin"]
    {
        assert!(text.contains(words), "{text}");
    }
}
