//! TEN-09: what lies in a tenant's namespace and is not the tenant's to change.

use cucumber::{then, when};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::support::{
    api::{FIELD_MANAGER, Tries, dry, typed},
    denials::{Sandwich, Tried, summarised},
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, merge},
    engine::{Evidence, EvidenceBody, ReasonKind},
    probe::{Attempt, Verdict, api::verdict},
    profile::{GuardRail, LoadedPlatform, glob_matches},
    tenant::{Actor, Tenant},
};

/// The object of the tenant's own with which each control is made.
const OWN: &str = "plimsoll-own";

/// A guard rail as it stands on the cluster.
#[derive(Clone, Debug)]
struct Standing {
    rail: GuardRail,
    resource: ApiResource,
    namespaced: bool,
    name: String,
    object: Option<DynamicObject>,
}

impl Standing {
    fn reference(&self) -> String {
        format!("{} {}", self.rail.kind, self.name)
    }

    fn api(&self, client: Client, namespace: &str) -> Api<DynamicObject> {
        if self.namespaced {
            Api::namespaced_with(client, namespace, &self.resource)
        } else {
            Api::all_with(client, &self.resource)
        }
    }

    /// The part of the object that is guarded: some labels, or everything but what the cluster itself keeps there.
    fn guarded(&self) -> Value {
        let Some(object) = &self.object else { return Value::Null };
        if self.rail.labels.is_empty() {
            let mut body = object.data.clone();
            if let Some(fields) = body.as_object_mut() {
                fields.remove("status");
            }
            json!({"labels": object.labels(), "body": body})
        } else {
            let labels: serde_json::Map<_, _> = object
                .labels()
                .iter()
                .filter(|(key, _)| self.rail.labels.iter().any(|pattern| glob_matches(pattern, key)))
                .map(|(key, value)| (key.clone(), json!(value)))
                .collect();
            json!({"labels": labels})
        }
    }
}

/// The guard rails before the tenant tried anything.
#[derive(Clone, Debug)]
struct Before(Vec<Standing>);

async fn read(world: &World, tenant: &Tenant) -> Result<Vec<Standing>, StepError> {
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let rails = &profile.platform.spec.guard_rails;
    if rails.is_empty() {
        return Err(StepError::requirement("expected the profile to name guard rails, saw none in it")
            .hint("name them under `spec.guardRails` of the profile"));
    }
    let discovery = cluster.discovery().await.map_err(StepError::from)?;
    let mut standing = Vec::new();
    for rail in rails {
        let (resource, capabilities) = discovery
            .groups()
            .flat_map(kube::discovery::ApiGroup::resources_by_stability)
            .find(|(resource, _)| resource.api_version == rail.api_version && resource.kind == rail.kind)
            .ok_or_else(|| {
                StepError::trouble(format!("the cluster does not serve {} {}", rail.api_version, rail.kind))
            })?;
        let namespaced = capabilities.scope == kube::discovery::Scope::Namespaced;
        let name = rail.name.as_ref().map_or_else(|| tenant.namespace().to_owned(), |name| tenant.fill(name));
        let mut one = Standing { rail: rail.clone(), resource, namespaced, name, object: None };
        one.object = one
            .api(cluster.client(), tenant.namespace())
            .get_opt(&one.name)
            .await
            .map_err(|error| cluster.error(format!("read {}", one.reference()), error))?;
        standing.push(one);
    }
    Ok(standing)
}

#[when("the guard rails that the profile names are read")]
async fn list(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let standing = read(world, &tenant).await?;
    for one in &standing {
        world.record(Evidence {
            title: format!("guard rail {}", one.reference()),
            body: EvidenceBody::Object { reference: one.reference(), object: one.guarded() },
        });
    }
    world.slots.insert(Before(standing));
    Ok(())
}

