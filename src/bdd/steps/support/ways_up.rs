//! The ways by which a tenant would hold more than it was given.

use http::Method;
use serde_json::{Value, json};

use super::{pods, ways::Way};

/// Whom and what the requests name.
#[derive(Clone, Debug)]
pub struct Places {
    /// The tenant's namespace.
    pub own: String,
    /// The tenant's subject in bindings.
    pub subject: Value,
    /// The namespace of the other tenant.
    pub other: String,
    /// The platform's namespace, with strong service accounts in it.
    pub system: String,
    /// A service account there.
    pub system_account: String,
    /// A pod there.
    pub system_pod: String,
    /// A pod of the other tenant.
    pub other_pod: String,
    /// A node.
    pub node: String,
    /// The cluster roles that the tenant's namespace binds.
    pub roles: Vec<String>,
    /// A binding of an admission policy, where there is one.
    pub policy_binding: Option<String>,
    /// Kinds that the cluster serves, as `group/resource` with their version.
    pub served: Vec<(String, String)>,
    /// Whether the tenant may issue tokens of its own service accounts: a promise, then, and no way up.
    pub own_tokens: bool,
    /// The image of pods.
    pub image: String,
}

const NAME: &str = "plimsoll-way-up";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const CERTIFICATES: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// A request for a certificate, of a key that was thrown away: `openssl req -new -subj /CN=plimsoll-control`.
const CERTIFICATE_REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIV01IMENBUUF3R3pFWk1CY0dBMVVFQXd3UWNHeHBiWE52Ykd3dFkyOXVkSEp2YkRCWk1CTUdCeXFHU000OQpBZ0VHQ0NxR1NNNDlBd0VIQTBJQUJOQmlMV1BjbWd5WVk2eFZVTm00U1hhZGNoc3I2eXBtRVNEZFg3L2JUR215CkhReVhoWm10R3JiQ2JTVFROQ3lCSHVNSFYycjFybFFoOFpkSGVMYXZZbVdnQURBS0JnZ3Foa2pPUFFRREFnTkoKQURCR0FpRUFpTmwvOHhwaExEYW55N0ZhNytweTFFaWorWldOUDRkUndhZ2N4aEMyNWFFQ0lRREVkc1JqNHhDTQptRE9RWGhaWmZyWGNKblFacDZzZ3Z1bFRjVWxET0RaYzRRPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";

fn role(kind: &str, rules: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": NAME}, "rules": rules,
    })
}

fn binding(kind: &str, role: &str, subject: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": NAME},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    })
}

fn stars() -> Value {
    json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
}

impl Places {
    fn account(&self) -> Value {
        json!({"kind": "ServiceAccount", "namespace": self.own, "name": "default"})
    }

    fn rolebindings(namespace: &str) -> String {
        format!("{RBAC}/namespaces/{namespace}/rolebindings")
    }

    /// The path of a kind that not every cluster serves.
    fn optional(&self, group: &str, resource: &str) -> Option<String> {
        let wanted = format!("{group}/{resource}");
        let (_, version) = self.served.iter().find(|(known, _)| *known == wanted)?;
        Some(format!("/apis/{group}/{version}/{resource}"))
    }

    /// Bindings of itself, its service account or everybody to roles that hold more.
    pub fn bind(&self) -> Vec<Way> {
        let cluster = format!("{RBAC}/clusterrolebindings");
        let (own, other, system) = (&self.own, &self.other, &self.system);
        let mut ways = vec![
            Way::create(
                "bind itself to cluster-admin on the whole cluster",
                &cluster,
                binding("ClusterRoleBinding", "cluster-admin", &self.subject),
            ),
            Way::create(
                "bind its service account to cluster-admin on the whole cluster",
                &cluster,
                binding("ClusterRoleBinding", "cluster-admin", &self.account()),
            ),
            Way::create(
                format!("bind itself to cluster-admin in {own}"),
                &Self::rolebindings(own),
                binding("RoleBinding", "cluster-admin", &self.subject),
            ),
            Way::create(
                format!("bind its service account to admin in {own}"),
                &Self::rolebindings(own),
                binding("RoleBinding", "admin", &self.account()),
            ),
            Way::create(
                format!("bind itself to view in {other}"),
                &Self::rolebindings(other),
                binding("RoleBinding", "view", &self.subject),
            ),
            Way::create(
                format!("bind itself to cluster-admin in {system}"),
                &Self::rolebindings(system),
                binding("RoleBinding", "cluster-admin", &self.subject),
            ),
            Way::json(
                "add itself to the binding of cluster-admin",
                &format!("{cluster}/cluster-admin"),
                json!([{"op": "add", "path": "/subjects/-", "value": self.subject}]),
            ),
        ];
        // What it holds itself it may give away only where it was meant to: inside, by the platform.
        ways.extend(self.roles.first().map(|role| {
            Way::create(
                format!("bind its own role {role} on the whole cluster"),
                &cluster,
                binding("ClusterRoleBinding", role, &self.subject),
            )
        }));
        ways
    }

