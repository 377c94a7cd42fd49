//! What no type can say: whether the parts of a profile fit together.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::did_you_mean;
use super::{Capability, Environment, Identity, Onboarding, Platform, Rule, Spec, SubjectKind};

/// One thing that is wrong, at a path of the profile.
#[derive(Debug)]
pub(super) struct Finding {
    pub path: String,
    pub message: String,
    pub help: Option<String>,
}

/// The placeholders of the tenancy section.
const PLACEHOLDERS: [&str; 3] = ["tenant", "name", "run"];

/// The verbs that the API server knows, with the special ones of RBAC.
const VERBS: [&str; 16] = [
    "*",
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "approve",
    "attest",
    "bind",
    "escalate",
    "impersonate",
    "sign",
    "use",
];

/// Everything that is wrong with the profile, all at once.
pub(super) fn findings(platform: &Platform) -> Vec<Finding> {
    let mut all = Findings(Vec::new());
    all.metadata(platform);
    all.contexts(&platform.spec);
    all.capabilities(&platform.spec);
    all.tenancy(&platform.spec);
    all.promises(&platform.spec);
    all.rights(&platform.spec);
    all.access(&platform.spec);
    all.deadlines(&platform.spec);
    all.identity_provider(&platform.spec);
    all.waivers(&platform.spec);
    all.0
}

pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Finding { path: path.into(), message: message.into(), help: None });
    }

    pub(super) fn add_with_help(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.0.push(Finding { path: path.into(), message: message.into(), help });
    }

    fn metadata(&mut self, platform: &Platform) {
        let name = &platform.metadata.name;
        if !is_dns_label(name) {
            self.add("metadata.name", format!("`{name}` is not a name: lower-case letters, digits and `-`"));
        }
    }

    fn contexts(&mut self, spec: &Spec) {
        if spec.allowed_contexts.is_empty() {
            self.add("spec.allowedContexts", "no context is allowed, so nothing could ever be run");
        }
        for (index, pattern) in spec.allowed_contexts.iter().enumerate() {
            let path = format!("spec.allowedContexts[{index}]");
            if pattern.trim().is_empty() {
                self.add(path, "an empty pattern matches no context");
            } else if spec.environment == Environment::Production
                && pattern.chars().all(|sign| matches!(sign, '*' | '?'))
            {
                self.add(
                    path,
                    format!("`{pattern}` allows every context, which a production profile must not"),
                );
            }
        }
        if spec.environment == Environment::Production && spec.expendable {
            self.add("spec.expendable", "a production platform is not expendable");
        }
    }

    fn capabilities(&mut self, spec: &Spec) {
        let mut seen = BTreeSet::new();
        for (index, capability) in spec.capabilities.iter().enumerate() {
            if !seen.insert(capability) {
                self.add(format!("spec.capabilities[{index}]"), format!("`{capability}` is claimed twice"));
            }
        }
        for (capability, section, present) in [
            (Capability::ResourceQuota, "quota", spec.quota.is_some()),
            (Capability::LimitRange, "limitRange", spec.limit_range.is_some()),
            (Capability::PodSecurity, "podSecurity", spec.pod_security.is_some()),
            (Capability::Oidc, "identity", spec.identity.is_some()),
            (Capability::Audit, "audit", spec.audit.is_some()),
            (Capability::ClusterPolicy, "network.clusterPolicy", spec.network.cluster_policy.is_some()),
        ] {
            let claimed = seen.contains(&capability);
            if claimed && !present {
                let message =
                    format!("`{capability}` is claimed, but `spec.{section}` does not say what is promised");
                self.add("spec.capabilities", message);
            } else if present && !claimed {
                let message = format!("`spec.{section}` promises what `spec.capabilities` does not claim");
                self.add_with_help(
                    format!("spec.{section}"),
                    message,
                    Some(format!("add `{capability}` to `spec.capabilities`")),
                );
            }
        }
    }

    fn tenancy(&mut self, spec: &Spec) {
        let tenancy = &spec.tenancy;
        let existing = matches!(tenancy.onboarding, Onboarding::Existing(_));
        match &tenancy.onboarding {
            Onboarding::Manifests(adapter) => {
                if adapter.directory.trim().is_empty() {
                    self.add("spec.tenancy.onboarding.manifests.directory", "the directory is empty");
                }
                for key in adapter.values.keys() {
                    if PLACEHOLDERS.contains(&key.as_str()) {
                        let path = format!("spec.tenancy.onboarding.manifests.values.\"{key}\"");
                        self.add(path, format!("`{key}` is a placeholder of the harness"));
                    }
                }
            }
            Onboarding::Command(adapter) => {
                for (name, argv) in [("onboard", &adapter.onboard), ("offboard", &adapter.offboard)] {
                    if argv.first().is_none_or(|program| program.trim().is_empty()) {
                        let path = format!("spec.tenancy.onboarding.command.{name}");
                        self.add(path, format!("`{name}` names no program"));
                    }
                }
                if adapter.timeout.as_millis() == 0 {
                    self.add("spec.tenancy.onboarding.command.timeout", "a timeout of nothing always passes");
                }
            }
            Onboarding::Existing(adapter) => {
                let path = "spec.tenancy.onboarding.existing.tenants";
                if adapter.tenants.is_empty() {
                    self.add(path, "no tenant is named");
                }
                let mut names = BTreeSet::new();
                for (index, tenant) in adapter.tenants.iter().enumerate() {
                    if !names.insert(&tenant.name) {
                        self.add(
                            format!("{path}[{index}].name"),
                            format!("`{}` is named twice", tenant.name),
                        );
                    }
                }
            }
        }

        if tenancy.namespaces.is_empty() {
            self.add("spec.tenancy.namespaces", "a tenant has at least one namespace");
        }
        for (index, pattern) in tenancy.namespaces.iter().enumerate() {
            let path = format!("spec.tenancy.namespaces[{index}]");
            self.placeholders(&path, pattern);
            if !existing && !pattern.contains("${tenant}") {
                self.add_with_help(
                    path,
                    format!("`{pattern}` is the same for every tenant"),
                    Some("put `${tenant}` into it".to_owned()),
                );
            } else if !is_dns_label(&fill(pattern)) {
                self.add(path, format!("`{pattern}` does not give a namespace's name"));
            }
        }

        if !is_label_key(&tenancy.owner_label.key) {
            let message = format!("`{}` is not a label key", tenancy.owner_label.key);
            self.add("spec.tenancy.ownerLabel.key", message);
        }
        self.placeholders("spec.tenancy.ownerLabel.value", &tenancy.owner_label.value);

        self.identity("spec.tenancy.identities.admin", &tenancy.identities.admin);
        if let Some(viewer) = &tenancy.identities.viewer {
            self.identity("spec.tenancy.identities.viewer", viewer);
        }
        if let (Some(rights), None) = (&spec.rights, &tenancy.identities.viewer)
            && rights.viewer.is_some()
        {
            self.add("spec.rights.viewer", "promises rights of a viewer, but `tenancy.identities` has none");
        }
    }

    fn identity(&mut self, path: &str, identity: &Identity) {
        match identity {
            Identity::Impersonate(who) => {
                let path = format!("{path}.impersonate");
                self.placeholders(&format!("{path}.user"), &who.user);
                if who.user.trim().is_empty() {
                    self.add(format!("{path}.user"), "the user is empty");
                }
                let mut tied = who.user.contains("${");
                for (index, group) in who.groups.iter().enumerate() {
                    let path = format!("{path}.groups[{index}]");
                    self.placeholders(&path, group);
                    tied |= group.contains("${");
                    if group == "system:masters" {
                        // The API server asks no authorizer about this group, so nothing would ever be refused.
                        self.add(path, "`system:masters` may do everything, so no denial could ever be seen");
                    }
                }
                if !tied {
                    self.add_with_help(
                        path,
                        "this identity is the same for every tenant, so it cannot show that they are apart",
                        Some("put `${tenant}` into the user or a group".to_owned()),
                    );
                }
            }
            Identity::Kubeconfig(who) => {
                let path = format!("{path}.kubeconfig");
                self.placeholders(&format!("{path}.context"), &who.context);
                if let Some(file) = &who.file {
                    self.placeholders(&format!("{path}.file"), file);
                }
            }
        }
    }

    pub(super) fn placeholders(&mut self, path: &str, text: &str) {
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let after = &rest[start + 2..];
            let Some(end) = after.find('}') else {
                self.add(path, format!("a placeholder in `{text}` is not closed"));
                return;
            };
            let name = &after[..end];
            if !PLACEHOLDERS.contains(&name) {
                let message = format!(
                    "unknown placeholder `${{{name}}}`; there are `${{tenant}}`, `${{name}}` and `${{run}}`"
                );
                self.add_with_help(path, message, did_you_mean(name, PLACEHOLDERS));
            }
            rest = &after[end + 1..];
        }
    }

    fn promises(&mut self, spec: &Spec) {
        if let Some(quota) = &spec.quota {
            self.quantities("spec.quota.hard", &quota.hard);
            if quota.hard.is_empty() {
                self.add("spec.quota.hard", "a quota without a key limits nothing");
            }
        }
        if let Some(limits) = &spec.limit_range {
            self.quantities("spec.limitRange.defaultRequests", &limits.default_requests);
            self.quantities("spec.limitRange.defaultLimits", &limits.default_limits);
        }
        for (index, rail) in spec.guard_rails.iter().enumerate() {
            let path = format!("spec.guardRails[{index}]");
            let version = rail.api_version.rsplit('/').next().unwrap_or_default();
            if rail.api_version.matches('/').count() > 1 || !version.starts_with('v') {
                self.add(
                    format!("{path}.apiVersion"),
                    format!("`{}` is not a group and version, like `v1` or `apps/v1`", rail.api_version),
                );
            }
            if let Some(name) = &rail.name {
                self.placeholders(&format!("{path}.name"), name);
            }
            match (rail.kind.as_str(), &rail.name) {
                ("Namespace", None) if rail.labels.is_empty() => {
                    self.add(path, "a namespace's guard rail names the labels that are one");
                }
                ("Namespace", Some(_)) => {
                    self.add(format!("{path}.name"), "the namespace is the tenant's own; leave its name out");
                }
                ("Namespace", None) | (_, Some(_)) => {}
                (_, None) => self.add(path, "the key `name` is missing here"),
            }
        }
    }

    fn quantities(&mut self, path: &str, values: &BTreeMap<String, String>) {
        for (key, value) in values {
            if !is_quantity(value) {
                self.add_with_help(
                    format!("{path}.\"{key}\""),
                    format!("`{value}` is not a quantity"),
                    Some("write it like `4`, `500m`, `8Gi`".to_owned()),
                );
            }
        }
    }

    fn rights(&mut self, spec: &Spec) {
        let Some(rights) = &spec.rights else { return };
        for (role, rights) in [
            ("admin", Some(&rights.admin)),
            ("viewer", rights.viewer.as_ref()),
            ("workload", rights.workload.as_ref()),
        ] {
            let Some(rights) = rights else { continue };
            for (scope, rules) in
                [("own", &rights.own), ("other", &rights.other), ("cluster", &rights.cluster)]
            {
                for (index, rule) in rules.iter().enumerate() {
                    self.rule(&format!("spec.rights.{role}.{scope}[{index}]"), rule);
                }
            }
        }
    }

    fn rule(&mut self, path: &str, rule: &Rule) {
        for (key, list) in
            [("apiGroups", &rule.api_groups), ("resources", &rule.resources), ("verbs", &rule.verbs)]
        {
            if list.is_empty() {
                self.add(format!("{path}.{key}"), format!("`{key}` is empty, so the rule grants nothing"));
            }
        }
        for (index, verb) in rule.verbs.iter().enumerate() {
            if !VERBS.contains(&verb.as_str()) {
                self.add_with_help(
                    format!("{path}.verbs[{index}]"),
                    format!("unknown verb `{verb}`"),
                    did_you_mean(verb, VERBS),
                );
            }
        }
    }

    fn access(&mut self, spec: &Spec) {
        for (index, holder) in spec.cluster_admins.iter().flatten().enumerate() {
            let path = format!("spec.clusterAdmins[{index}]");
            if holder.why.trim().is_empty() {
                self.add(format!("{path}.why"), "the reason is empty");
            }
            if holder.powers.as_ref().is_some_and(BTreeSet::is_empty) {
                self.add(format!("{path}.powers"), "`powers` is empty, so this declares nothing");
            }
            if !holder.name.is_empty() && holder.name.chars().all(|sign| matches!(sign, '*' | '?' | '/')) {
                self.add(format!("{path}.name"), "this would declare everybody");
            }
            match (holder.kind, holder.name.split_once('/')) {
                (SubjectKind::ServiceAccount, Some((namespace, name)))
                    if !namespace.is_empty() && !name.is_empty() => {}
                (SubjectKind::ServiceAccount, _) => self.add_with_help(
                    format!("{path}.name"),
                    format!("`{}` is no service account", holder.name),
                    Some("write it like `kube-system/replicaset-controller`".to_owned()),
                ),
                _ if holder.name.trim().is_empty() => {
                    self.add(format!("{path}.name"), "the name is empty");
                }
                _ => {}
            }
        }
        let Some(anonymous) = &spec.anonymous else { return };
        for (index, url) in anonymous.paths.iter().enumerate() {
            if !url.starts_with('/') {
                let path = format!("spec.anonymous.paths[{index}]");
                self.add_with_help(
                    path,
                    format!("`{url}` is no path"),
                    Some("it begins with `/`".to_owned()),
                );
            }
        }
        for (index, role) in anonymous.roles.iter().enumerate() {
            for (inner, rule) in role.rules.iter().enumerate() {
                self.rule(&format!("spec.anonymous.roles[{index}].rules[{inner}]"), rule);
            }
        }
    }

    fn deadlines(&mut self, spec: &Spec) {
        let d = &spec.deadlines;
        for (name, value) in [
            ("apiRequest", d.api_request),
            ("podReady", d.pod_ready),
            ("tenantReady", d.tenant_ready),
            ("namespaceRemoved", d.namespace_removed),
            ("policyConvergence", d.policy_convergence),
            ("rightsConvergence", d.rights_convergence),
            ("quotaSettled", d.quota_settled),
            ("volumeSettled", d.volume_settled),
            ("scenario", d.scenario),
            ("run", d.run),
            ("teardown", d.teardown),
        ] {
            if value.as_millis() == 0 {
                self.add(format!("spec.deadlines.{name}"), "a deadline of nothing always passes");
            }
        }
        if d.pod_ready > d.tenant_ready {
            let message =
                format!("a tenant gets {} to be ready, its pods more: {}", d.tenant_ready, d.pod_ready);
            self.add("spec.deadlines.podReady", message);
        }
        if d.scenario > d.run {
            let message = format!("a scenario gets {}, the whole run less: {}", d.scenario, d.run);
            self.add("spec.deadlines.scenario", message);
        }
    }

    fn waivers(&mut self, spec: &Spec) {
        for (index, waiver) in spec.waivers.iter().enumerate() {
            let path = format!("spec.waivers[{index}]");
            match (&waiver.requirement, &waiver.scenario) {
                (Some(_), Some(_)) | (None, None) => {
                    self.add(&path, "a waiver names either a `requirement` or a `scenario`");
                }
                (Some(id), None) if !is_requirement(id) => {
                    self.add(
                        format!("{path}.requirement"),
                        format!("`{id}` is not a requirement's id, like `NET-07`"),
                    );
                }
                (None, Some(pattern)) if pattern.chars().all(|sign| matches!(sign, '*' | '?')) => {
                    self.add(format!("{path}.scenario"), "this would waive every scenario");
                }
                _ => {}
            }
            for (key, text) in [("reason", &waiver.reason), ("owner", &waiver.owner)] {
                if text.trim().is_empty() {
                    self.add(format!("{path}.{key}"), format!("the {key} is empty"));
                }
            }
        }
    }
}