#[then("quota, limit range, default deny and pod security are among them")]
async fn all_named(world: &mut World) -> StepResult {
    let standing = &world.slots.require::<Before>("guard rails")?.0;
    let guards_pod_security = |one: &Standing| {
        one.rail.kind == "Namespace"
            && one
                .rail
                .labels
                .iter()
                .any(|pattern| glob_matches(pattern, "pod-security.kubernetes.io/enforce"))
    };
    let missing: Vec<_> = [
        ("a ResourceQuota", standing.iter().any(|one| one.rail.kind == "ResourceQuota")),
        ("a LimitRange", standing.iter().any(|one| one.rail.kind == "LimitRange")),
        ("a NetworkPolicy", standing.iter().any(|one| one.rail.kind == "NetworkPolicy")),
        ("the namespace's pod security labels", standing.iter().any(guards_pod_security)),
    ]
    .into_iter()
    .filter(|(_, named)| !named)
    .map(|(what, _)| format!("expected the profile's guard rails to include {what}, saw none"))
    .collect();
    if missing.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, missing).into()) }
}

/// Whether a label is one that the pattern stands for. Of pod security's labels only the enforced level guards:
/// the others warn and record.
fn guards(pattern: &str, key: &str) -> bool {
    const ENFORCED: &str = "pod-security.kubernetes.io/enforce";
    if glob_matches(pattern, ENFORCED) { key == ENFORCED } else { glob_matches(pattern, key) }
}

#[then("every guard rail is there")]
async fn all_there(world: &mut World) -> StepResult {
    let missing: Vec<_> = world
        .slots
        .require::<Before>("guard rails")?
        .0
        .iter()
        .filter_map(|one| match &one.object {
            None => Some(format!("expected {} to be there, saw nothing of that name", one.reference())),
            Some(object) => {
                let lacking: Vec<_> = one
                    .rail
                    .labels
                    .iter()
                    .filter(|pattern| !object.labels().keys().any(|key| guards(pattern, key)))
                    .map(String::as_str)
                    .collect();
                (!lacking.is_empty()).then(|| {
                    format!(
                        "expected {} to carry the label {}, saw none",
                        one.reference(),
                        lacking.join(", ")
                    )
                })
            }
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, missing).into()) }
}

/// What a tenant tries with an object that it knows by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(name = "act", regex = "update|patch|apply over|relabel|delete|delete as one of many")]
pub enum Act {
    /// Replaces it by a weaker one.
    Update,
    /// Changes the part that guards.
    Patch,
    /// Takes its fields over by server-side apply.
    Apply,
    /// Takes its labels away, in the hope that its guards know it by them.
    Relabel,
    /// Deletes it by name.
    Delete,
    /// Deletes it with everything of its kind.
    DeleteMany,
}

impl std::str::FromStr for Act {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "update" => Self::Update,
            "patch" => Self::Patch,
            "apply over" => Self::Apply,
            "relabel" => Self::Relabel,
            "delete" => Self::Delete,
            "delete as one of many" => Self::DeleteMany,
            other => return Err(format!("`{other}` is nothing that can be tried with an object")),
        })
    }
}

