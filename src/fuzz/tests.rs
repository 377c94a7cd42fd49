//! What needs no cluster: what is made, what it shrinks to, and what stands in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use super::case::{Case, Ground, GroundPod, Stage, rules};
use super::measure::{Deviation, Measured};
use super::{
    Bounds, Judge, Looked, Origin, Progress, Recorder, Reproduction, Source, generate, shrink, strategy,
};
use crate::cluster::RunId;
use crate::engine::{Outcome, Reason, ReasonKind};
use crate::exit::Exit;
use crate::oracle::network_policy::{Flow, Oracle, Protocol, policy_violations};
use crate::probe::VerdictKind;
use crate::report::Model;
use crate::session::{Closing, Ended, Recording, RunOrder};

fn case(number: usize) -> Case {
    generate(7, number).unwrap().current()
}

/// Pods where the layout has them, in namespaces of the layout's own names.
fn ground() -> Ground {
    let layout = strategy::layout();
    let pods = layout.pods.iter().map(|(place, pod)| {
        (place.clone(), GroundPod { addresses: vec![pod.nominal], labels: BTreeMap::new() })
    });
    Ground {
        namespaces: layout.namespaces.iter().map(|name| (name.clone(), format!("real-{name}"))).collect(),
        namespace_labels: BTreeMap::new(),
        pods: pods.collect(),
    }
}

#[test]
fn the_same_seed_makes_the_same_cases_and_all_of_them_mean_something() {
    let mut different = BTreeSet::new();
    let (mut words, mut stages) = (BTreeSet::new(), 0);
    for number in 0..300 {
        let made = case(number);
        assert_eq!(made, case(number));
        let text = serde_json::to_string(&made).unwrap();
        for word in [
            "except",
            "endPort",
            "\"web\"",
            "\"dns\"",
            "UDP",
            "SCTP",
            "TCP",
            "NotIn",
            "DoesNotExist",
            "Exists",
            "\"In\"",
            "metadata.name",
            "Egress",
            "Ingress",
            "\"from\":[]",
            "\"ports\":[]",
            "\"ingress\":[]",
            "\"egress\":[]",
            "ipBlock",
        ] {
            if text.contains(word) {
                words.insert(word);
            }
        }
        for policy in made.stages.iter().flat_map(|stage| &stage.policies) {
            assert_eq!(policy_violations(policy), None, "{text}");
        }
        for stage in &made.stages {
            let placed = strategy::layout().place(stage, &ground());
            Oracle::new(&placed.scene).unwrap();
        }
        stages += made.stages.len();
        different.insert(text);
    }
    assert!(different.len() > 290 && stages > 360, "{} {stages}", different.len());
    assert_eq!(words.len(), 19, "everything that the standard knows comes up: {words:?}");
}

#[test]
fn the_cases_are_open_and_closed_alike() {
    let (mut open, mut all) = (0, 0);
    for number in 0..200 {
        for stage in &case(number).stages {
            let placed = strategy::layout().place(stage, &ground());
            let oracle = Oracle::new(&placed.scene).unwrap();
            for (from, to) in
                placed.scene.pods.iter().flat_map(|from| placed.scene.pods.iter().map(move |to| (from, to)))
            {
                let flow = Flow {
                    from: (&from.namespace, &from.name),
                    to: (&to.namespace, &to.name),
                    protocol: Protocol::Tcp,
                    port: 8080,
                };
                all += 1;
                open += usize::from(oracle.forecast(&flow).unwrap().is_open());
            }
        }
    }
    let share = open * 100 / all;
    assert!((20..80).contains(&share), "{share}% of the paths are open");
}

#[test]
fn blocks_and_names_are_those_of_the_cluster() {
    let text = r#"{"name": "n", "stages": [{"policies": [{"metadata": {"namespace": "x", "name": "p"}, "spec": {
        "podSelector": {}, "ingress": [{"from": [
            {"ipBlock": {"cidr": "192.0.2.17/16", "except": ["192.0.2.1/32", "192.0.2.33/32"]}},
            {"ipBlock": {"cidr": "192.0.2.1/24", "except": ["192.0.2.129/32"]}},
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "y"}}}]}]}}]}]}"#;
    let case: Case = serde_json::from_str(text).unwrap();
    let mut ground = ground();
    for (index, pod) in ground.pods.values_mut().enumerate() {
        pod.addresses =
            vec![[10, 0, u8::try_from(index % 2).unwrap(), u8::try_from(index).unwrap() + 5].into()];
    }
    let placed = strategy::layout().place(&case.stages[0], &ground);
    insta::assert_snapshot!(serde_json::to_string(&placed.scene.policies[0]).unwrap(), @r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p","namespace":"real-x"},"spec":{"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/16","except":["10.0.0.5/32","10.0.0.7/32"]}},{"ipBlock":{"cidr":"10.0.0.0/24","except":[]}},{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"real-y"}}}]}],"podSelector":{}}}"#);
}

