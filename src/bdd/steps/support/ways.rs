//! Requests that a tenant must not get through, as data: each is made by the tenant, between two by somebody who may.

use futures::{StreamExt, stream};
use http::{Method, Request};
use kube::Error;
use serde_json::{Value, json};

use super::{
    api::{FIELD_MANAGER, Tries},
    denials::Sandwich,
};
use crate::{bdd::StepError, probe::Attempt, tenant::Actor};

/// What counts as having got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// It was carried out, as a dry run.
    Done,
    /// The authorizer let it pass, whatever came after: for what cannot be tried without doing it.
    Authorized,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Way {
    /// What it would do: `create a ClusterRole of stars`.
    pub what: String,
    method: Method,
    path: String,
    content: &'static str,
    body: Value,
    judged: Judged,
    /// The answer goes on for ever: what counts is that it begins.
    endless: bool,
}

/// An object that nobody has made.
pub const NOTHING: &str = "plimsoll-none";

/// Requests under way at once.
const CONCURRENCY: usize = 16;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

impl Way {
    fn dry(what: impl Into<String>, method: Method, path: &str, content: &'static str, body: Value) -> Self {
        let sign = if path.contains('?') { '&' } else { '?' };
        Self {
            what: what.into(),
            method,
            path: format!("{path}{sign}dryRun=All"),
            content,
            body,
            judged: Judged::Done,
            endless: false,
        }
    }

    /// Makes an object.
    pub fn create(what: impl Into<String>, path: &str, body: Value) -> Self {
        Self::dry(what, Method::POST, path, JSON, body)
    }

    /// Puts an object in the place of another.
    pub fn replace(what: impl Into<String>, path: &str, body: Value) -> Self {
        Self::dry(what, Method::PUT, path, JSON, body)
    }

    /// Changes fields by a merge patch.
    pub fn merge(what: impl Into<String>, path: &str, body: Value) -> Self {
        Self::dry(what, Method::PATCH, path, MERGE, body)
    }

    /// Changes fields by a strategic merge patch.
    pub fn strategic(what: impl Into<String>, path: &str, body: Value) -> Self {
        Self::dry(what, Method::PATCH, path, STRATEGIC, body)
    }

    /// Changes fields by a JSON patch.
    pub fn json(what: impl Into<String>, path: &str, operations: Value) -> Self {
        Self::dry(what, Method::PATCH, path, JSON_PATCH, operations)
    }

    /// Takes fields over by server-side apply, by force, under a manager's name or our own.
    pub fn apply(what: impl Into<String>, path: &str, manager: Option<&str>, body: Value) -> Self {
        let manager = manager.unwrap_or(FIELD_MANAGER);
        let manager: String =
            manager.chars().filter(|sign| sign.is_ascii_alphanumeric() || "-._".contains(*sign)).collect();
        Self::dry(what, Method::PATCH, &format!("{path}?fieldManager={manager}&force=true"), APPLY, body)
    }

    /// Removes an object, or by a path of a collection all of them. Options in the body count in place of those in the
    /// path, so that it says there, too, that this is a dry run.
    pub fn delete(what: impl Into<String>, path: &str) -> Self {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
        Self::dry(what, Method::DELETE, path, JSON, options)
    }

    /// Asks for something that no dry run can try: it counts as through if the authorizer lets it pass.
    pub fn ask(what: impl Into<String>, method: Method, path: &str, body: Value) -> Self {
        let content = if method == Method::PATCH { MERGE } else { JSON };
        Self {
            what: what.into(),
            method,
            path: path.to_owned(),
            content,
            body,
            judged: Judged::Authorized,
            endless: false,
        }
    }

