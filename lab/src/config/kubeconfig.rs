//! Kubeconfigs that carry all that they need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::yaml;
use crate::error::Result;
use crate::pki::Credential;

/// A kubeconfig for one user of one API server.
pub(crate) fn kubeconfig(
    context: &str,
    server: &str,
    authority: &str,
    user: &str,
    credential: &Credential,
) -> Result<String> {
    yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": context,
            "cluster": { "server": server, "certificate-authority-data": STANDARD.encode(authority) },
        }],
        "users": [{
            "name": user,
            "user": {
                "client-certificate-data": STANDARD.encode(&credential.certificate),
                "client-key-data": STANDARD.encode(&credential.key),
            },
        }],
        "contexts": [{ "name": context, "context": { "cluster": context, "user": user } }],
        "current-context": context,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_one_context_and_carries_its_credentials() {
        let credential = Credential { certificate: "certificate".into(), key: "key".into() };
        let text =
            kubeconfig("plimsoll-a", "https://127.0.0.1:1", "authority", "admin", &credential).unwrap();
        insta::assert_snapshot!(text);
    }
}
