//! Attempts at the Kubernetes API in somebody's name.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Error, Resource,
    api::{DeleteParams, PostParams},
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    bdd::StepError,
    probe::{
        Attempt, Moment, Span, Verdict,
        api::{authorization, verdict_of},
    },
    tenant::Actor,
};

/// What an actor does at the API.
pub trait Tries {
    /// Tries something: `create pods in plim-x7k2-alpha`.
    fn tries<T, F>(&self, target: &str, request: F) -> impl Future<Output = Attempt>
    where
        F: Future<Output = Result<T, Error>>;

    /// Asks for something that must not be done: OPEN if the authorizer lets it pass, whatever comes after.
    fn asks<T, F>(&self, target: &str, request: F) -> impl Future<Output = Attempt>
    where
        F: Future<Output = Result<T, Error>>;

    /// The objects of a kind in a namespace, in that name.
    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>;
}

impl Tries for Actor {
    async fn tries<T, F>(&self, target: &str, request: F) -> Attempt
    where
        F: Future<Output = Result<T, Error>>,
    {
        let began = Moment::now();
        let result = request.await;
        made(self, target, began, verdict_of(&result, self.user.as_deref()), &result)
    }

    async fn asks<T, F>(&self, target: &str, request: F) -> Attempt
    where
        F: Future<Output = Result<T, Error>>,
    {
        let began = Moment::now();
        let result = request.await;
        made(self, target, began, authorization(&result, self.user.as_deref()), &result)
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn made<T>(
    actor: &Actor,
    target: &str,
    began: Moment,
    verdict: Verdict,
    result: &Result<T, Error>,
) -> Attempt {
    Attempt {
        actor: actor.name.clone(),
        target: target.to_owned(),
        variant: None,
        verdict,
        span: Span::since(began),
        took_us: None,
        evidence: answer(result),
    }
}

/// What the server said, for a third party: its status where it refused, nothing where it carried the request out.
pub fn answer<T>(result: &Result<T, Error>) -> Value {
    match result {
        Err(Error::Api(status)) => said(status),
        Err(_) | Ok(_) => Value::Null,
    }
}

fn said(status: &Status) -> Value {
    json!({"code": status.code, "reason": status.reason, "message": status.message})
}

/// A request that changes nothing, but passes every authorizer and admission on its way.
pub fn dry() -> PostParams {
    PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) }
}

/// A deletion that deletes nothing, but passes every authorizer and admission on its way.
pub fn dry_delete() -> DeleteParams {
    DeleteParams { dry_run: true, ..DeleteParams::default() }
}

/// Under which name fields are managed.
pub const FIELD_MANAGER: &str = "plimsoll";

/// A manifest as a typed object.
pub fn typed<K: DeserializeOwned>(manifest: Value) -> Result<K, StepError> {
    serde_json::from_value(manifest).map_err(|error| StepError::trouble_from("build the object", &error))
}

/// An object as it goes into evidence: without what only machines read.
pub fn shown<K: Serialize + Debug>(object: &K) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for noise in ["managedFields", "uid", "resourceVersion", "generation", "creationTimestamp"] {
            metadata.remove(noise);
        }
    }
    value
}