impl Act {
    const fn words(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Apply => "apply over",
            Self::Relabel => "relabel",
            Self::Delete => "delete",
            Self::DeleteMany => "delete as one of many",
        }
    }

    /// Does it. `weaker` are the fields that would weaken the object.
    async fn attempt(
        self,
        actor: &Actor,
        target: &str,
        api: &Api<DynamicObject>,
        object: &DynamicObject,
        weaker: &Value,
    ) -> Attempt {
        let name = object.name_any();
        match self {
            Self::Update => {
                let mut changed = object.clone();
                merge(&mut changed.data, weaker);
                actor.tries(target, api.replace(&name, &PostParams::default(), &changed)).await
            }
            Self::Patch => {
                actor.tries(target, api.patch(&name, &PatchParams::default(), &Patch::Merge(weaker))).await
            }
            Self::Apply => {
                let mut applied = weaker.clone();
                applied["metadata"]["name"] = json!(name);
                if let Some(types) = &object.types {
                    applied["apiVersion"] = json!(types.api_version);
                    applied["kind"] = json!(types.kind);
                }
                let params = PatchParams::apply(FIELD_MANAGER).force();
                actor.tries(target, api.patch(&name, &params, &Patch::Apply(&applied))).await
            }
            Self::Relabel => {
                let mut labels: Value =
                    object.labels().keys().map(|key| (key.clone(), Value::Null)).collect();
                labels["plimsoll.dev/tried"] = json!("relabel");
                let patch = json!({"metadata": {"labels": labels}});
                actor.tries(target, api.patch(&name, &PatchParams::default(), &Patch::Merge(patch))).await
            }
            Self::Delete => actor.tries(target, api.delete(&name, &DeleteParams::default())).await,
            Self::DeleteMany => {
                // By its name, since the refusal of one would cover for the others.
                let only = ListParams::default().fields(&format!("metadata.name={name}"));
                actor.tries(target, api.delete_collection(&DeleteParams::default(), &only)).await
            }
        }
    }
}

/// Fields that weaken a guard rail of a kind: what an attacker would want. A kind that is not known here gets an
/// annotation, which is a change too.
fn weaker(object: &DynamicObject, actor: &Actor) -> Value {
    match object.types.as_ref().map(|types| types.kind.as_str()) {
        Some("ResourceQuota") => json!({"spec": {"hard": {"pods": "1000000", "requests.cpu": "1000000"}}}),
        Some("LimitRange") => json!({"spec": {"limits": []}}),
        Some("NetworkPolicy") => json!({"spec": {"ingress": [{}], "egress": [{}]}}),
        Some("RoleBinding") => json!({"subjects": [
            {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": actor.name},
        ]}),
        Some("ConfigMap") => json!({"data": {"changed": "yes"}}),
        _ => json!({"metadata": {"annotations": {"plimsoll.dev/tried": "change"}}}),
    }
}

/// The tenant's own object, made anew where an earlier control took it away.
async fn own_object(actor: &Actor, namespace: &str) -> Result<DynamicObject, StepError> {
    let api: Api<ConfigMap> = actor.api(namespace);
    let manifest = ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some(OWN.to_owned()), ..Default::default() },
        ..ConfigMap::default()
    };
    let made = api
        .patch(OWN, &PatchParams::apply("plimsoll-setup").force(), &Patch::Apply(&manifest))
        .await
        .map_err(|error| {
            StepError::no_control(format!(
                "{} could not make an object of its own: {}",
                actor.name,
                verdict::<()>(&Err(error))
            ))
        })?;
    let value =
        serde_json::to_value(&made).map_err(|error| StepError::trouble_from("read an object", &error))?;
    let mut object: DynamicObject =
        serde_json::from_value(value).map_err(|error| StepError::trouble_from("read an object", &error))?;
    object.types = Some(kube::core::TypeMeta { api_version: "v1".into(), kind: "ConfigMap".into() });
    Ok(object)
}

/// Does the act to an object of the tenant's own: the control.
async fn control(act: Act, actor: &Actor, target: &str, namespace: &str) -> Result<Attempt, StepError> {
    let object = own_object(actor, namespace).await?;
    let resource = ApiResource::erase::<ConfigMap>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(actor.client.clone(), namespace, &resource);
    let weaker = weaker(&object, actor);
    Ok(act.attempt(actor, target, &api, &object, &weaker).await.variant("an object of its own"))
}