fn fill(pattern: &str) -> String {
    pattern.replace("${tenant}", "plim-abcd-alpha").replace("${name}", "alpha").replace("${run}", "abcd")
}

pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    !text.is_empty()
        && text.len() <= 63
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let name_holds = !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|sign| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.'))
        && name.starts_with(|sign: char| sign.is_ascii_alphanumeric())
        && name.ends_with(|sign: char| sign.is_ascii_alphanumeric());
    name_holds && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label))
}

/// A quantity as the API server reads it: a decimal number with a binary, decimal or exponent suffix.
fn is_quantity(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let end = digits.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(digits.len());
    let (number, suffix) = digits.split_at(end);
    let exponent = || {
        suffix.strip_prefix(['e', 'E']).is_some_and(|power| {
            let power = power.trim_start_matches(['+', '-']);
            !power.is_empty() && power.chars().all(|sign| sign.is_ascii_digit())
        })
    };
    number.parse::<f64>().is_ok()
        && text.len() - digits.len() <= 1
        && (matches!(
            suffix,
            "" | "n"
                | "u"
                | "m"
                | "k"
                | "M"
                | "G"
                | "T"
                | "P"
                | "E"
                | "Ki"
                | "Mi"
                | "Gi"
                | "Ti"
                | "Pi"
                | "Ei"
        ) || exponent())
}

fn is_requirement(text: &str) -> bool {
    text.split_once('-').is_some_and(|(family, rest)| {
        family.len() == 3 && family.chars().all(|sign| sign.is_ascii_uppercase()) && !rest.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_the_api_server() {
        for right in ["4", "500m", "8Gi", "1.5", "1e3", "100k", "0", "2E2"] {
            assert!(is_quantity(right), "{right}");
        }
        for wrong in ["", "four", "8GB", "1.2.3", "5 Gi", "--1", "e3", "1e"] {
            assert!(!is_quantity(wrong), "{wrong}");
        }
    }

    #[test]
    fn label_keys() {
        for right in ["owner", "plimsoll.dev/owner", "a.b-c_d", "x.example.com/Team"] {
            assert!(is_label_key(right), "{right}");
        }
        for wrong in ["", "/x", "x/", "-x", "Bad_Prefix/x", "a/b/c"] {
            assert!(!is_label_key(wrong), "{wrong}");
        }
    }
}