/// A dataplane that does not know exceptions: what it opens and the oracle does not, disagrees.
struct Forgetful {
    tries: usize,
}

impl Judge for Forgetful {
    type Trouble = Infallible;

    async fn judge(&mut self, case: &Case) -> Result<Vec<Deviation>, Infallible> {
        self.tries += 1;
        let mut found = Vec::new();
        for (number, stage) in case.stages.iter().enumerate() {
            let placed = strategy::layout().place(stage, &ground());
            let mut spoilt = placed.scene.clone();
            for spec in spoilt.policies.iter_mut().filter_map(|policy| policy.spec.as_mut()) {
                let ingress =
                    spec.ingress.iter_mut().flatten().flat_map(|rule| rule.from.iter_mut().flatten());
                let egress = spec.egress.iter_mut().flatten().flat_map(|rule| rule.to.iter_mut().flatten());
                for block in ingress.chain(egress).filter_map(|peer| peer.ip_block.as_mut()) {
                    block.except = None;
                }
            }
            let (right, wrong) = (Oracle::new(&placed.scene).unwrap(), Oracle::new(&spoilt).unwrap());
            for (from, to) in
                placed.scene.pods.iter().flat_map(|from| placed.scene.pods.iter().map(move |to| (from, to)))
            {
                for (protocol, port) in [(Protocol::Tcp, 8080), (Protocol::Udp, 8081)] {
                    let flow = Flow {
                        from: (&from.namespace, &from.name),
                        to: (&to.namespace, &to.name),
                        protocol,
                        port,
                    };
                    let (expected, seen) = (right.forecast(&flow).unwrap(), wrong.forecast(&flow).unwrap());
                    if expected.is_defined() && expected.is_open() != seen.is_open() {
                        found.push(Deviation {
                            stage: number,
                            from: from.place(),
                            to: to.place(),
                            port,
                            protocol,
                            expected: expected.to_string(),
                            seen: VerdictKind::Open,
                        });
                    }
                }
            }
        }
        Ok(found)
    }
}

#[tokio::test]
async fn a_disagreement_shrinks_to_one_policy_with_one_rule() {
    let bounds = Bounds { tries: 400, time: Duration::from_secs(60) };
    let mut shrunk_some = 0;
    for number in 0..300 {
        let mut tree = generate(3, number).unwrap();
        let mut judge = Forgetful { tries: 0 };
        let start = tree.current();
        let deviations = judge.judge(&start).await.unwrap();
        if deviations.is_empty() {
            continue;
        }
        let shrunk = shrink(Some(&mut *tree), (start, deviations), bounds, &mut judge).await.unwrap();
        shrunk_some += 1;
        assert!(!shrunk.deviations.is_empty() && shrunk.tries <= bounds.tries);
        assert!(shrunk.complete, "{} tries", shrunk.tries);
        assert_eq!((shrunk.case.stages.len(), shrunk.case.size()), (1, (1, 1)), "{:#?}", shrunk.case);
        let policy = &shrunk.case.stages[0].policies[0];
        assert_eq!(rules(policy), 1);
        assert!(serde_json::to_string(policy).unwrap().contains("except"));
    }
    assert!(shrunk_some > 5, "{shrunk_some} of 300 cases disagree");
}

#[test]
fn a_file_says_all_that_is_needed_to_try_again() {
    let case = case(5);
    let deviation = Deviation {
        stage: 0,
        from: "x/a".into(),
        to: "y/b".into(),
        port: 8080,
        protocol: Protocol::Udp,
        expected: "closed".into(),
        seen: VerdictKind::Open,
    };
    let origin = Origin { seed: Some(7), number: 6, version: "0".into(), ..Origin::default() };
    let made = Reproduction::new(origin, &strategy::layout(), case, vec![deviation]);
    let text = made.text("plimsoll fuzz network --replay r.yaml").unwrap();
    assert!(text.starts_with(
        "# A case in which the network policies of a cluster do not do what networking.k8s.io/v1 says.\n\
         # Try it again: plimsoll fuzz network --replay r.yaml\n\
         # expected x/a to y/b:8080/UDP to be closed, saw OPEN\n"
    ));
    let read = Reproduction::read(&text).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.layout().unwrap(), strategy::layout());
    let wrong = |from: &str, to: &str| Reproduction::read(&text.replace(from, to)).unwrap_err();
    insta::assert_snapshot!(
        [wrong("kind: NetworkPolicyReproduction", "kind: Other"), wrong("web 8080/TCP", "web 8080/ICMP")].join("\n"),
        @r"
    it is a Other of plimsoll.dev/v1alpha1, not a NetworkPolicyReproduction of plimsoll.dev/v1alpha1
    world.pods.x/a: `web 8080/ICMP` is no port such as `web 8080/TCP`
    ");
}

