//! What no type can say about identity provider, audit log and further clusters.

use std::collections::BTreeSet;

use super::check::{Findings, is_dns_label};
use super::diagnostic::did_you_mean;
use super::{ProgramCall, Spec};

const ANY: &[&str] = &["context"];
const TOKEN: &[&str] = &["context", "user", "groups", "mfa", "audience", "lifetime", "notBefore"];
const AUDIT: &[&str] = &["context", "since"];

impl Findings {
    pub(super) fn identity_provider(&mut self, spec: &Spec) {
        if let Some(identity) = &spec.identity {
            let oidc = &identity.oidc;
            let path = "spec.identity.oidc";
            if !oidc.issuer.starts_with("https://") {
                self.add(format!("{path}.issuer"), format!("`{}` is no issuer: https://...", oidc.issuer));
            }
            for (name, text) in [
                ("audience", &oidc.audience),
                ("claims.username.claim", &oidc.claims.username.claim),
                ("claims.groups.claim", &oidc.claims.groups.claim),
            ] {
                if text.trim().is_empty() {
                    self.add(format!("{path}.{name}"), "it is empty");
                }
            }
            for (name, group) in
                [("admin", Some(&oidc.groups.admin)), ("viewer", oidc.groups.viewer.as_ref())]
            {
                let Some(group) = group else { continue };
                let path = format!("{path}.groups.{name}");
                self.placeholders(&path, group);
                if !group.contains("${") {
                    self.add_with_help(
                        path,
                        format!("`{group}` is the same for every tenant"),
                        Some("put `${tenant}` into it".to_owned()),
                    );
                }
            }
            self.program(&format!("{path}.token"), &oidc.token, TOKEN);
            for needed in ["user", "groups"] {
                if !oidc.token.takes(needed) {
                    let message =
                        format!("`${{{needed}}}` is missing, so that every token would be for the same");
                    self.add(format!("{path}.token.command"), message);
                }
            }
            if let Some(stranger) = &oidc.stranger {
                self.program(&format!("{path}.stranger"), stranger, TOKEN);
            }
            if let Some(keys) = &oidc.keys {
                self.program(&format!("{path}.keys"), keys, ANY);
            }
            if let Some(rotation) = &oidc.rotation {
                self.program(&format!("{path}.rotation.rotate"), &rotation.rotate, ANY);
                self.program(&format!("{path}.rotation.withdraw"), &rotation.withdraw, ANY);
            }
        }
        if let Some(audit) = &spec.audit {
            self.program("spec.audit.log", &audit.log, AUDIT);
        }
        let mut names = BTreeSet::new();
        for (index, peer) in spec.peers.iter().enumerate() {
            let path = format!("spec.peers[{index}].name");
            if !is_dns_label(&peer.name) {
                self.add(path, format!("`{}` is not a name: lower-case letters, digits and `-`", peer.name));
            } else if !names.insert(&peer.name) {
                self.add(path, format!("`{}` is named twice", peer.name));
            }
        }
    }

    /// A program that can be run, with placeholders that are known.
    fn program(&mut self, path: &str, call: &ProgramCall, known: &[&str]) {
        if call.command.first().is_none_or(|program| program.trim().is_empty()) {
            self.add(format!("{path}.command"), "it names no program");
        }
        if call.timeout.as_millis() == 0 {
            self.add(format!("{path}.timeout"), "a timeout of nothing always passes");
        }
        for (index, word) in call.command.iter().enumerate() {
            for name in word.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
            {
                if !known.contains(&name) {
                    self.add_with_help(
                        format!("{path}.command[{index}]"),
                        format!("unknown placeholder `${{{name}}}`; there are {}", known.join(", ")),
                        did_you_mean(name, known.iter().copied()),
                    );
                }
            }
        }
    }
}
