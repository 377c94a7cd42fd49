//! The services that reach past their namespace: a plain one, and the same with one thing changed.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::profile::{Permission, Services};

/// One way to reach out: the words of the feature, what the profile says of it, and the change to a plain service.
#[derive(Clone, Copy, Debug, cucumber::Parameter)]
#[param(name = "reach", regex = "(?:opens|asks|draws|stands) .+")]
pub struct Reach {
    words: &'static str,
    permission: fn(&Services) -> Permission,
    change: fn(&mut Value),
}

/// An address of the range for documentation (RFC 5737): nobody's.
const ADDRESS: &str = "203.0.113.7";

/// Every way, in the order of the feature.
const REACHES: &[Reach] = &[
    Reach {
        words: "opens a port on every node",
        permission: |services| services.node_ports,
        change: |service| service["spec"]["type"] = json!("NodePort"),
    },
    Reach {
        words: "asks for a load balancer",
        permission: |services| services.load_balancers,
        change: |service| service["spec"]["type"] = json!("LoadBalancer"),
    },
    Reach {
        // It is not counted among the node ports, which may be what a quota forbids alone.
        words: "asks for a load balancer without a node port",
        permission: |services| services.load_balancers,
        change: |service| {
            service["spec"]["type"] = json!("LoadBalancer");
            service["spec"]["allocateLoadBalancerNodePorts"] = json!(false);
        },
    },
    Reach {
        words: "draws the traffic of an address",
        permission: |services| services.external_addresses,
        change: |service| service["spec"]["externalIPs"] = json!([ADDRESS]),
    },
    Reach {
        words: "stands for a name outside",
        permission: |services| services.external_names,
        change: |service| external_name(service, "outside.example.com"),
    },
    Reach {
        words: "stands for a service of another tenant",
        permission: |services| services.external_names,
        change: |service| external_name(service, "web.somebody-else.svc.cluster.local"),
    },
];

fn external_name(service: &mut Value, name: &str) {
    service["spec"]["type"] = json!("ExternalName");
    service["spec"]["externalName"] = json!(name);
}

impl Reach {
    /// What it is, as the feature says it.
    pub const fn words(self) -> &'static str {
        self.words
    }

    /// What the profile says of it.
    pub fn permission(self, services: &Services) -> Permission {
        (self.permission)(services)
    }

    /// The plain service with this one thing changed.
    pub fn applied_to(self, plain: &Value) -> Value {
        let mut service = plain.clone();
        (self.change)(&mut service);
        service
    }

    /// The change alone, as a merge patch.
    pub fn patch(self) -> Value {
        self.applied_to(&json!({"spec": {}}))
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        REACHES.iter().find(|known| known.words == words).copied().ok_or_else(|| {
            let known: Vec<_> = REACHES.iter().map(|known| known.words).collect();
            format!("`a service that {words}` is not known; known are: {}", known.join(", "))
        })
    }
}

/// A service with an address of its own and a port, which selects nothing.
pub fn plain(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {"plimsoll.dev/never": "true"},
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_changed() {
        let before = plain("a");
        for reach in REACHES {
            let after = reach.applied_to(&before);
            assert_ne!(after, before, "{}", reach.words);
            assert_eq!(after["spec"]["ports"], before["spec"]["ports"], "{}", reach.words);
            assert_eq!(Reach::from_str(reach.words).unwrap().words, reach.words);
        }
    }
}