    /// A verb, done to an object that is not there, or to all those that bear its name: nothing can come of it. None for
    /// a verb that no request stands for, such as `bind`. `collection` is the path of the objects, `types` version and
    /// kind of what is sent there.
    pub fn verb(
        what: String,
        verb: &str,
        collection: &str,
        sub: Option<&str>,
        types: (&str, &str),
    ) -> Option<Self> {
        let one = format!("{collection}/{NOTHING}{}", sub.map(|sub| format!("/{sub}")).unwrap_or_default());
        let (version, kind) = types;
        let body = || {
            let mut body = json!({"apiVersion": version, "kind": kind, "metadata": {"name": NOTHING}});
            // Without a target a binding is an error of the server's, not the caller's.
            if kind == "Binding" {
                body["target"] = json!({"kind": "Node", "name": NOTHING});
            }
            body
        };
        let options = || json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
        let only = format!("{collection}?fieldSelector=metadata.name%3D{NOTHING}");
        let mut way = match verb {
            "get" => Self::ask(what, Method::GET, &one, Value::Null),
            "list" => Self::ask(what, Method::GET, &format!("{collection}?limit=1"), Value::Null),
            "watch" => Self::ask(what, Method::GET, &format!("{only}&watch=true"), Value::Null),
            "create" if sub.is_none() => Self::create(what, collection, body()),
            "create" => Self::create(what, &one, body()),
            "update" => Self::replace(what, &one, body()),
            "patch" => {
                Self::merge(what, &one, json!({"metadata": {"annotations": {"plimsoll.dev/tried": "patch"}}}))
            }
            "delete" => Self::dry(what, Method::DELETE, &one, JSON, options()),
            "deletecollection" => Self::dry(what, Method::DELETE, &only, JSON, options()),
            _ => return None,
        };
        way.judged = Judged::Authorized;
        way.endless = verb == "watch";
        Some(way)
    }

    fn request(&self) -> Result<Request<Vec<u8>>, Error> {
        let body = if self.body.is_null() { Vec::new() } else { self.body.to_string().into_bytes() };
        Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header("content-type", self.content)
            .header("accept", JSON)
            .body(body)
            .map_err(|error| Error::Service(error.into()))
    }

    /// Tries it in somebody's name.
    pub async fn tried(&self, actor: &Actor) -> Attempt {
        let request = async {
            if self.endless {
                actor.client.request_stream(self.request()?).await.map(drop)
            } else {
                actor.client.request_text(self.request()?).await.map(drop)
            }
        };
        match self.judged {
            Judged::Done => actor.tries(&self.what, request).await,
            Judged::Authorized => actor.asks(&self.what, request).await,
        }
    }
}

/// Tries all of them, several at once.
pub async fn all(ways: &[Way], actor: &Actor) -> Vec<Attempt> {
    stream::iter(ways).map(|way| way.tried(actor)).buffered(CONCURRENCY).collect().await
}

/// Tries each, between two tries by somebody who may.
pub async fn between_controls(
    ways: &[Way],
    actor: &Actor,
    who_may: &Actor,
) -> Result<Vec<Sandwich>, StepError> {
    let mut sandwiches = Vec::new();
    for way in ways {
        let before = way.tried(who_may).await;
        let attempt = way.tried(actor).await;
        let after = way.tried(who_may).await;
        sandwiches.push(Sandwich { before, attempt, after });
    }
    Ok(sandwiches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_change_something_is_a_dry_run() {
        let ways = [
            Way::create("a", "/x", json!({})),
            Way::replace("a", "/x", json!({})),
            Way::merge("a", "/x", json!({})),
            Way::strategic("a", "/x", json!({})),
            Way::json("a", "/x", json!([])),
            Way::apply("a", "/x", Some("kubectl edit&force=no"), json!({})),
            Way::delete("a", "/x?labelSelector=a"),
        ];
        assert_eq!(ways[6].body["dryRun"], json!(["All"]));
        let paths: Vec<_> = ways.iter().map(|way| way.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/x?dryRun=All",
                "/x?dryRun=All",
                "/x?dryRun=All",
                "/x?dryRun=All",
                "/x?dryRun=All",
                "/x?fieldManager=kubectleditforceno&force=true&dryRun=All",
                "/x?labelSelector=a&dryRun=All",
            ]
        );
    }
}
