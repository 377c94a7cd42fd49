//! Verdicts from the Kubernetes API's answers.
//!
//! The API server says *who* refused only in the prose of its `Status`. The shapes below are those of the upstream
//! sources (authorizer responses, admission plugins, webhook and policy dispatchers). The object's own name stands in
//! front of them and is chosen by the caller, so it is taken off by the status' details first, never searched through.

use kube::core::Status;

use super::verdict::{Admitter, Forbidder, Verdict};

/// What a request came to: OPEN only if it was carried out.
pub fn verdict<T>(result: &Result<T, kube::Error>) -> Verdict {
    match result {
        Ok(_) => Verdict::Open,
        Err(kube::Error::Api(status)) => classify(status),
        Err(error) => Verdict::probe_error(chain(error)),
    }
}

/// The verdict of a request that was meant to go under the name of `user`, where that is known.
///
/// A refusal of somebody else (the harness itself lacking the right to impersonate, say) tells nothing about that
/// user, and is a PROBE_ERROR.
pub fn verdict_of<T>(result: &Result<T, kube::Error>, user: Option<&str>) -> Verdict {
    match (verdict(result), result, user) {
        (Verdict::Forbidden { by }, Err(kube::Error::Api(status)), Some(meant)) => match refused_user(status)
        {
            Some(refused) if refused != meant => {
                Verdict::probe_error(format!("the refusal is of user {refused}, not of {meant}"))
            }
            _ => Verdict::Forbidden { by },
        },
        (verdict, ..) => verdict,
    }
}

/// What the authorizer said of a request: OPEN if it let it through, whatever came after.
///
/// `user` is the name under which the request was meant to go, as in [`verdict_of`].
pub fn authorization<T>(result: &Result<T, kube::Error>, user: Option<&str>) -> Verdict {
    let Err(kube::Error::Api(status)) = result else {
        return verdict(result);
    };
    match verdict_of(result, user) {
        // Admission, validation and storage come after authorization.
        Verdict::AdmissionDenied { .. } | Verdict::QuotaExceeded { .. } => Verdict::Open,
        Verdict::ProbeError { reason } => {
            // The authorizer is asked before anybody looks at what the request says.
            let passed = match status.code {
                400 | 405 | 415 => is_of_kubernetes(status),
                409 | 422 => true,
                404 => names_an_object(status),
                _ => false,
            };
            if passed { Verdict::Open } else { Verdict::ProbeError { reason } }
        }
        other => other,
    }
}

/// The verdict of one `Status`.
pub fn classify(status: &Status) -> Verdict {
    if let Some(name) = quoted_after(&status.message, "admission webhook \"", "\" denied the request") {
        return Verdict::AdmissionDenied { by: Admitter::Webhook { name } };
    }
    match status.code {
        401 => return Verdict::Unauthenticated,
        429 if has_cause(status, "DisruptionBudget") => {
            return Verdict::AdmissionDenied { by: plugin("PodDisruptionBudget") };
        }
        429 => return Verdict::RateLimited,
        _ => {}
    }
    if let Some(why) = refusal(status) {
        return refused(status, why);
    }
    if status.code == 403 {
        return Verdict::Forbidden { by: Forbidder::Unknown { message: status.message.clone() } };
    }
    Verdict::probe_error(format!("{} {}: {}", status.code, status.reason, status.message))
}

/// What follows "is forbidden: ", with the object's name taken off by what the details say it is.
fn refusal(status: &Status) -> Option<&str> {
    let message = status.message.as_str();
    let Some(details) = &status.details else {
        return message.strip_prefix("forbidden: ");
    };
    let resource = if details.group.is_empty() {
        details.kind.clone()
    } else {
        format!("{}.{}", details.kind, details.group)
    };
    let rest = if resource.is_empty() { message } else { message.strip_prefix(resource.as_str())? };
    // Go's %q escapes as Rust's Debug does for the printable names that Kubernetes allows.
    let name = format!(" {:?}", details.name);
    let rest = rest.strip_prefix(name.as_str()).unwrap_or(rest);
    rest.strip_prefix(" is forbidden: ").or_else(|| rest.strip_prefix("forbidden: "))
}

