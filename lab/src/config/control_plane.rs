//! The control plane: etcd, API server, controller manager and scheduler.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::{Rendered, yaml};
use crate::address;
use crate::error::{Context as _, LabError, Result};
use crate::issuer::{self, Directory};
use crate::state::Environment;

/// Renders the control plane's configuration.
#[derive(Debug)]
pub(crate) struct ControlPlane<'a> {
    /// The directory with keys and certificates.
    pub(crate) pki: &'a Path,
    /// The directory that [`ControlPlane::files`] are written to.
    pub(crate) config: &'a Path,
    /// The data of etcd.
    pub(crate) etcd: &'a Path,
    /// Where logs go.
    pub(crate) logs: &'a Path,
}

const ADMISSION: &str = "admission.yaml";
/// Settings of the API server that are arguments of it.
pub(crate) const APISERVER: &str = "apiserver.yaml";
/// What the API server records.
pub(crate) const AUDIT: &str = "audit-policy.yaml";
/// Whose tokens the API server accepts.
pub(crate) const AUTHENTICATION: &str = "authentication.yaml";
/// Settings of the identity provider.
pub(crate) const ISSUER: &str = "issuer.yaml";
const TOKEN_REVIEWER: &str = "token-reviewer.kubeconfig";
const ENCRYPTION: &str = "encryption.yaml";

impl ControlPlane<'_> {
    /// The API server's configuration files. The encryption key is the caller's secret, in base64; the authority is
    /// the certificate that vouches for the issuer.
    pub(crate) fn files(
        encryption_key: &str,
        authority: &str,
        environment: Environment,
    ) -> Result<Vec<Rendered>> {
        Ok(vec![
            (ADMISSION, admission()?),
            (APISERVER, APISERVER_SETTINGS.to_owned()),
            (AUDIT, audit_policy()?),
            (AUTHENTICATION, authentication(authority, environment)?),
            (ENCRYPTION, encryption(encryption_key)?),
            (ISSUER, issuer::DEFAULT_SETTINGS.to_owned()),
            (TOKEN_REVIEWER, token_reviewer(authority)?),
        ])
    }

    /// The arguments of etcd. It answers on the lab's own loopback, which no pod can reach.
    pub(crate) fn etcd_arguments(&self) -> Vec<String> {
        let url = "http://127.0.0.1:2379";
        vec![
            "--name=lab".into(),
            flag("data-dir", self.etcd),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            "--listen-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-advertise-peer-urls=http://127.0.0.1:2380".into(),
            "--initial-cluster=lab=http://127.0.0.1:2380".into(),
            // A lab does not outlive a crash of the machine, so that nothing is gained by waiting for the disk.
            "--unsafe-no-fsync".into(),
            "--log-level=warn".into(),
        ]
    }

    /// The arguments of the API server.
    pub(crate) fn apiserver_arguments(&self, settings: &ApiServerSettings) -> Vec<String> {
        let mut arguments = vec![
            format!("--advertise-address={}", address::CONTROL_PLANE),
            "--bind-address=0.0.0.0".into(),
            format!("--secure-port={}", address::API_PORT),
            "--etcd-servers=http://127.0.0.1:2379".into(),
            format!("--service-cluster-ip-range={}", address::SERVICE_RANGE),
            // As on every cluster of a cloud: what may run privileged is for pod security to say, not for the server.
            "--allow-privileged=true".into(),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            // System add-ons need it; who else may is for pod security to say.
            "--allow-privileged=true".into(),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
            "--kubelet-preferred-address-types=InternalIP".into(),
            // The control plane has no kube-proxy: webhooks and aggregated servers are reached at their pods.
            "--enable-aggregator-routing=true".into(),
            "--requestheader-allowed-names=front-proxy-client".into(),
            "--requestheader-username-headers=X-Remote-User".into(),
            "--requestheader-group-headers=X-Remote-Group".into(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
            "--audit-log-maxsize=100".into(),
            "--audit-log-maxbackup=2".into(),
            "--profiling=false".into(),
        ];
        let pki = |file: &str| self.pki.join(file);
        for (name, path) in [
            ("client-ca-file", pki("ca.crt")),
            ("tls-cert-file", pki("apiserver.crt")),
            ("tls-private-key-file", pki("apiserver.key")),
            ("kubelet-certificate-authority", pki("ca.crt")),
            ("kubelet-client-certificate", pki("apiserver-kubelet-client.crt")),
            ("kubelet-client-key", pki("apiserver-kubelet-client.key")),
            ("requestheader-client-ca-file", pki("front-proxy-ca.crt")),
            ("proxy-client-cert-file", pki("front-proxy-client.crt")),
            ("proxy-client-key-file", pki("front-proxy-client.key")),
            ("service-account-key-file", pki("service-accounts.pub")),
            ("service-account-signing-key-file", pki("service-accounts.key")),
            ("admission-control-config-file", self.config.join(ADMISSION)),
            ("audit-policy-file", self.config.join(AUDIT)),
            ("audit-log-path", self.audit_log()),
            ("authentication-config", self.config.join(AUTHENTICATION)),
            ("encryption-provider-config", self.config.join(ENCRYPTION)),
        ] {
            arguments.push(flag(name, &path));
        }
        if settings.token_reviewer {
            arguments
                .push(flag("authentication-token-webhook-config-file", &self.config.join(TOKEN_REVIEWER)));
            arguments.push("--authentication-token-webhook-version=v1".into());
        }
        arguments
    }

    /// Where the API server writes who did what.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs.join("audit.log")
    }

    /// The arguments of the controller manager.
    pub(crate) fn controller_manager_arguments(&self, kubeconfig: &Path) -> Vec<String> {
        vec![
            flag("kubeconfig", kubeconfig),
            flag("authentication-kubeconfig", kubeconfig),
            flag("authorization-kubeconfig", kubeconfig),
            "--bind-address=127.0.0.1".into(),
            "--cluster-name=plimsoll-lab".into(),
            flag("root-ca-file", &self.pki.join("ca.crt")),
            flag("cluster-signing-cert-file", &self.pki.join("ca.crt")),
            flag("cluster-signing-key-file", &self.pki.join("ca.key")),
            flag("service-account-private-key-file", &self.pki.join("service-accounts.key")),
            "--use-service-account-credentials=true".into(),
            "--allocate-node-cidrs=true".into(),
            format!("--cluster-cidr={}", address::POD_RANGE),
            format!("--node-cidr-mask-size={}", address::POD_PREFIX),
            format!("--service-cluster-ip-range={}", address::SERVICE_RANGE),
            // There is only one: electing it would only cost time.
            "--leader-elect=false".into(),
            // Each of its controllers asks for a token at the start: the default of 20 requests a second delays a lab.
            "--kube-api-qps=300".into(),
            "--kube-api-burst=600".into(),
            "--profiling=false".into(),
        ]
    }

    /// The arguments of the scheduler.
    pub(crate) fn scheduler_arguments(kubeconfig: &Path) -> Vec<String> {
        vec![
            flag("kubeconfig", kubeconfig),
            flag("authentication-kubeconfig", kubeconfig),
            flag("authorization-kubeconfig", kubeconfig),
            "--bind-address=127.0.0.1".into(),
            "--leader-elect=false".into(),
            "--profiling=false".into(),
        ]
    }
}

