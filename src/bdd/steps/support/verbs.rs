//! Every verb, done to a sample object: what the cluster does, as opposed to what it says that it would do.

use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, WatchParams},
};
use serde_json::json;

use super::{
    api::{FIELD_MANAGER, Tries, dry, dry_delete},
    tenants::{self, Role},
};
use crate::{
    bdd::StepError,
    probe::{Attempt, api::verdict},
    tenant::{Actor, Tenant},
};

/// What can be done to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read all.
    List,
    /// Be told of changes.
    Watch,
    /// Make one.
    Create,
    /// Replace one.
    Update,
    /// Change a part of one.
    Patch,
    /// Remove one.
    Delete,
    /// Remove all.
    DeleteCollection,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
    ];
    /// Those that change nothing.
    pub const LOOKING: [Self; 3] = [Self::Get, Self::List, Self::Watch];
    /// Those that change something.
    pub const CHANGING: [Self; 5] =
        [Self::Create, Self::Update, Self::Patch, Self::Delete, Self::DeleteCollection];

    /// As in rules.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// An object that verbs are done to. What would change it is done as a dry run, so that the next verb finds it, too.
#[derive(Clone, Debug)]
pub struct Sample {
    resource: ApiResource,
    namespace: String,
    object: DynamicObject,
}

const NAME: &str = "plimsoll-sample";

impl Sample {
    /// A config map of the tenant.
    pub async fn config_map(tenant: &Tenant) -> Result<Self, StepError> {
        Self::made(tenant, ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&())).await
    }

    /// A secret of the tenant, with nothing secret in it.
    pub async fn secret(tenant: &Tenant) -> Result<Self, StepError> {
        Self::made(tenant, ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&())).await
    }

    /// Made by the tenant's own administrator.
    async fn made(tenant: &Tenant, resource: ApiResource) -> Result<Self, StepError> {
        let owner = tenants::actor(tenant, Role::Administrator)?;
        let namespace = tenant.namespace().to_owned();
        let api: Api<DynamicObject> = Api::namespaced_with(owner.client.clone(), &namespace, &resource);
        let manifest = DynamicObject::new(NAME, &resource).within(&namespace);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let object = api.patch(NAME, &params, &Patch::Apply(&manifest)).await.map_err(|error| {
            StepError::no_control(format!(
                "{} could not make a {} of its own: {}",
                owner.name,
                resource.kind,
                verdict::<()>(&Err(error))
            ))
        })?;
        Ok(Self { resource, namespace, object })
    }

    /// Tries a verb in somebody's name.
    pub async fn tried(&self, verb: Verb, actor: &Actor) -> Attempt {
        let api: Api<DynamicObject> =
            Api::namespaced_with(actor.client.clone(), &self.namespace, &self.resource);
        let target = format!("{} {} in {}", verb.word(), self.resource.plural, self.namespace);
        let target = target.as_str();
        match verb {
            Verb::Get => actor.tries(target, api.get(NAME)).await,
            Verb::List => actor.tries(target, api.list(&ListParams::default())).await,
            Verb::Watch => actor.tries(target, self.watch(&actor.client)).await,
            Verb::Create => {
                let another = DynamicObject::new("plimsoll-sample-another", &self.resource);
                actor.tries(target, api.create(&dry(), &another)).await
            }
            Verb::Update => {
                // Without a version it replaces whatever is there: a tenant need not be able to read it first.
                let mut object = self.object.clone();
                object.metadata.resource_version = None;
                object.metadata.managed_fields = None;
                actor.tries(target, api.replace(NAME, &dry(), &object)).await
            }
            Verb::Patch => {
                let params = PatchParams { dry_run: true, ..PatchParams::default() };
                let patch = json!({"metadata": {"annotations": {"plimsoll.dev/tried": "patch"}}});
                actor.tries(target, api.patch(NAME, &params, &Patch::Merge(patch))).await
            }
            Verb::Delete => actor.tries(target, api.delete(NAME, &dry_delete())).await,
            Verb::DeleteCollection => {
                let only = ListParams::default().fields(&format!("metadata.name={NAME}"));
                actor.tries(target, api.delete_collection(&dry_delete(), &only)).await
            }
        }
    }

    /// Opens a watch and hangs up as soon as the server has let it in or refused it.
    async fn watch(&self, client: &Client) -> Result<(), kube::Error> {
        let url = DynamicObject::url_path(&self.resource, Some(&self.namespace));
        let request = kube::core::Request::new(url)
            .watch(&WatchParams::default(), "0")
            .map_err(kube::Error::BuildRequest)?;
        client.request_stream(request).await.map(drop)
    }
}
