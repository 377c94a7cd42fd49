//! Known paths by example, and what must hold whatever the roles are.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::admin_paths::{AdminPath, admin_paths, undeclared};
use super::rbac::{Rbac, RbacBinding, RbacRole, RbacRule, Subject};
use crate::profile::{ClusterAdmin, Power, SubjectKind};

fn words(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|word| !word.is_empty())
        .map(|word| if word == "core" { "" } else { word }.to_owned())
        .collect()
}

/// `groups resources verbs [names]`, each a list with commas; `core` is the core group.
fn rule(text: &str) -> RbacRule {
    let mut parts = text.split(' ').map(words);
    let mut next = || parts.next().unwrap_or_default();
    let (groups, resources, verbs, names) = (next(), next(), next(), next());
    RbacRule { groups, resources, verbs, names, paths: Vec::new() }
}

/// A role of these rules and its binding to somebody, in a namespace or on the cluster.
fn bound(rbac: &mut Rbac, name: &str, within: Option<&str>, holder: Subject, rules: &[&str]) {
    let rules = rules.iter().map(|text| rule(text)).collect();
    rbac.roles.push(RbacRole { name: name.into(), rules, ..RbacRole::default() });
    rbac.bindings.push(RbacBinding {
        namespace: within.map(str::to_owned),
        name: name.into(),
        role_namespace: None,
        role: name.into(),
        subjects: vec![holder],
    });
}

fn alice() -> Subject {
    Subject::user("alice")
}

/// What makes Alice an administrator of the cluster.
fn powers_of_alice(within: Option<&str>, rules: &[&str]) -> Vec<Power> {
    let mut rbac = Rbac::default();
    bound(&mut rbac, "role", within, alice(), rules);
    held(&rbac, &alice())
}

fn held(rbac: &Rbac, holder: &Subject) -> Vec<Power> {
    admin_paths(rbac).into_iter().filter(|path| path.holder == *holder).map(|path| path.power).collect()
}

/// Each of these alone is a path where it is bound on the whole cluster.
const DANGEROUS: [(&str, Power); 24] = [
    ("* * *", Power::Everything),
    ("core users impersonate", Power::Impersonate),
    ("core groups impersonate", Power::Impersonate),
    ("core groups impersonate system:masters", Power::Impersonate),
    ("authentication.k8s.io users impersonate:user-info", Power::Impersonate),
    ("core serviceaccounts impersonate", Power::Impersonate),
    ("rbac.authorization.k8s.io clusterroles bind", Power::BindRoles),
    ("rbac.authorization.k8s.io roles bind", Power::BindRoles),
    ("rbac.authorization.k8s.io clusterroles escalate", Power::EscalateRoles),
    ("rbac.authorization.k8s.io clusterroles patch", Power::WriteRoles),
    ("rbac.authorization.k8s.io rolebindings create", Power::WriteRoles),
    ("core secrets list", Power::ReadSecrets),
    ("core pods create", Power::RunPods),
    ("apps deployments patch", Power::RunPods),
    ("batch cronjobs create", Power::RunPods),
    ("core pods/exec get", Power::EnterPods),
    ("core pods/ephemeralcontainers patch", Power::EnterPods),
    ("core serviceaccounts/token create", Power::IssueTokens),
    ("core nodes/proxy get", Power::ReachKubelets),
    ("core nodes/proxy get worker-1", Power::ReachKubelets),
    ("admissionregistration.k8s.io mutatingwebhookconfigurations patch", Power::ChangeAdmission),
    ("admissionregistration.k8s.io validatingadmissionpolicybindings delete", Power::ChangeAdmission),
    ("apiregistration.k8s.io apiservices update", Power::ServeApis),
    ("core persistentvolumes create", Power::MakeVolumes),
];

/// None of these is one, wherever it is bound.
const HARMLESS: [&str; 12] = [
    "core pods get,list,watch",
    "core secrets get one-secret",
    "core nodes get,list",
    "core pods/log get",
    "core configmaps *",
    "rbac.authorization.k8s.io clusterroles,roles get,list,watch",
    "core serviceaccounts create,delete",
    "core users impersonate nobody-special",
    "core groups impersonate tenants",
    "certificates.k8s.io certificatesigningrequests create",
    "certificates.k8s.io signers approve example.com/*",
    "core pods create one-name",
];