fn flag(name: &str, value: &Path) -> String {
    format!("--{name}={}", value.display())
}

/// Namespaces that say nothing of their pod security are held to `baseline`; the platform's own is exempt.
fn admission() -> Result<String> {
    yaml(&json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{
            "name": "PodSecurity",
            "configuration": {
                "apiVersion": "pod-security.admission.config.k8s.io/v1",
                "kind": "PodSecurityConfiguration",
                "defaults": {
                    "enforce": "baseline", "enforce-version": "latest",
                    "audit": "restricted", "audit-version": "latest",
                    "warn": "restricted", "warn-version": "latest",
                },
                "exemptions": { "usernames": [], "runtimeClasses": [], "namespaces": ["kube-system"] },
            },
        }],
    }))
}

/// Who did what to what, without the contents of secrets and without what the control plane tells itself.
fn audit_policy() -> Result<String> {
    yaml(&json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*", "/metrics"] },
            { "level": "None", "resources": [{ "group": "coordination.k8s.io", "resources": ["leases"] }] },
            { "level": "None", "resources": [{ "group": "", "resources": ["events"] },
                { "group": "events.k8s.io", "resources": ["events"] }] },
            { "level": "None", "verbs": ["get", "list", "watch"],
                "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler",
                    "system:kube-proxy"] },
            { "level": "None", "verbs": ["get", "list", "watch"], "userGroups": ["system:nodes"] },
            { "level": "Metadata", "resources": [{ "group": "", "resources": ["secrets", "configmaps",
                "serviceaccounts/token"] }, { "group": "authentication.k8s.io", "resources": ["tokenreviews"] }] },
            { "level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"],
                "resources": [{ "group": "rbac.authorization.k8s.io" }, { "group": "networking.k8s.io" },
                    { "group": "admissionregistration.k8s.io" }] },
            { "level": "Metadata" },
        ],
    }))
}