#[test]
fn recorded_cases_can_be_put_on_a_cluster() {
    let recorded = super::Recorded::read(include_str!("../../tests/fixtures/cyclonus/answers.json")).unwrap();
    let cases: Vec<Case> = (0..recorded.cases.len()).filter_map(|number| recorded.case(number)).collect();
    assert_eq!(cases.len(), 230);
    let source = Source::Given { layout: recorded.layout(), cases };
    assert_eq!((source.count(), source.layout().pods.len()), (230, 9));
    assert_eq!(super::Recorded::read("{}").unwrap_err(), "missing field `version` at line 1 column 2");
}

#[test]
fn the_classic_cases_mean_something_and_close_something() {
    let Source::Given { layout, cases } = super::classic(1, 2).unwrap() else { panic!("they are given") };
    assert_eq!(cases.len(), 9);
    for case in &cases {
        let mut closed = 0;
        for stage in &case.stages {
            for place in stage.pods.keys() {
                assert!(layout.pods.contains_key(place), "{}: {place}", case.name);
            }
            let placed = layout.place(stage, &ground());
            let oracle = Oracle::new(&placed.scene).unwrap();
            for (from, to) in
                placed.scene.pods.iter().flat_map(|from| placed.scene.pods.iter().map(move |to| (from, to)))
            {
                for (protocol, port) in [(Protocol::Tcp, 8080), (Protocol::Tcp, 8082), (Protocol::Udp, 8081)]
                {
                    let flow = Flow {
                        from: (&from.namespace, &from.name),
                        to: (&to.namespace, &to.name),
                        protocol,
                        port,
                    };
                    closed += usize::from(!oracle.forecast(&flow).unwrap().is_open());
                }
            }
        }
        let policies = case.stages.iter().any(|stage| !stage.policies.is_empty());
        assert!(policies || closed == 0);
        assert!(closed > 0 || !policies || case.name.starts_with("made"), "{} closes nothing", case.name);
    }
}

/// A run of three cases on record: one agrees, one disagrees, the third is never begun.
async fn recorded(dir: &std::path::Path, seen: [Measured; 2], doubts: Vec<String>) -> (Ended, Model) {
    let source = Source::Generated { seed: 7, cases: 3 };
    let order = RunOrder {
        id: RunId::random(),
        command: "plimsoll -q fuzz network --seed=7 --cases 3 --context prod"
            .split(' ')
            .map(Into::into)
            .collect(),
        platform: std::sync::Arc::new(crate::profile::load_lab().unwrap()),
        plan: super::plan(&source, 0, "seed 7"),
        features: Vec::new(),
        steps: cucumber::step::Collection::new(),
        seed: 7,
        concurrency: 1,
        keep: crate::session::Keep::Never,
        runs: dir.to_owned(),
        reports: Vec::new(),
        requirements: Vec::new(),
        live: None,
    };
    let books = Recording::begin(&order, None).unwrap();
    let recorder = Recorder::new(books.events().clone());
    for (number, measured) in seen.into_iter().enumerate() {
        recorder.note(&Progress::Begins { number }, None);
        let case = generate(7, number).unwrap().current();
        let looked = Looked { number, case, before: Stage::default(), stages: vec![measured] };
        recorder.note(&Progress::Looked(Box::new(looked)), Some("plimsoll fuzz network --replay r.yaml"));
    }
    let closing = Closing {
        unstarted: Reason::new(ReasonKind::Trouble, "not started: case 2 disagrees"),
        signal: None,
        leftovers: Vec::new(),
        doubts,
        versions: serde_json::Value::Null,
    };
    drop(recorder);
    let ended = books.close(closing).await;
    let journal = crate::evidence::read(&ended.directory.join(crate::evidence::Journal::FILE)).unwrap();
    assert_eq!(journal.integrity(), crate::evidence::Integrity::Intact);
    (ended, Model::from_journal(&journal, &[]))
}