fn refused(status: &Status, why: &str) -> Verdict {
    let admission = |by| Verdict::AdmissionDenied { by };
    if why.starts_with("User \"") && why.contains("\" cannot ") {
        return Verdict::Forbidden { by: Forbidder::Authorizer { reason: authorizer_reason(why) } };
    }
    if why.contains("is attempting to grant RBAC permissions not currently held")
        || why.starts_with("must have cluster-admin privileges to use the aggregationRule")
    {
        return Verdict::Forbidden { by: Forbidder::RbacEscalation };
    }
    if let Some(quota) = quoted_after(why, "exceeded quota: ", ", requested: ") {
        return Verdict::QuotaExceeded { quota };
    }
    if let Some(quota) = quoted_after(why, "failed quota: ", ":") {
        return admission(Admitter::Quota { quota });
    }
    if let Some(level) = quoted_after(why, "violates PodSecurity \"", "\":") {
        return admission(Admitter::PodSecurity { level });
    }
    if let Some(rest) = why.strip_prefix("ValidatingAdmissionPolicy '") {
        let (policy, rest) = rest.split_once('\'').unwrap_or((rest, ""));
        let binding = quoted_after(rest, " with binding '", "' denied request");
        return admission(Admitter::ValidatingPolicy { policy: policy.to_owned(), binding });
    }
    if is_limit_range(why) {
        return admission(Admitter::LimitRange);
    }
    // The moment was wrong, not the request: these say nothing about a promise.
    let too_early = why.starts_with("status unknown for quota: ")
        || why.starts_with("not yet ready to handle request")
        || why.starts_with("error looking up service account ")
        || has_cause(status, "NamespaceTerminating");
    if too_early {
        return Verdict::probe_error(&status.message);
    }
    match plugin_of(why) {
        Some(name) => admission(plugin(name)),
        None => Verdict::Forbidden { by: Forbidder::Unknown { message: status.message.clone() } },
    }
}

/// Admission plugins that can only be told by their wording.
fn plugin_of(why: &str) -> Option<&'static str> {
    const BY_START: [(&str, &str); 11] = [
        ("Use of external IPs is denied by admission control", "DenyServiceExternalIPs"),
        ("cannot set an ownerRef on a resource you can't delete", "OwnerReferencesPermissionEnforcement"),
        ("cannot set blockOwnerDeletion", "OwnerReferencesPermissionEnforcement"),
        ("this namespace may not be deleted", "NamespaceLifecycle"),
        ("insufficient quota to consume: ", "ResourceQuota"),
        ("user not permitted to approve requests with signerName", "CertificateApproval"),
        ("user not permitted to sign requests with signerName", "CertificateSigning"),
        ("user not permitted to attest for signerName", "ClusterTrustBundleAttest"),
        ("pod node label selector", "PodNodeSelector"),
        ("pod rejected: ", "RuntimeClass"),
        ("no PriorityClass with name ", "Priority"),
    ];
    if why.starts_with("node \"") {
        return Some("NodeRestriction");
    }
    BY_START.into_iter().find(|(start, _)| why.starts_with(start)).map(|(_, plugin)| plugin)
}

fn plugin(name: &str) -> Admitter {
    Admitter::Plugin { name: name.to_owned() }
}

/// Several violations come as a bracketed list; each has one of three shapes.
fn is_limit_range(why: &str) -> bool {
    let first = why.strip_prefix('[').unwrap_or(why);
    let bound = first.starts_with("minimum ") || first.starts_with("maximum ");
    (bound && first.contains(" usage per ")) || first.contains(" max limit to request ratio per ")
}

/// The user whom the authorizer refused, as the message names it.
fn refused_user(status: &Status) -> Option<String> {
    quoted_after(refusal(status)?, "User \"", "\" cannot ")
}

/// An authorizer's reason follows the scope of the request; RBAC gives none unless a rule could not be resolved.
fn authorizer_reason(why: &str) -> Option<String> {
    let after_scope = why
        .split_once(" at the cluster scope")
        .map(|(_, rest)| rest)
        .or_else(|| {
            why.split_once(" in the namespace \"")
                .and_then(|(_, rest)| rest.split_once('"'))
                .map(|(_, rest)| rest)
        })
        .or_else(|| {
            why.split_once(" path \"").and_then(|(_, rest)| rest.split_once('"')).map(|(_, rest)| rest)
        })?;
    after_scope.strip_prefix(": ").map(str::to_owned)
}

/// An answer of the API server, rather than of something on the way to it.
fn is_of_kubernetes(status: &Status) -> bool {
    matches!(status.reason.as_str(), "BadRequest" | "MethodNotAllowed" | "UnsupportedMediaType")
}

/// A 404 of an object that does not exist, rather than of a resource that nobody serves.
fn names_an_object(status: &Status) -> bool {
    status.reason == "NotFound" && status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

fn has_cause(status: &Status, cause: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|it| it.reason == cause)
}

fn quoted_after(text: &str, start: &str, end: &str) -> Option<String> {
    let (inside, _) = text.strip_prefix(start)?.split_once(end)?;
    Some(inside.to_owned())
}

