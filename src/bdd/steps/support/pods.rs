//! The pods that pod security is tried with: a compliant one, and the same with one thing changed.

use std::str::FromStr;

use serde_json::{Value, json};

/// One way to break the restricted level: the words of the feature, and the change to a compliant pod.
#[derive(Clone, Copy, Debug, cucumber::Parameter)]
#[param(name = "violation", regex = "(?:runs|mounts|uses|sees|shares|claims|adds|keeps|may|sets) .+")]
pub struct Violation {
    words: &'static str,
    change: fn(&mut Value),
}

/// Every violation, in the order of the feature.
const VIOLATIONS: &[Violation] = &[
    Violation {
        words: "runs privileged",
        change: |pod| {
            security(pod, "privileged", json!(true));
            // The two contradict each other otherwise, which is refused before any admission is asked.
            security(pod, "allowPrivilegeEscalation", json!(true));
        },
    },
    Violation {
        words: "mounts a path of the host",
        change: |pod| {
            pod["spec"]["volumes"] = json!([{"name": "host", "hostPath": {"path": "/"}}]);
            pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
        },
    },
    Violation {
        words: "uses the network of the host",
        change: |pod| pod["spec"]["hostNetwork"] = json!(true),
    },
    Violation { words: "sees the processes of the host", change: |pod| pod["spec"]["hostPID"] = json!(true) },
    Violation { words: "shares memory with the host", change: |pod| pod["spec"]["hostIPC"] = json!(true) },
    Violation {
        words: "claims a port of the host",
        change: |pod| {
            pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080, "hostPort": 38080}]);
        },
    },
    Violation {
        words: "adds a capability",
        change: |pod| security(pod, "capabilities", json!({"drop": ["ALL"], "add": ["NET_RAW"]})),
    },
    Violation {
        words: "keeps the default capabilities",
        change: |pod| security(pod, "capabilities", json!({})),
    },
    Violation {
        words: "runs as root",
        change: |pod| {
            security(pod, "runAsNonRoot", json!(false));
            security(pod, "runAsUser", json!(0));
        },
    },
    Violation {
        words: "may gain privileges",
        change: |pod| security(pod, "allowPrivilegeEscalation", json!(true)),
    },
    Violation {
        words: "sets an unsafe kernel parameter",
        change: |pod| {
            pod["spec"]["securityContext"]["sysctls"] = json!([{"name": "kernel.msgmax", "value": "65536"}]);
        },
    },
    Violation {
        words: "runs without seccomp",
        change: |pod| security(pod, "seccompProfile", json!({"type": "Unconfined"})),
    },
    Violation {
        words: "mounts a share of the network by itself",
        change: |pod| volume(pod, json!({"nfs": {"server": "192.0.2.7", "path": "/"}})),
    },
    Violation {
        words: "mounts a disk of the network by itself",
        change: |pod| {
            let target =
                json!({"targetPortal": "192.0.2.7:3260", "iqn": "iqn.2001-04.com.example:disk", "lun": 0});
            volume(pod, json!({"iscsi": target}));
        },
    },
    Violation {
        words: "runs a privileged init container",
        change: |pod| {
            let mut init = pod["spec"]["containers"][0].clone();
            init["name"] = json!("init");
            init["securityContext"]["privileged"] = json!(true);
            init["securityContext"]["allowPrivilegeEscalation"] = json!(true);
            pod["spec"]["initContainers"] = json!([init]);
        },
    },
    Violation {
        words: "runs one unsafe container beside a safe one",
        change: |pod| {
            let mut second = pod["spec"]["containers"][0].clone();
            second["name"] = json!("second");
            second["securityContext"]["capabilities"] = json!({"drop": ["ALL"], "add": ["NET_ADMIN"]});
            if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
                containers.push(second);
            }
        },
    },
];

/// Mounts a volume into the first container.
fn volume(pod: &mut Value, mut source: Value) {
    source["name"] = json!("elsewhere");
    pod["spec"]["volumes"] = json!([source]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "elsewhere", "mountPath": "/elsewhere"}]);
}

/// Sets a field of the first container's security context.
fn security(pod: &mut Value, field: &str, value: Value) {
    pod["spec"]["containers"][0]["securityContext"][field] = value;
}

impl Violation {
    /// What it is, as the feature says it.
    pub const fn words(self) -> &'static str {
        self.words
    }

    /// The compliant pod with this one thing changed.
    pub fn applied_to(self, compliant: &Value) -> Value {
        let mut pod = compliant.clone();
        (self.change)(&mut pod);
        pod
    }
}

impl FromStr for Violation {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        VIOLATIONS.iter().find(|known| known.words == words).copied().ok_or_else(|| {
            let known: Vec<_> = VIOLATIONS.iter().map(|known| known.words).collect();
            format!("`a pod that {words}` is not known; known are: {}", known.join(", "))
        })
    }
}

/// A pod that the restricted level admits, small enough for any quota. It names no priority, node or volume, so that
/// nothing but pod security can object to the changes.
pub fn compliant(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "app",
                "image": image,
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "50m", "memory": "32Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// The same pod, never to be scheduled: it is admitted and counted, and costs no node anything.
pub fn never_scheduled(mut pod: Value) -> Value {
    pod["spec"]["schedulingGates"] = json!([{"name": "plimsoll.dev/never"}]);
    pod
}