    /// Roles that hold more, or that others collect.
    pub fn widen(&self) -> Vec<Way> {
        let roles = format!("{RBAC}/namespaces/{}/roles", self.own);
        let cluster = format!("{RBAC}/clusterroles");
        let secrets =
            json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch"]}]);
        let mut ways = vec![
            Way::create(format!("create a role of stars in {}", self.own), &roles, role("Role", stars())),
            Way::create(
                format!("create a role that escalates in {}", self.own),
                &roles,
                role(
                    "Role",
                    json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate", "bind"]}]),
                ),
            ),
            Way::create("create a cluster role of stars", &cluster, role("ClusterRole", stars())),
        ];
        for collector in ["view", "edit", "admin"] {
            let mut labelled = role("ClusterRole", secrets.clone());
            let key = format!("rbac.authorization.k8s.io/aggregate-to-{collector}");
            labelled["metadata"]["labels"] = json!({key: "true"});
            ways.push(Way::create(
                format!("create a cluster role that {collector} collects"),
                &cluster,
                labelled,
            ));
        }
        let mut collecting = role("ClusterRole", json!([]));
        collecting["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchExpressions": [
            {"key": "kubernetes.io/bootstrapping", "operator": "Exists"},
        ]}]});
        ways.push(Way::create("create a cluster role that collects others", &cluster, collecting));
        for name in &self.roles {
            ways.push(Way::json(
                format!("add stars to its own cluster role {name}"),
                &format!("{cluster}/{name}"),
                json!([{"op": "add", "path": "/rules/-", "value": stars()[0]}]),
            ));
            ways.push(Way::merge(
                format!("let admin collect its own cluster role {name}"),
                &format!("{cluster}/{name}"),
                json!({"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}}),
            ));
        }
        ways
    }

    /// Tokens of service accounts that are not its own. They are asked for as bound to a pod that does not exist, so
    /// that whoever may have one gets none.
    pub fn tokens(&self) -> Vec<Way> {
        let token = |namespace: &str, account: &str| {
            Way::ask(
                format!("issue a token of the service account {namespace}/{account}"),
                Method::POST,
                &format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"),
                json!({
                    "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                    "spec": {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": NAME}},
                }),
            )
        };
        let stored = |namespace: &str, account: &str| {
            Way::create(
                format!("have a token of the service account {namespace}/{account} stored"),
                &format!("/api/v1/namespaces/{namespace}/secrets"),
                json!({
                    "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
                    "metadata": {"name": NAME, "annotations": {"kubernetes.io/service-account.name": account}},
                }),
            )
        };
        let mut ways = vec![
            token(&self.other, "default"),
            token(&self.system, &self.system_account),
            stored(&self.other, "default"),
            stored(&self.system, &self.system_account),
        ];
        if !self.own_tokens {
            ways.push(token(&self.own, "default"));
        }
        ways
    }

    /// Certificates under other names.
    pub fn certificates() -> Vec<Way> {
        let missing = format!("{CERTIFICATES}/{NAME}");
        let object = |signer: &str, usage: &str| {
            json!({
                "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
                "metadata": {"name": NAME},
                "spec": {"request": CERTIFICATE_REQUEST, "signerName": signer, "usages": [usage], "expirationSeconds": 600},
            })
        };
        let login = object("kubernetes.io/kube-apiserver-client", "client auth");
        let mut approved = login.clone();
        approved["status"] = json!({"conditions": [
            {"type": "Approved", "status": "True", "reason": "plimsoll", "message": "tried"},
        ]});
        vec![
            Way::create("ask for a certificate to log in with", CERTIFICATES, login.clone()),
            Way::ask(
                "approve a certificate to log in with",
                Method::PUT,
                &format!("{missing}/approval?dryRun=All"),
                approved.clone(),
            ),
            Way::ask(
                "approve a certificate by a patch",
                Method::PATCH,
                &format!("{missing}/approval?dryRun=All"),
                json!({"status": approved["status"]}),
            ),
            Way::ask(
                "sign a certificate to log in with",
                Method::PUT,
                &format!("{missing}/status?dryRun=All"),
                login,
            ),
        ]
    }

    /// Places between the API server and those who ask it.
    pub fn between(&self) -> Vec<Way> {
        let webhook = |kind: &str| {
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": NAME},
                "webhooks": [{
                    "name": "way-up.plimsoll.dev", "sideEffects": "None", "failurePolicy": "Ignore",
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"url": "https://plimsoll.invalid/"},
                    "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}],
                }],
            })
        };
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": NAME},
            "spec": {
                "failurePolicy": "Ignore",
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
                ]},
                "validations": [{"expression": "true"}],
            },
        });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "waysup.plimsoll.dev"},
            "spec": {
                "group": "plimsoll.dev", "scope": "Namespaced",
                "names": {"plural": "waysup", "singular": "wayup", "kind": "WayUp"},
                "versions": [{"name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}}}],
            },
        });
        let api = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1.plimsoll.dev"},
            "spec": {
                "group": "plimsoll.dev", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1,
                "insecureSkipTLSVerify": true, "service": {"namespace": self.own, "name": NAME},
            },
        });
        let mut ways = vec![
            Way::create(
                "create a webhook that changes what is stored",
                &format!("{ADMISSION}/mutatingwebhookconfigurations"),
                webhook("MutatingWebhookConfiguration"),
            ),
            Way::create(
                "create a webhook that sees what is stored",
                &format!("{ADMISSION}/validatingwebhookconfigurations"),
                webhook("ValidatingWebhookConfiguration"),
            ),
            Way::create(
                "create an admission policy",
                &format!("{ADMISSION}/validatingadmissionpolicies"),
                policy,
            ),
            Way::create(
                "define a kind of object",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                definition,
            ),
            Way::create(
                "serve an API in the API server's place",
                "/apis/apiregistration.k8s.io/v1/apiservices",
                api,
            ),
        ];
        if let Some(binding) = &self.policy_binding {
            let path = format!("{ADMISSION}/validatingadmissionpolicybindings/{binding}");
            ways.push(Way::delete(format!("remove the binding of the admission policy {binding}"), &path));
            ways.push(Way::merge(
                format!("make the admission policy of {binding} a warning"),
                &path,
                json!({"spec": {"validationActions": ["Warn"]}}),
            ));
        }
        if let Some(path) = self.optional("flowcontrol.apiserver.k8s.io", "flowschemas") {
            ways.push(Way::create(
                "pass before all others",
                &path,
                json!({
                    "apiVersion": path.trim_start_matches("/apis/").trim_end_matches("/flowschemas"),
                    "kind": "FlowSchema", "metadata": {"name": NAME},
                    "spec": {
                        "priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 900,
                        "rules": [{
                            "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"namespace": self.own, "name": "default"}}],
                            "nonResourceRules": [{"nonResourceURLs": ["/plimsoll-none"], "verbs": ["get"]}],
                        }],
                    },
                }),
            ));
        }
        ways
    }

    /// Ways to a node, and by it to everybody's pods.
    pub fn nodes(&self) -> Vec<Way> {
        let node = format!("/api/v1/nodes/{}", self.node);
        vec![
            Way::ask(
                "reach the kubelet through the API server",
                Method::GET,
                &format!("{node}/proxy/healthz"),
                Value::Null,
            ),
            Way::ask(
                "list every pod of a node through the API server",
                Method::GET,
                &format!("{node}/proxy/pods"),
                Value::Null,
            ),
            Way::merge(
                "label a node",
                &node,
                json!({"metadata": {"labels": {"plimsoll.dev/way-up": "true"}}}),
            ),
            Way::merge("take the taints off a node", &node, json!({"spec": {"taints": null}})),
            Way::strategic(
                "say what state a node is in",
                &format!("{node}/status"),
                json!({"status": {"conditions": [
                    {"type": "plimsoll.dev/WayUp", "status": "True", "reason": "Tried", "message": "tried"},
                ]}}),
            ),
            Way::create(
                "register a node",
                "/api/v1/nodes",
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}}),
            ),
            Way::create(
                "make a volume of a path of a node",
                "/api/v1/persistentvolumes",
                json!({
                    "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": NAME},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Mi"},
                        "storageClassName": NAME, "hostPath": {"path": "/"},
                    },
                }),
            ),
        ]
    }

    /// Ways into the pods of others.
    pub fn enter(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for (namespace, pod) in [(&self.other, &self.other_pod), (&self.system, &self.system_pod)] {
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
            ways.push(Way::strategic(
                format!("put a container into the running pod {namespace}/{pod}"),
                &format!("{path}/ephemeralcontainers"),
                json!({"spec": {"ephemeralContainers": [{
                    "name": NAME, "image": self.image,
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                }]}}),
            ));
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", self.other, self.other_pod);
        let pod = format!("{}/{}", self.other, self.other_pod);
        for (what, method, end) in [
            ("run a command in", Method::POST, "exec?command=true&container=app&stdout=true"),
            ("run a command by a socket in", Method::GET, "exec?command=true&container=app&stdout=true"),
            ("attach to", Method::POST, "attach?container=app&stdout=true"),
            ("forward a port of", Method::POST, "portforward"),
            ("read the log of", Method::GET, "log?container=app"),
        ] {
            ways.push(Way::ask(
                format!("{what} the pod {pod}"),
                method,
                &format!("{path}/{end}"),
                Value::Null,
            ));
        }
        for (namespace, account) in [(&self.other, "default"), (&self.system, self.system_account.as_str())] {
            let mut manifest = pods::never_scheduled(pods::compliant(NAME, &self.image));
            manifest["spec"]["serviceAccountName"] = json!(account);
            ways.push(Way::create(
                format!("run a pod under the service account {namespace}/{account}"),
                &format!("/api/v1/namespaces/{namespace}/pods"),
                manifest,
            ));
        }
        ways
    }
}