/// An error with its sources, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn status(code: u16, reason: &str, message: &str, details: Value) -> Status {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code,
        });
        serde_json::from_value(body).unwrap()
    }

    fn api(status: Status) -> Result<(), kube::Error> {
        Err(kube::Error::Api(status.boxed()))
    }

    fn forbidden(message: &str, details: Value) -> Status {
        status(403, "Forbidden", message, details)
    }

    #[test]
    fn each_refusal_names_its_author() {
        let pods = json!({"name": "web", "kind": "pods"});
        let cases = [
            forbidden(
                r#"pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "bravo""#,
                json!({"kind": "pods"}),
            ),
            forbidden(
                r#"nodes is forbidden: User "system:node:n1" cannot list resource "nodes" in API group "" at the cluster scope: node 'n1' cannot read all nodes"#,
                json!({"kind": "nodes"}),
            ),
            forbidden(r#"forbidden: User "system:anonymous" cannot get path "/metrics""#, json!({})),
            forbidden(
                "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"alice\" (groups=[\"tenants\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}",
                json!({"name": "more", "group": "rbac.authorization.k8s.io", "kind": "roles"}),
            ),
            forbidden(
                r#"pods "web" is forbidden: exceeded quota: tenant, requested: pods=1, used: pods=10, limited: pods=10"#,
                pods.clone(),
            ),
            forbidden(
                r#"pods "web" is forbidden: failed quota: tenant: must specify limits.cpu for: app"#,
                pods.clone(),
            ),
            forbidden(
                r#"pods "web" is forbidden: violates PodSecurity "restricted:latest": privileged (container "app" must not set securityContext.privileged=true)"#,
                pods.clone(),
            ),
            status(
                422,
                "Invalid",
                "services \"web\" is forbidden: ValidatingAdmissionPolicy 'no-node-ports' with binding 'tenants' denied request: node ports are not offered",
                json!({"name": "web", "kind": "services", "causes": [{"message": "..."}]}),
            ),
            forbidden(
                r#"admission webhook "validate.kyverno.svc-fail" denied the request: resource Pod/x was blocked"#,
                Value::Null,
            ),
            status(
                400,
                "",
                r#"admission webhook "policy.example.com" denied the request without explanation"#,
                Value::Null,
            ),
            forbidden(
                r#"pods "web" is forbidden: [maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi, but limit is 2Gi]"#,
                pods.clone(),
            ),
            forbidden(
                r#"services "web" is forbidden: Use of external IPs is denied by admission control"#,
                json!({"name": "web", "kind": "services"}),
            ),
            forbidden(
                r#"pods "web" is forbidden: unable to create new content in namespace alpha because it is being terminated"#,
                json!({"name": "web", "kind": "pods", "causes": [
                    {"reason": "NamespaceTerminating", "message": "namespace alpha is being terminated", "field": "metadata.namespace"}]}),
            ),
            forbidden(
                r#"pods "web" is forbidden: status unknown for quota: tenant, resources: pods"#,
                pods.clone(),
            ),
            status(401, "Unauthorized", "Unauthorized", Value::Null),
            status(429, "TooManyRequests", "too many requests, please try again later", Value::Null),
            status(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
                json!({"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 1 healthy pods and has 1 currently"}]}),
            ),
            status(403, "Failed to parse error data", "<html>403 Forbidden</html>", Value::Null),
            status(
                500,
                "InternalError",
                r#"Internal error occurred: failed calling webhook "x": timeout"#,
                Value::Null,
            ),
        ];
        let lines: Vec<_> = cases.iter().map(|case| classify(case).to_string()).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