#[test]
fn each_known_power_is_found_by_its_name() {
    for (text, power) in DANGEROUS {
        assert_eq!(powers_of_alice(None, &[text]), [power], "{text}");
    }
    let certificates = [
        "certificates.k8s.io certificatesigningrequests/approval update",
        "certificates.k8s.io signers approve kubernetes.io/kube-apiserver-client",
    ];
    assert_eq!(powers_of_alice(None, &certificates), [Power::ApproveCertificates]);
    assert_eq!(powers_of_alice(None, &certificates[..1]), []);
}

#[test]
fn what_is_harmless_is_no_path() {
    for text in HARMLESS {
        assert_eq!(powers_of_alice(None, &[text]), [], "{text}");
    }
}

#[test]
fn a_namespace_is_a_way_up_where_a_strong_account_lives() {
    assert_eq!(powers_of_alice(Some("alpha"), &["core pods create"]), []);
    assert_eq!(powers_of_alice(Some("kube-system"), &["core pods create"]), [Power::RunPods]);
    let mut rbac = Rbac::default();
    bound(&mut rbac, "editor", Some("alpha"), alice(), &["core pods create"]);
    bound(&mut rbac, "operator", None, Subject::account("alpha", "operator"), &["core secrets list"]);
    assert_eq!(held(&rbac, &alice()), [Power::RunPods]);
    // ... and so is one whose accounts are strong as a group.
    rbac.bindings[1].subjects = vec![Subject::group("system:serviceaccounts:alpha")];
    assert_eq!(held(&rbac, &alice()), [Power::RunPods]);
    rbac.bindings[1].subjects = vec![Subject::group("system:serviceaccounts:bravo")];
    assert_eq!(held(&rbac, &alice()), []);
}

#[test]
fn a_detour_over_several_is_followed_to_its_end() {
    // Alice acts as Bob, who issues tokens in `ops`, where an account may do everything.
    let mut rbac = Rbac::default();
    bound(&mut rbac, "as-bob", None, alice(), &["core users impersonate bob"]);
    bound(
        &mut rbac,
        "tokens",
        Some("ops"),
        Subject::user("bob"),
        &["core serviceaccounts/token create deployer"],
    );
    bound(&mut rbac, "deployer", None, Subject::account("ops", "deployer"), &["* * *"]);
    let paths: Vec<String> = admin_paths(&rbac).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(paths.join("\n"), @r"
    user alice may act under the names of others, those of user bob, by ClusterRoleBinding as-bob to ClusterRole as-bob
    user bob may issue tokens of other service accounts in ops, by RoleBinding ops/tokens to ClusterRole tokens
    group system:masters is asked by no authorizer
    service account ops/deployer may do everything, by ClusterRoleBinding deployer to ClusterRole deployer
    ");
    // The last link gone, nothing is left of it.
    rbac.bindings.pop();
    assert_eq!(admin_paths(&rbac).len(), 1);
}

#[test]
fn binding_a_named_role_counts_by_what_the_role_holds() {
    let mut rbac = Rbac::default();
    bound(&mut rbac, "binder", None, alice(), &["rbac.authorization.k8s.io clusterroles bind other"]);
    let role = |text: &str| RbacRole { name: "other".into(), rules: vec![rule(text)], ..RbacRole::default() };
    rbac.roles.push(role("core pods get"));
    assert_eq!(held(&rbac, &alice()), []);
    rbac.roles.pop();
    rbac.roles.push(role("core secrets get"));
    assert_eq!(held(&rbac, &alice()), [Power::BindRoles]);
    // Two roles that may bind each other are not followed for ever.
    rbac.roles.pop();
    rbac.roles.push(role("rbac.authorization.k8s.io clusterroles bind binder"));
    assert_eq!(held(&rbac, &alice()), []);
}

#[test]
fn a_declaration_covers_its_holder_and_its_powers_and_no_more() {
    let path = |name: &str, power| AdminPath {
        holder: Subject::account("kube-system", name),
        power,
        within: None,
        through: None,
        by: "x".into(),
    };
    let paths = [path("job-controller", Power::RunPods), path("job-controller", Power::ReadSecrets)];
    let declared = ClusterAdmin {
        kind: SubjectKind::ServiceAccount,
        name: "kube-system/*-controller".into(),
        powers: Some(BTreeSet::from([Power::RunPods])),
        why: "it runs the pods of jobs".into(),
    };
    assert_eq!(undeclared(&paths, std::slice::from_ref(&declared)), [&paths[1]]);
    let anybody = ClusterAdmin { powers: None, ..declared.clone() };
    assert!(undeclared(&paths, &[anybody]).is_empty());
    let user = ClusterAdmin { kind: SubjectKind::User, ..declared };
    assert_eq!(undeclared(&paths, &[user]).len(), 2);
}

fn any_rule() -> impl Strategy<Value = &'static str> {
    let dangerous = prop::sample::select(DANGEROUS.map(|(text, _)| text).to_vec());
    let harmless = prop::sample::select(HARMLESS.to_vec());
    prop_oneof![dangerous, harmless]
}

