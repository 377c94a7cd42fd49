//! Every defect changes the rules that it is about, and none is there unless it is planted.

use clap::ValueEnum as _;

use super::super::defect::{Defect, Planted};
use super::super::{Snapshot, compile};
use super::fixtures::{NODE_A, NODE_B, cluster, labels, policy, policy_in, port, view};
use crate::netpol::Protocol;

fn rules(snapshot: &Snapshot) -> [crate::netpol::Ruleset; 2] {
    [compile(snapshot, &view(NODE_A)), compile(snapshot, &view(NODE_B))]
}

/// A cluster in which the defect shows.
fn shows(defect: Defect) -> Snapshot {
    let spec = match defect {
        Defect::ExceptIgnored => {
            "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.18.0.0/16, except: [198.18.1.11/32]}}]}]}"
        }
        Defect::EndPortOffByOne => "{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 81}]}]}",
        Defect::UdpForgotten => "{podSelector: {}, ingress: [{ports: [{port: 53, protocol: UDP}]}]}",
        Defect::ProtocolIgnored => "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}",
        Defect::NamedPortFirstOnly => "{podSelector: {}, ingress: [{ports: [{port: web}]}]}",
        Defect::StaleAfterLabelChange => "{podSelector: {matchLabels: {role: new}}}",
        Defect::StaleAfterNamespaceLabelChange => {
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: new}}}]}]}"
        }
        Defect::NotInNeedsTheKey => {
            "{podSelector: {matchExpressions: [{key: role, operator: NotIn, values: [a]}]}}"
        }
        Defect::SelectorsAsEither => {
            "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: a}}}]}]}"
        }
        Defect::SecondPeerForgotten => {
            "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}, {podSelector: {matchLabels: {pod: b}}}]}]}"
        }
        Defect::SecondPortForgotten => "{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 82}]}]}",
        Defect::EgressForgotten => "{podSelector: {}, policyTypes: [Ingress, Egress]}",
        Defect::BlockOneBitWide => {
            "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.18.1.11/32}}]}]}"
        }
        Defect::NeighboursEverywhere => {
            "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}"
        }
    };
    let mut snapshot = cluster([policy(spec)]);
    // The second pod of x calls another port by the same name.
    snapshot.pods[1].ports = vec![port("web", Protocol::Tcp, 8080)];
    snapshot
}

#[test]
fn every_defect_changes_what_it_is_about_and_nothing_stays_of_it() {
    for defect in Defect::value_variants() {
        let mut planted = Planted::default();
        let before = shows(*defect);
        assert_eq!(planted.spoil(before.clone()), before, "nothing is planted");
        planted.plant(Some(*defect));
        let mut after = before.clone();
        if matches!(defect, Defect::StaleAfterLabelChange | Defect::StaleAfterNamespaceLabelChange) {
            assert_eq!(
                rules(&planted.spoil(before.clone())),
                rules(&before),
                "{defect:?}: nothing has changed yet"
            );
            for pod in &mut after.pods {
                pod.labels.insert("role".to_owned(), "new".to_owned());
            }
            after.namespaces[1].labels.extend(labels(&[("team", "new")]));
        }
        assert_ne!(rules(&planted.spoil(after.clone())), rules(&after), "{defect:?}");
        planted.plant(None);
        assert_eq!(planted.spoil(after.clone()), after);
    }
}

#[test]
fn what_is_stale_is_mended_by_the_next_policy() {
    let mut planted = Planted::default();
    planted.plant(Some(Defect::StaleAfterLabelChange));
    let mut snapshot = shows(Defect::StaleAfterLabelChange);
    planted.spoil(snapshot.clone());
    snapshot.pods[0].labels.insert("role".to_owned(), "new".to_owned());
    assert_ne!(planted.spoil(snapshot.clone()), snapshot);
    // That of another namespace mends nothing here.
    snapshot.policies.push(policy_in("y", "{podSelector: {}}"));
    assert_ne!(planted.spoil(snapshot.clone()), snapshot);
    let mut more = policy_in("x", "{podSelector: {}}");
    more.name = "more".to_owned();
    snapshot.policies.push(more);
    assert_eq!(planted.spoil(snapshot.clone()), snapshot);
}

#[test]
fn a_defect_has_a_name_and_says_what_it_breaks() {
    for defect in Defect::value_variants() {
        let name = defect.to_possible_value().map(|value| value.get_name().to_owned());
        assert_eq!(name, Some(defect.name()));
        assert!(!defect.breaks().is_empty(), "{defect:?}");
    }
}