FORBIDDEN (by the authorizer)
FORBIDDEN (by the authorizer: node 'n1' cannot read all nodes)
FORBIDDEN (by the authorizer)
FORBIDDEN (by RBAC's escalation guard)
QUOTA_EXCEEDED (quota tenant)
ADMISSION_DENIED (by ResourceQuota tenant)
ADMISSION_DENIED (by PodSecurity restricted:latest)
ADMISSION_DENIED (by ValidatingAdmissionPolicy no-node-ports, binding tenants)
ADMISSION_DENIED (by webhook validate.kyverno.svc-fail)
ADMISSION_DENIED (by webhook policy.example.com)
ADMISSION_DENIED (by LimitRange)
ADMISSION_DENIED (by admission plugin DenyServiceExternalIPs)
PROBE_ERROR (pods "web" is forbidden: unable to create new content in namespace alpha because it is being terminated)
PROBE_ERROR (pods "web" is forbidden: status unknown for quota: tenant, resources: pods)
UNAUTHENTICATED
RATE_LIMITED
ADMISSION_DENIED (by admission plugin PodDisruptionBudget)
FORBIDDEN (by an unknown party: <html>403 Forbidden</html>)
PROBE_ERROR (500 InternalError: Internal error occurred: failed calling webhook "x": timeout)
"#);
    }

    /// What a Kubernetes 1.36.3 said: the request's verdict, and the authorizer's.
    #[test]
    fn recorded_answers_are_understood() {
        #[derive(serde::Deserialize)]
        struct Recorded {
            case: String,
            status: Status,
        }
        let recorded: Vec<Recorded> = serde_json::from_str(include_str!("api_statuses.json")).unwrap();
        let lines: Vec<_> = recorded
            .into_iter()
            .map(|Recorded { case, status }| {
                let result = api(status);
                format!("{case}: {} / {}", verdict(&result).kind(), authorization(&result, Some("alice")))
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
rbac: FORBIDDEN / FORBIDDEN (by the authorizer)
rbac-cluster: FORBIDDEN / FORBIDDEN (by the authorizer)
rbac-path: FORBIDDEN / FORBIDDEN (by the authorizer)
rbac-named: FORBIDDEN / FORBIDDEN (by the authorizer)
psa: ADMISSION_DENIED / OPEN
quota-cm: QUOTA_EXCEEDED / OPEN
limitrange: ADMISSION_DENIED / OPEN
quota-pod: QUOTA_EXCEEDED / OPEN
quota-must: ADMISSION_DENIED / OPEN
vap: ADMISSION_DENIED / OPEN
escalate: FORBIDDEN / FORBIDDEN (by RBAC's escalation guard)
notfound: PROBE_ERROR / OPEN
unserved: PROBE_ERROR / PROBE_ERROR (404 Failed to parse error data: 404 page not found)
conflict: PROBE_ERROR / OPEN
invalid: PROBE_ERROR / OPEN
sa: PROBE_ERROR / PROBE_ERROR (pods "p" is forbidden: error looking up service account rec2/zzz: serviceaccount "zzz" not found)
impersonate: FORBIDDEN / FORBIDDEN (by the authorizer)
terminating: PROBE_ERROR / PROBE_ERROR (configmaps "c" is forbidden: unable to create new content in namespace rec because it is being terminated)
"#);
    }

    #[test]
    fn a_name_cannot_pose_as_a_refusal() {
        let trick = "x is forbidden: exceeded quota: a, requested: ";
        let message = format!("secrets {trick:?} is forbidden: violates PodSecurity \"baseline:latest\": y");
        let verdict = classify(&forbidden(&message, json!({"name": trick, "kind": "secrets"})));
        assert_eq!(verdict.to_string(), "ADMISSION_DENIED (by PodSecurity baseline:latest)");
    }

    #[test]
    fn authorization_looks_no_further_than_the_authorizer() {
        let quota = forbidden(
            r#"pods "web" is forbidden: exceeded quota: tenant, requested: pods=1, used: pods=10, limited: pods=10"#,
            json!({"name": "web", "kind": "pods"}),
        );
        assert_eq!(authorization(&api(quota), Some("alice")), Verdict::Open);
        let missing =
            status(404, "NotFound", r#"pods "web" not found"#, json!({"name": "web", "kind": "pods"}));
        assert_eq!(authorization(&api(missing.clone()), Some("alice")), Verdict::Open);
        assert!(matches!(verdict(&api(missing)), Verdict::ProbeError { .. }));
        let unserved = status(404, "NotFound", "the server could not find the requested resource", json!({}));
        assert!(matches!(authorization(&api(unserved), None), Verdict::ProbeError { .. }));
        let asleep = status(400, "BadRequest", "pod web does not have a host assigned", Value::Null);
        assert_eq!(authorization(&api(asleep), None), Verdict::Open);
        let proxy = status(400, "Failed to parse error data", "<html>400</html>", Value::Null);
        assert!(matches!(authorization(&api(proxy), None), Verdict::ProbeError { .. }));
        assert_eq!(authorization(&Ok(()), None), Verdict::Open);
    }

    #[test]
    fn a_refusal_of_somebody_else_proves_nothing() {
        let refusal = forbidden(
            r#"users "alice" is forbidden: User "ci" cannot impersonate resource "users" in API group "" at the cluster scope"#,
            json!({"name": "alice", "kind": "users"}),
        );
        insta::assert_snapshot!(authorization(&api(refusal.clone()), Some("alice")), @"PROBE_ERROR (the refusal is of user ci, not of alice)");
        assert_eq!(
            authorization(&api(refusal), Some("ci")),
            Verdict::Forbidden { by: Forbidder::Authorizer { reason: None } }
        );
    }
}