#[when(expr = "its administrator tries to {act} each guard rail")]
async fn try_each(world: &mut World, act: Act) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let namespace = tenant.namespace();
    let standing = read(world, &tenant).await?;
    let target = format!("{} in {namespace}", act.words());
    let mut sandwiches = Vec::new();
    // The namespace itself is cluster-scoped and has tricks of its own.
    for one in standing.iter().filter(|one| one.namespaced) {
        let Some(object) = &one.object else {
            return Err(StepError::requirement(format!(
                "expected {} to be there, saw nothing of that name",
                one.reference()
            ))
            .into());
        };
        let mut object = object.clone();
        object.types = Some(kube::core::TypeMeta {
            api_version: one.rail.api_version.clone(),
            kind: one.rail.kind.clone(),
        });
        let api = one.api(actor.client.clone(), namespace);
        let weaker = weaker(&object, &actor);
        let before = control(act, &actor, &target, namespace).await?;
        let attempt = act.attempt(&actor, &target, &api, &object, &weaker).await.variant(one.reference());
        let after = control(act, &actor, &target, namespace).await?;
        if attempt.verdict == Verdict::Open {
            mend(world, &tenant, &standing).await?;
        }
        sandwiches.push(Sandwich { before, attempt, after });
    }
    world.slots.insert(Before(standing));
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

/// Puts the guard rails back that an attempt has changed or removed: what is tried next must find them.
async fn mend(world: &World, tenant: &Tenant, before: &[Standing]) -> Result<(), StepError> {
    let cluster = world.service::<Cluster>()?;
    let now = read(world, tenant).await?;
    for (before, now) in before.iter().zip(&now).filter(|(before, _)| before.namespaced) {
        let Some(original) = &before.object else { continue };
        if before.guarded() == now.guarded() {
            continue;
        }
        let mut original = original.clone();
        let metadata = &mut original.metadata;
        metadata.resource_version = None;
        metadata.uid = None;
        metadata.managed_fields = None;
        let api = before.api(cluster.client(), tenant.namespace());
        let params = PostParams::default();
        let mended = match &now.object {
            Some(_) => api.replace(&before.name, &params, &original).await,
            None => api.create(&params, &original).await,
        };
        mended.map_err(|error| cluster.error(format!("put {} back", before.reference()), error))?;
    }
    Ok(())
}

/// What a tenant tries with its own namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(
    name = "trick",
    regex = "lower the pod security level|take the pod security level off|give the namespace to another tenant|take the owner off the namespace|finalize the namespace|delete the namespace|open everything beside the default deny"
)]
pub enum Trick {
    /// Pods of a lower level.
    Lower,
    /// Pods of any level.
    Unlabel,
    /// The namespace of somebody else.
    Forge,
    /// The namespace of nobody.
    Disown,
    /// Past the guards of ordinary updates, by a subresource.
    Finalize,
    /// No namespace, and no guard rails.
    Delete,
    /// Policies add up: one that opens everything leaves the default deny as it is, and without effect.
    OpenBeside,
}

impl std::str::FromStr for Trick {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "lower the pod security level" => Self::Lower,
            "take the pod security level off" => Self::Unlabel,
            "give the namespace to another tenant" => Self::Forge,
            "take the owner off the namespace" => Self::Disown,
            "finalize the namespace" => Self::Finalize,
            "delete the namespace" => Self::Delete,
            "open everything beside the default deny" => Self::OpenBeside,
            other => return Err(format!("`{other}` is no trick with a namespace")),
        })
    }
}

/// A network policy of the tenant's own, that opens a path inside its namespace or everything.
fn beside(open_all: bool) -> Value {
    let peers = json!([{"podSelector": {"matchLabels": {"plimsoll.dev/never": "true"}}}]);
    let spec = if open_all {
        json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]})
    } else {
        json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": peers}]})
    };
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "plimsoll-beside"}, "spec": spec,
    })
}