fn any_holder() -> impl Strategy<Value = Subject> {
    prop::sample::select(vec![
        Subject::user("bob"),
        Subject::group("tenants"),
        Subject::account("alpha", "default"),
        Subject::account("kube-system", "controller"),
    ])
}

fn any_rbac() -> impl Strategy<Value = Rbac> {
    let within = prop::sample::select(vec![None, Some("alpha"), Some("bravo"), Some("kube-system")]);
    let one = (any_holder(), within, prop::collection::vec(any_rule(), 1..4));
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let mut rbac = Rbac::default();
        for (index, (holder, within, rules)) in all.into_iter().enumerate() {
            bound(&mut rbac, &format!("role-{index}"), within, holder, &rules);
        }
        rbac
    })
}

proptest! {
    /// Whatever else is bound to whomever: a known power on the whole cluster is a path of its holder.
    #[test]
    fn no_other_binding_hides_a_path(mut rbac in any_rbac(), index in 0..DANGEROUS.len(), at in any::<prop::sample::Index>()) {
        let (text, power) = DANGEROUS[index];
        bound(&mut rbac, "hole", None, alice(), &[text]);
        let place = at.index(rbac.bindings.len());
        let last = rbac.bindings.len() - 1;
        rbac.bindings.swap(place, last);
        prop_assert!(held(&rbac, &alice()).contains(&power));
    }

    /// More rights never take a path away.
    #[test]
    fn paths_only_grow(rbac in any_rbac(), more in any_rbac()) {
        let before: BTreeSet<_> = admin_paths(&rbac).into_iter().collect();
        let mut both = rbac;
        for (mut role, mut binding) in more.roles.into_iter().zip(more.bindings) {
            role.name.push_str("-more");
            binding.role.clone_from(&role.name);
            binding.name.clone_from(&role.name);
            both.roles.push(role);
            both.bindings.push(binding);
        }
        let after: BTreeSet<_> = admin_paths(&both).into_iter().collect();
        prop_assert!(before.is_subset(&after), "lost {:?}", before.difference(&after).collect::<Vec<_>>());
    }

    /// A star in place of a word never hides a power: the same one is found, or a greater one.
    #[test]
    fn a_star_grants_no_less(index in 0..DANGEROUS.len(), stars in prop::collection::vec(any::<bool>(), 3)) {
        let (text, power) = DANGEROUS[index];
        let mut parts: Vec<&str> = text.split(' ').collect();
        for (place, _) in stars.iter().enumerate().filter(|(_, star)| **star) {
            parts[place] = "*";
        }
        let found = powers_of_alice(None, &[&parts.join(" ")]);
        prop_assert!(found.contains(&power) || found == [Power::Everything], "{found:?}");
    }

    /// Harmless rules stay harmless, however many there are, as long as nobody holds a power.
    #[test]
    fn harmless_rules_add_up_to_nothing(rules in prop::collection::vec(prop::sample::select(HARMLESS.to_vec()), 1..8)) {
        // Two halves of one power are each harmless: the approval and its signer.
        prop_assert_eq!(powers_of_alice(None, &rules), []);
    }

    /// In a namespace without a strong account nothing is a path, whatever is bound there.
    #[test]
    fn a_namespace_of_nobody_is_no_way_up(rules in prop::collection::vec(any_rule(), 1..6)) {
        prop_assert_eq!(powers_of_alice(Some("bravo"), &rules), []);
    }

    /// Whoever holds the power itself is there too: each path through somebody leads to one who has a path.
    #[test]
    fn each_detour_ends_at_a_holder(rbac in any_rbac()) {
        let paths = admin_paths(&rbac);
        let holders: BTreeSet<_> = paths.iter().map(|path| path.holder.to_string()).collect();
        for through in paths.iter().filter_map(|path| path.through.clone()) {
            prop_assert!(holders.contains(&through), "{through}");
        }
    }
}
