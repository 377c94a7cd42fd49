//! The oracle's answers beside those of cyclonus's simulator, on every case of its generator.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{Flow, Oracle, Protocol, Scene, SceneNamespace, ScenePod},
    serving,
};
use crate::fuzz::recorded::{Recorded, RecordedStep};

/// Cases whose answers differ, each with who is right and by which words of the API. There is none.
const DIFFERENT: [(&str, &str); 0] = [];

fn scene(recorded: &Recorded, step: &RecordedStep) -> Scene {
    let state = &recorded.states[step.state];
    let ports = serving(&recorded.ports);
    let pod = |place: &str, labels: &BTreeMap<String, String>, address| {
        let (namespace, name) = place.split_once('/').unwrap();
        ScenePod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: labels.clone(),
            addresses: vec![address],
            ports: ports.clone(),
            host_network: false,
        }
    };
    Scene {
        namespaces: state
            .namespaces
            .iter()
            .map(|(name, labels)| SceneNamespace { name: name.clone(), labels: labels.clone() })
            .collect(),
        pods: state.pods.iter().map(|it| pod(&it.place, &it.labels, it.ip)).collect(),
        policies: step.policies.iter().map(|policy| recorded.policies[*policy].clone()).collect(),
    }
}

#[test]
fn the_oracle_agrees_with_the_simulator_of_cyclonus() {
    let recorded = Recorded::read(include_str!("../../../../tests/fixtures/cyclonus/answers.json")).unwrap();
    assert_eq!(recorded.cases.len(), 230);
    assert_eq!(recorded.cases.iter().filter(|case| case.default).count(), 112);
    let (mut compared, mut closed) = (0, 0);
    let mut different: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for case in &recorded.cases {
        for (number, step) in case.steps.iter().enumerate() {
            let scene = scene(&recorded, step);
            let oracle = Oracle::new(&scene).unwrap();
            assert!(!step.tables.is_empty(), "{}: nothing is asked", case.description);
            for (key, table) in &step.tables {
                let (protocol, port) = key.split_once('/').unwrap();
                let (protocol, port) = (Protocol::parse(protocol).unwrap(), port.parse().unwrap());
                for (from, row) in scene.pods.iter().zip(&recorded.tables[*table]) {
                    assert_eq!(row.len(), scene.pods.len());
                    for (to, answer) in scene.pods.iter().zip(row.chars()) {
                        let flow = Flow {
                            from: (&from.namespace, &from.name),
                            to: (&to.namespace, &to.name),
                            protocol,
                            port,
                        };
                        let forecast = oracle.forecast(&flow).unwrap();
                        // Either way alone must be the same; of a pod's way to itself cyclonus says what the policies
                        // would say of another pod with the same labels, and so does the oracle beside its caution.
                        let ours = match (forecast.egress.allows(), forecast.ingress.allows()) {
                            (true, true) => '.',
                            (true, false) => 'i',
                            (false, true) => 'e',
                            (false, false) => 'b',
                        };
                        compared += 1;
                        closed += usize::from(ours != '.');
                        if ours != answer {
                            different.entry(&case.description).or_default().push(format!(
                                "step {number}: {} to {}:{port}/{protocol}: {answer}, but {forecast}",
                                from.place(),
                                to.place()
                            ));
                        }
                    }
                }
            }
        }
    }
    let known: BTreeSet<&str> = DIFFERENT.iter().map(|(case, _)| *case).collect();
    let found: BTreeSet<&str> = different.keys().copied().collect();
    assert_eq!(found, known, "{different:#?}");
    assert!(compared > 100_000 && closed > 10_000, "{compared} compared, {closed} closed");
}