#[when(expr = "its administrator tries to {trick}")]
async fn try_trick(world: &mut World, trick: Trick) -> StepResult {
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let standing = read(world, &tenant).await?;
    let sandwich = if trick == Trick::OpenBeside {
        open_beside(&actor, tenant.namespace()).await?
    } else {
        with_the_namespace(world, trick, &actor, tenant.namespace()).await?
    };
    world.slots.insert(Before(standing));
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

async fn open_beside(actor: &Actor, namespace: &str) -> Result<Sandwich, StepError> {
    let target = format!("create a network policy in {namespace}");
    let api: Api<NetworkPolicy> = actor.api(namespace);
    // A dry run, since one that got through would open the tenant for what comes after.
    let create = async |open_all: bool| -> Result<Attempt, StepError> {
        let policy: NetworkPolicy = typed(beside(open_all))?;
        Ok(actor.tries(&target, api.create(&dry(), &policy)).await)
    };
    Ok(Sandwich {
        before: create(false).await?,
        attempt: create(true).await?.variant("that opens everything"),
        after: create(false).await?,
    })
}

async fn with_the_namespace(
    world: &World,
    trick: Trick,
    actor: &Actor,
    namespace: &str,
) -> Result<Sandwich, StepError> {
    let profile = world.service::<LoadedPlatform>()?;
    let cluster = world.service::<Cluster>()?;
    let owner = profile.platform.spec.tenancy.owner_label.key.clone();
    let level = "pod-security.kubernetes.io/enforce".to_owned();
    let api: Api<Namespace> = Api::all(actor.client.clone());
    let act = if trick == Trick::Delete { Act::Delete } else { Act::Patch };
    let target = format!("{} in {namespace}", act.words());
    let relabel = async |key: String, value: Value| {
        let patch = json!({"metadata": {"labels": {key: value}}});
        actor.tries(&target, api.patch(namespace, &PatchParams::default(), &Patch::Merge(patch))).await
    };
    let before = control(act, actor, &target, namespace).await?;
    let attempt = match trick {
        Trick::Lower => relabel(level, json!("privileged")).await,
        Trick::Unlabel => relabel(level, Value::Null).await,
        Trick::Forge => relabel(owner, json!("somebody-else")).await,
        Trick::Disown => relabel(owner, Value::Null).await,
        Trick::Delete => actor.tries(&target, api.delete(namespace, &DeleteParams::default())).await,
        Trick::Finalize | Trick::OpenBeside => {
            let mut object = Api::<Namespace>::all(cluster.client())
                .get(namespace)
                .await
                .map_err(|error| cluster.error(format!("read namespace {namespace}"), error))?;
            object.labels_mut().insert(level, "privileged".to_owned());
            let params = PostParams::default();
            actor.tries(&target, api.replace_subresource("finalize", namespace, &params, &object)).await
        }
    };
    // What got through needs no control, and may have left no namespace to make one in.
    let after = if attempt.verdict == Verdict::Open {
        before.clone()
    } else {
        control(act, actor, &target, namespace).await?
    };
    Ok(Sandwich { before, attempt: attempt.variant(format!("Namespace {namespace}")), after })
}

#[then("every guard rail is unchanged")]
async fn unchanged(world: &mut World) -> StepResult {
    let tenant = tenants::its(world)?;
    let now = read(world, &tenant).await?;
    let before = &world.slots.require::<Before>("guard rails")?.0;
    let changed: Vec<_> = before
        .iter()
        .zip(&now)
        .filter(|(before, now)| before.guarded() != now.guarded())
        .map(|(before, now)| {
            format!(
                "expected {} to stay as it was ({}), saw {}",
                before.reference(),
                before.guarded(),
                now.guarded()
            )
        })
        .collect();
    if changed.is_empty() { Ok(()) } else { Err(summarised(ReasonKind::Requirement, changed).into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_that_of_merge_patches() {
        let mut into = json!({"spec": {"hard": {"pods": "1", "services": "2"}}, "gone": 1});
        merge(&mut into, &json!({"spec": {"hard": {"pods": "9"}}, "gone": null, "new": {"a": 1}}));
        assert_eq!(into, json!({"spec": {"hard": {"pods": "9", "services": "2"}}, "new": {"a": 1}}));
    }
}
