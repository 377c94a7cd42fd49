//! From kube's errors to ours.

use std::error::Error;

use kube::core::Status;

use super::ClusterError;

/// What a failed request to the API server was meant to do, and what came of it.
pub fn doing(server: &str, what: impl Into<String>, error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) => of_status(server, what.into(), &status),
        kube::Error::Auth(error) => {
            ClusterError::Credentials { server: server.to_owned(), why: chain(&error) }
        }
        other => {
            if let Some(elapsed) = find::<super::client::TimedOut>(&other) {
                return ClusterError::Slow { server: server.to_owned(), within: elapsed.0 };
            }
            if let Some(error) = find::<kube::client::AuthError>(&other) {
                return ClusterError::Credentials { server: server.to_owned(), why: chain(error) };
            }
            match other {
                kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::BuildRequest(_) => {
                    ClusterError::Api { doing: what.into(), code: 0, message: chain(&other) }
                }
                transport => ClusterError::Unreachable { server: server.to_owned(), why: chain(&transport) },
            }
        }
    }
}

fn of_status(server: &str, what: String, status: &Status) -> ClusterError {
    let message = || {
        if status.message.is_empty() { status.reason.clone() } else { status.message.clone() }
    };
    match status.code {
        401 => ClusterError::Credentials { server: server.to_owned(), why: message() },
        403 if status.is_forbidden() => ClusterError::Forbidden { doing: what, message: message() },
        code => ClusterError::Api { doing: what, code, message: message() },
    }
}

/// The first error of the type in the chain of causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error and its causes in one line, each text once.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    // kube repeats each cause inside its own text, hyper does not: the deepest text of a family says most.
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        match kept.last_mut() {
            Some(last) if last.contains(&text) => {
                if let Some(short) = last.strip_suffix(&text) {
                    let short = short.trim_end_matches([':', ' ']).to_owned();
                    *last = short;
                    kept.push(text);
                }
            }
            _ => kept.push(text),
        }
    }
    kept.retain(|text| {
        !text.is_empty() && !matches!(text.as_str(), "ServiceError" | "HyperError" | "client error (Connect)")
    });
    kept.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_what_the_user_can_act_upon() {
        let status = |code, reason: &str, message: &str| {
            kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
        };
        let lines: Vec<String> = [
            status(401, "Unauthorized", "Unauthorized"),
            status(403, "Forbidden", "nodes is forbidden: User \"x\" cannot list resource \"nodes\""),
            status(404, "NotFound", "pods \"web\" not found"),
            status(409, "Conflict", ""),
        ]
        .into_iter()
        .map(|error| doing("https://127.0.0.1:6443", "list nodes", error).to_string())
        .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        the API server https://127.0.0.1:6443 does not accept the credentials: Unauthorized
        could not list nodes: nodes is forbidden: User "x" cannot list resource "nodes"
        could not list nodes: pods "web" not found
        could not list nodes: Conflict
        "#);
    }
}