fn measured(deviations: Vec<Deviation>, unclear: Vec<String>) -> Measured {
    let path = |to: &str, open| (("x/a".to_owned(), to.to_owned(), 80, Protocol::Tcp), open);
    Measured {
        cells: 2,
        open: 1,
        expected: [path("x/b", true), path("y/a", false)].into(),
        deviations,
        unclear,
        ..Measured::default()
    }
}

fn deviation() -> Deviation {
    Deviation {
        stage: 0,
        from: "x/a".into(),
        to: "y/a".into(),
        port: 80,
        protocol: Protocol::Tcp,
        expected: "closed".into(),
        seen: VerdictKind::Open,
    }
}

#[tokio::test]
async fn a_case_that_disagrees_is_a_scenario_that_failed_and_says_how_to_try_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let seen = [measured(Vec::new(), Vec::new()), measured(vec![deviation(), deviation()], Vec::new())];
    let (ended, model) = recorded(dir.path(), seen, Vec::new()).await;
    assert_eq!(ended.exit, Exit::Failed, "{:?}", ended.troubles);
    let outcomes: Vec<_> = model.scenarios.iter().map(|scenario| scenario.outcome).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Failed, Outcome::NotRun]);
    let failed = &model.scenarios[1];
    assert_eq!(failed.name, "case 2 of seed 7");
    let reason = failed.reason.as_ref().unwrap();
    assert_eq!(reason.message, "expected x/a to y/a:80/TCP to be closed, saw OPEN (and 1 more)");
    assert_eq!(
        reason.hint.as_deref(),
        Some("`plimsoll fuzz network --replay r.yaml` tries the smallest such case again")
    );
    assert_eq!(failed.repeat.as_deref(), Some("plimsoll fuzz network --context prod --case 2 --seed 7"));
    for file in ["report.html", "report.json", "junit.xml", "report.md", "bundle.tar.gz"] {
        assert!(ended.directory.join(file).is_file(), "{file}");
    }
}

#[tokio::test]
async fn what_could_not_be_told_and_what_shows_nothing_is_inconclusive() {
    let dir = tempfile::tempdir().unwrap();
    let unclear = measured(Vec::new(), vec!["x/a to x/b:80/TCP: PROBE-ERROR".into()]);
    let (ended, model) = recorded(dir.path(), [measured(Vec::new(), Vec::new()), unclear], Vec::new()).await;
    assert_eq!(ended.exit, Exit::Inconclusive);
    assert_eq!(model.scenarios[1].outcome, Outcome::Inconclusive);
    assert_eq!(
        model.scenarios[1].reason.as_ref().unwrap().message,
        "it could not be told whether a path is open: x/a to x/b:80/TCP: PROBE-ERROR"
    );
    let dir = tempfile::tempdir().unwrap();
    let fine = || measured(Vec::new(), Vec::new());
    let (ended, model) = recorded(dir.path(), [fine(), fine()], vec!["nothing was closed".into()]).await;
    assert_eq!(ended.exit, Exit::Inconclusive);
    assert_eq!(model.scenarios[0].outcome, Outcome::Passed);
    assert_eq!(ended.troubles, ["nothing was closed"]);
}

#[test]
fn a_case_as_it_was_found_begins_with_what_was_there_before_it() {
    let (case, before) = (case(3), case(2).stages.pop().unwrap());
    let looked = Looked {
        number: 3,
        before: before.clone(),
        stages: vec![measured(vec![deviation()], Vec::new())],
        case: case.clone(),
    };
    let found = looked.found();
    assert_eq!((&found.case.stages[0], &found.case.stages[1..]), (&before, &case.stages[..]));
    assert_eq!(found.deviations[0].stage, 1);
    let first = Looked { before: Stage::default(), ..looked };
    assert_eq!((first.found().case, first.found().deviations[0].stage), (case, 0));
}

#[test]
fn labels_of_namespaces_change_what_is_open_often_enough_to_be_noticed() {
    let open = |stage: &Stage| strategy::open_paths(stage).unwrap();
    let tell = (0..200).map(case).filter(|case| match case.stages.as_slice() {
        [first, second] => {
            first.policies == second.policies && first.pods == second.pods && open(first) != open(second)
        }
        _ => false,
    });
    let tell = tell.count();
    assert!(tell >= 8, "{tell} of 200");
}