/// Anonymous callers may ask for health and nothing else. Tokens are accepted from the platform's issuer alone; on a
/// production cluster they must tell of a second factor.
fn authentication(authority: &str, environment: Environment) -> Result<String> {
    let rules = match environment {
        Environment::Production => json!([{
            "expression": "has(claims.amr) && 'mfa' in claims.amr",
            "message": "whoever logs in to a production cluster shows a second factor",
        }]),
        Environment::NonProduction => json!([]),
    };
    yaml(&json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": {
                "url": Directory::Platform.issuer(),
                "certificateAuthority": authority,
                "audiences": [issuer::AUDIENCE],
            },
            "claimMappings": {
                "username": { "claim": "sub", "prefix": issuer::PREFIX },
                "groups": { "claim": "groups", "prefix": issuer::PREFIX },
            },
            "claimValidationRules": rules,
        }],
        "anonymous": {
            "enabled": true,
            "conditions": [{ "path": "/livez" }, { "path": "/readyz" }, { "path": "/healthz" }],
        },
    }))
}

/// How to reach whoever reviews tokens by code of its own, where [`ApiServerSettings::token_reviewer`] says so.
fn token_reviewer(authority: &str) -> Result<String> {
    use base64::Engine as _;
    let authority = base64::engine::general_purpose::STANDARD.encode(authority);
    let cluster = json!({ "server": issuer::reviewer_url(), "certificate-authority-data": authority });
    yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "reviewer", "cluster": cluster }],
        "users": [{ "name": "kube-apiserver", "user": {} }],
        "contexts": [{ "name": "reviewer", "context": { "cluster": "reviewer", "user": "kube-apiserver" } }],
        "current-context": "reviewer",
    }))
}

const APISERVER_SETTINGS: &str = "\
# Whether tokens are also shown to a reviewer beside the API server, which verifies them by code of its own.
tokenReviewer: false
";

/// Settings of the API server that are arguments of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ApiServerSettings {
    /// Tokens are also shown to a reviewer beside the API server.
    pub(crate) token_reviewer: bool,
}

impl ApiServerSettings {
    /// As they stand in the directory of the configuration.
    pub(crate) fn read(config: &Path) -> Result<Self> {
        let file = config.join(APISERVER);
        let text = std::fs::read_to_string(&file).context(|| format!("reading {}", file.display()))?;
        serde_yaml::from_str(&text).map_err(|error| LabError::Usage(format!("{}: {error}", file.display())))
    }
}

fn encryption(key: &str) -> Result<String> {
    yaml(&json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": [{ "secretbox": { "keys": [{ "name": "lab", "secret": key }] } }, { "identity": {} }],
        }],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> ControlPlane<'static> {
        ControlPlane {
            pki: Path::new("/lab/pki"),
            config: Path::new("/lab/config"),
            etcd: Path::new("/lab/etcd"),
            logs: Path::new("/lab/logs"),
        }
    }

    #[test]
    fn files() {
        for (name, text) in ControlPlane::files("a2V5", "PEM", Environment::NonProduction).unwrap() {
            insta::assert_snapshot!(name, text);
        }
        let production = authentication("PEM", Environment::Production).unwrap();
        insta::assert_snapshot!("authentication-production.yaml", production);
    }

    #[test]
    fn arguments() {
        let kubeconfig = Path::new("/lab/config/x.kubeconfig");
        insta::assert_snapshot!("etcd", sample().etcd_arguments().join("\n"));
        insta::assert_snapshot!(
            "kube-apiserver",
            sample().apiserver_arguments(&ApiServerSettings::default()).join("\n")
        );
        insta::assert_snapshot!(
            "kube-controller-manager",
            sample().controller_manager_arguments(kubeconfig).join("\n")
        );
        insta::assert_snapshot!("kube-scheduler", ControlPlane::scheduler_arguments(kubeconfig).join("\n"));
    }
}
