//! Policies of the whole cluster, in each dialect that a platform may speak. Pure: nothing is sent.

use kube::api::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::profile::ClusterPolicyDialect as Dialect;

/// The label that every namespace has, with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// What a policy of the whole cluster does with the packets that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WideAction {
    /// They pass, whatever the policies of tenants say.
    Allow,
    /// They do not.
    Deny,
}

/// A policy of the whole cluster: what the pods of one namespace may exchange among themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WidePolicy {
    /// Its name.
    pub name: String,
    /// The smaller, the earlier it is asked; from 0 to 1000.
    pub precedence: u16,
    /// The namespace whose pods it concerns, as both ends.
    pub namespace: String,
    /// What it does.
    pub action: WideAction,
}

/// The kind of object that a dialect has for it.
pub fn wide_policy_kind(dialect: Dialect) -> ApiResource {
    let (group, version, kind, plural) = match dialect {
        Dialect::ClusterNetworkPolicy => {
            ("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies")
        }
        Dialect::AdminNetworkPolicy => {
            ("policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies")
        }
        Dialect::Calico => ("projectcalico.org", "v3", "GlobalNetworkPolicy", "globalnetworkpolicies"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl WidePolicy {
    /// As the object of a dialect.
    pub fn object(&self, dialect: Dialect) -> Value {
        let kind = wide_policy_kind(dialect);
        json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": self.name},
            "spec": self.spec(dialect),
        })
    }

    fn spec(&self, dialect: Dialect) -> Value {
        let own = json!({"matchLabels": {NAMESPACE_NAME: self.namespace}});
        let peers = json!([{"namespaces": own}]);
        let action = match (dialect, self.action) {
            (_, WideAction::Deny) => "Deny",
            (Dialect::ClusterNetworkPolicy, WideAction::Allow) => "Accept",
            (Dialect::AdminNetworkPolicy | Dialect::Calico, WideAction::Allow) => "Allow",
        };
        match dialect {
            Dialect::ClusterNetworkPolicy => json!({
                "tier": "Admin",
                "priority": self.precedence,
                "subject": {"namespaces": own},
                "ingress": [{"name": "within", "action": action, "from": peers}],
                "egress": [{"name": "within", "action": action, "to": peers}],
            }),
            Dialect::AdminNetworkPolicy => json!({
                "priority": self.precedence,
                "subject": {"namespaces": own},
                "ingress": [{"name": "within", "action": action, "from": peers}],
                "egress": [{"name": "within", "action": action, "to": peers}],
            }),
            Dialect::Calico => {
                let selector = format!("{NAMESPACE_NAME} == '{}'", self.namespace);
                json!({
                    // Policies of Kubernetes have the order 1000 here.
                    "order": self.precedence.min(999),
                    "namespaceSelector": selector,
                    "types": ["Ingress", "Egress"],
                    "ingress": [{"action": action, "source": {"namespaceSelector": selector}}],
                    "egress": [{"action": action, "destination": {"namespaceSelector": selector}}],
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(action: WideAction) -> WidePolicy {
        WidePolicy {
            name: "plim-x7k2-wide".into(),
            precedence: 10,
            namespace: "plim-x7k2-charlie".into(),
            action,
        }
    }

    #[test]
    fn each_dialect_has_its_own_words() {
        let own = json!({"matchLabels": {"kubernetes.io/metadata.name": "plim-x7k2-charlie"}});
        let rules = |action: &str, peers: &str| {
            let peer = json!([{"namespaces": own}]);
            let mut rule = json!({"name": "within", "action": action});
            rule[peers] = peer;
            json!([rule])
        };
        let metadata = json!({"name": "plim-x7k2-wide"});
        for (ours, theirs) in [(WideAction::Allow, "Accept"), (WideAction::Deny, "Deny")] {
            assert_eq!(
                policy(ours).object(Dialect::ClusterNetworkPolicy),
                json!({
                    "apiVersion": "policy.networking.k8s.io/v1alpha2",
                    "kind": "ClusterNetworkPolicy",
                    "metadata": metadata,
                    "spec": {
                        "tier": "Admin", "priority": 10, "subject": {"namespaces": own},
                        "ingress": rules(theirs, "from"), "egress": rules(theirs, "to"),
                    },
                })
            );
        }
        for (ours, theirs) in [(WideAction::Allow, "Allow"), (WideAction::Deny, "Deny")] {
            assert_eq!(
                policy(ours).object(Dialect::AdminNetworkPolicy),
                json!({
                    "apiVersion": "policy.networking.k8s.io/v1alpha1",
                    "kind": "AdminNetworkPolicy",
                    "metadata": metadata,
                    "spec": {
                        "priority": 10, "subject": {"namespaces": own},
                        "ingress": rules(theirs, "from"), "egress": rules(theirs, "to"),
                    },
                })
            );
            let selector = "kubernetes.io/metadata.name == 'plim-x7k2-charlie'";
            assert_eq!(
                policy(ours).object(Dialect::Calico),
                json!({
                    "apiVersion": "projectcalico.org/v3",
                    "kind": "GlobalNetworkPolicy",
                    "metadata": metadata,
                    "spec": {
                        "order": 10, "namespaceSelector": selector, "types": ["Ingress", "Egress"],
                        "ingress": [{"action": theirs, "source": {"namespaceSelector": selector}}],
                        "egress": [{"action": theirs, "destination": {"namespaceSelector": selector}}],
                    },
                })
            );
        }
    }

    /// What the published schemas of the two dialects of Kubernetes say of the fields that are used, checked by hand
    /// against version 0.1.7 of the network policy API.
    #[test]
    fn the_objects_are_within_the_published_schemas() {
        for (dialect, actions) in [
            (Dialect::ClusterNetworkPolicy, ["Accept", "Deny", "Pass"]),
            (Dialect::AdminNetworkPolicy, ["Allow", "Deny", "Pass"]),
        ] {
            for action in [WideAction::Allow, WideAction::Deny] {
                let spec = policy(action).object(dialect)["spec"].clone();
                let priority = spec["priority"].as_u64().unwrap();
                assert!(priority <= 1000, "priority");
                assert_eq!(spec["subject"].as_object().unwrap().len(), 1, "exactly one kind of subject");
                if dialect == Dialect::ClusterNetworkPolicy {
                    assert!(["Admin", "Baseline"].contains(&spec["tier"].as_str().unwrap()), "tier");
                }
                for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
                    for rule in spec[rules].as_array().unwrap() {
                        assert!(actions.contains(&rule["action"].as_str().unwrap()), "{dialect:?} action");
                        assert!(rule["name"].as_str().unwrap().len() <= 100, "name");
                        let peers = rule[peers].as_array().unwrap();
                        assert!((1..=100).contains(&peers.len()), "peers");
                        assert!(
                            peers.iter().all(|peer| peer.as_object().unwrap().len() == 1),
                            "one kind a peer"
                        );
                    }
                }
            }
        }
    }
}
