//! IAM-05: how a tenant would come to hold more than it was given.

use std::str::FromStr;

use cucumber::when;
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    core::v1::{Namespace, Pod, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::support::{
    api::{FIELD_MANAGER, Tries, typed},
    denials::{Sandwich, Tried},
    pods,
    takeover::Prey,
    tenants::{self, Role},
    ways::{self, Way},
    ways_up::Places,
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::{Cluster, rbac},
    oracle::{AccessScope, ExpectedAccess, Subject, admin_paths},
    probe::access,
    profile::{LoadedPlatform, SubjectKind},
    tenant::{Actor, Tenant},
};

/// What a tenant tries.
#[derive(Clone, Copy, Debug, cucumber::Parameter)]
#[param(name = "climb", regex = ".+")]
pub struct Climb {
    ways: fn(&Found) -> Vec<Way>,
}

/// What was found on the cluster for the requests to name.
#[derive(Debug)]
struct Found {
    places: Places,
    prey: Prey,
}

const CLIMBS: [(&str, Climb); 14] = [
    ("bind itself to a wider role", Climb { ways: |found| found.places.bind() }),
    ("write itself a wider role", Climb { ways: |found| found.places.widen() }),
    ("get a token of another service account", Climb { ways: |found| found.places.tokens() }),
    ("get a certificate under another name", Climb { ways: |_| Places::certificates() }),
    ("come between the API server and those who ask it", Climb { ways: |found| found.places.between() }),
    ("get hold of a node", Climb { ways: |found| found.places.nodes() }),
    ("enter the pods of others", Climb { ways: |found| found.places.enter() }),
    ("overwrite the namespace of another", Climb { ways: |found| found.prey.overwrite() }),
    ("apply over the namespace of another", Climb { ways: |found| found.prey.apply() }),
    (
        "get past the guards of a namespace through its subresources",
        Climb { ways: |found| found.prey.subresources() },
    ),
    ("forge whose a namespace is", Climb { ways: |found| found.prey.forge() }),
    ("make a namespace", Climb { ways: |found| found.prey.make() }),
    ("write into the namespace of another", Climb { ways: |found| found.prey.write_into() }),
    ("remove what another has", Climb { ways: |found| found.prey.remove() }),
];

impl FromStr for Climb {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        CLIMBS.iter().find(|(known, _)| *known == words).map(|(_, climb)| *climb).ok_or_else(|| {
            let known: Vec<_> = CLIMBS.iter().map(|(known, _)| *known).collect();
            format!("`{words}` is nothing that can be tried; known are: {}", known.join(", "))
        })
    }
}

/// An object as the harness sees it.
async fn seen(cluster: &Cluster, namespace: &str) -> Result<Value, StepError> {
    let object = Api::<Namespace>::all(cluster.client())
        .get(namespace)
        .await
        .map_err(|error| cluster.error(format!("read namespace {namespace}"), error))?;
    serde_json::to_value(object).map_err(|error| StepError::trouble_from("read a namespace", &error))
}

/// A pod of the tenant that waits for ever, to be the aim of attempts.
async fn aim(world: &World, tenant: &Tenant, name: &str) -> Result<Api<Pod>, StepError> {
    let actor = tenants::actor(tenant, Role::Administrator)?;
    let api: Api<Pod> = actor.api(tenant.namespace());
    let pod: Pod = typed(pods::never_scheduled(pods::compliant(name, &tenants::image(world)?)))?;
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&pod)).await.map_err(
        |error| {
            StepError::no_control(format!(
                "{} could not make a pod of its own: {}",
                actor.name,
                crate::probe::api::verdict::<()>(&Err(error))
            ))
        },
    )?;
    Ok(api)
}

async fn look_around(world: &World, own: &Tenant, other: &Tenant, aim: &str) -> Result<Found, StepError> {
    let cluster = world.service::<Cluster>()?;
    let profile = world.service::<LoadedPlatform>()?;
    let spec = &profile.platform.spec;
    let system = spec.network.dns.namespace.clone();
    let admin = tenants::actor(own, Role::Administrator)?;
    let trouble = |doing: &'static str| {
        let cluster = cluster.clone();
        move |error| StepError::from(cluster.error(doing, error))
    };
    let rbac = rbac(&cluster).await?;
    // A strong service account of the platform's namespace, where there is one; `default` is always there.
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), &system);
    let accounts = accounts
        .list(&ListParams::default())
        .await
        .map_err(trouble("list the platform's service accounts"))?;
    let strong = admin_paths(&rbac);
    let system_account = accounts
        .items
        .iter()
        .map(kube::ResourceExt::name_any)
        .find(|name| strong.iter().any(|path| path.holder == Subject::account(&system, name)))
        .unwrap_or_else(|| "default".to_owned());
    let is_own = |subject: &Subject| match subject.kind {
        SubjectKind::User => admin.user.as_ref() == Some(&subject.name),
        SubjectKind::Group => admin.groups.contains(&subject.name),
        SubjectKind::ServiceAccount => false,
    };
    let mut roles: Vec<String> = rbac
        .bindings
        .iter()
        .filter(|one| one.namespace.as_deref() == Some(own.namespace()) && one.role_namespace.is_none())
        .filter(|one| one.subjects.iter().any(is_own))
        .map(|one| one.role.clone())
        .collect();
    roles.sort();
    roles.dedup();
    let system_pods: Api<Pod> = Api::namespaced(cluster.client(), &system);
    let selector: Vec<_> =
        spec.network.dns.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let system_pod = system_pods
        .list(&ListParams::default().labels(&selector.join(",")))
        .await
        .map_err(trouble("list the pods of the platform's name service"))?
        .items
        .first()
        .map(kube::ResourceExt::name_any)
        .ok_or_else(|| StepError::trouble(format!("the platform's name service has no pod in {system}")))?;
    let node = cluster.nodes().await?.into_iter().find(|node| node.ready);
    let node = node.ok_or_else(|| StepError::trouble("no node is ready"))?;
    let policies: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.client());
    // A platform without admission policies has nothing here to be removed.
    let policy_binding = match policies.list(&ListParams::default()).await {
        Ok(list) => list.items.first().map(kube::ResourceExt::name_any),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(error) => return Err(trouble("list the bindings of admission policies")(error)),
    };
    let served = access::served(&cluster.client())
        .await
        .map_err(trouble("discover what the API server serves"))?
        .into_iter()
        .map(|one| (format!("{}/{}", one.group, one.resource), one.version))
        .collect();
    let subject = match admin.groups.iter().find(|group| !group.starts_with("system:")) {
        Some(group) => json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": group}),
        None => json!({
            "kind": "User", "apiGroup": "rbac.authorization.k8s.io",
            "name": admin.user.as_ref().unwrap_or(&admin.name),
        }),
    };
    let owner = &spec.tenancy.owner_label;
    Ok(Found {
        prey: Prey {
            own_owner: own.fill(&owner.value),
            other_owner: other.fill(&owner.value),
            owner_key: owner.key.clone(),
            own: seen(&cluster, own.namespace()).await?,
            other: seen(&cluster, other.namespace()).await?,
            other_pod: aim.to_owned(),
            system: system.clone(),
        },
        places: Places {
            own: own.namespace().to_owned(),
            subject,
            other: other.namespace().to_owned(),
            system,
            system_account,
            system_pod,
            other_pod: aim.to_owned(),
            node: node.name,
            roles,
            policy_binding,
            served,
            own_tokens: spec.rights.as_ref().is_some_and(|rights| {
                ExpectedAccess::new(&rights.admin).allows(
                    AccessScope::Own,
                    "",
                    "serviceaccounts/token",
                    "create",
                )
            }),
            image: tenants::image(world)?,
        },
    })
}

#[when(expr = "the administrator of {string} tries every way to {climb}, at the expense of {string}")]
async fn every_way(world: &mut World, own: String, climb: Climb, other: String) -> StepResult {
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let actor = tenants::actor(&own, Role::Administrator)?;
    let who_may = tenants::cluster_administrator(world)?;
    // Scenarios run side by side on the same tenants: each has an aim of its own.
    let name = format!("plimsoll-aim-{:x}", world.scenario().seed());
    let pods = aim(world, &other, &name).await?;
    let tried = async {
        let found = look_around(world, &own, &other, &name).await?;
        ways::between_controls(&(climb.ways)(&found), &actor, &who_may).await
    }
    .await;
    // A pod that is left is found by the tenant's removal.
    let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
    world.slots.insert(Tried::of(tried?));
    Ok(())
}

/// A name that somebody asks to be taken for.
struct Mask {
    what: &'static str,
    headers: Vec<(&'static str, String)>,
}

#[when(expr = "a workload of {string} asks to be taken for others, those of {string} among them")]
async fn impersonate(world: &mut World, own: String, other: String) -> StepResult {
    let (own, other) = (tenants::named(world, &own)?, tenants::named(world, &other)?);
    let cluster = world.service::<Cluster>()?;
    let workload = tenants::workload(world, &own).await?;
    let who_may =
        Actor { name: "the harness".to_owned(), user: None, groups: Vec::new(), client: cluster.raw() };
    let admin = tenants::actor(&other, Role::Administrator)?;
    let itself = workload.user.clone().unwrap_or_default();
    let account = |namespace: &str| format!("system:serviceaccount:{namespace}:default");
    let user = |name: String| ("impersonate-user", name);
    let group = |name: &str| ("impersonate-group", name.to_owned());
    let mut another: Vec<_> = vec![user(admin.user.unwrap_or(admin.name))];
    another.extend(admin.groups.iter().map(|name| group(name)));
    let masks = [
        Mask { what: "for a user", headers: vec![user("kubernetes-admin".to_owned())] },
        Mask {
            what: "for a member of system:masters",
            headers: vec![user("kubernetes-admin".to_owned()), group("system:masters")],
        },
        Mask {
            what: "for itself, as a member of system:masters",
            headers: vec![user(itself.clone()), group("system:masters")],
        },
        Mask { what: "for the administrator of another tenant", headers: another },
        Mask {
            what: "for a service account of another tenant",
            headers: vec![user(account(other.namespace()))],
        },
        Mask { what: "for a service account of the platform", headers: vec![user(account("kube-system"))] },
        Mask {
            what: "for a node",
            headers: vec![user("system:node:plimsoll".to_owned()), group("system:nodes")],
        },
        Mask {
            what: "for a user of another id",
            headers: vec![user(itself.clone()), ("impersonate-uid", "plimsoll".to_owned())],
        },
        Mask {
            what: "for a user of other extras",
            headers: vec![user(itself), ("impersonate-extra-scopes", "plimsoll".to_owned())],
        },
    ];
    let mut sandwiches = Vec::new();
    for mask in masks {
        let target = format!("be taken {}", mask.what);
        let ask = async |actor: &Actor| actor.tries(&target, wearing(&actor.client, &mask)).await;
        let before = ask(&who_may).await;
        let attempt = ask(&workload).await;
        let after = ask(&who_may).await;
        sandwiches.push(Sandwich { before, attempt, after });
    }
    world.slots.insert(Tried::of(sandwiches));
    Ok(())
}

/// Asks the API server who it takes the caller for.
async fn wearing(client: &Client, mask: &Mask) -> Result<(), kube::Error> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let mut request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews")
        .header("content-type", "application/json");
    for (name, value) in &mask.headers {
        request = request.header(*name, value);
    }
    let request =
        request.body(body.to_string().into_bytes()).map_err(|error| kube::Error::Service(error.into()))?;
    client.request_text(request).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_climb_has_a_name_of_its_own() {
        for (words, _) in CLIMBS {
            assert!(words.parse::<Climb>().is_ok(), "{words}");
        }
        let names: std::collections::BTreeSet<_> = CLIMBS.iter().map(|(words, _)| words).collect();
        assert_eq!(names.len(), CLIMBS.len());
        assert!("fly".parse::<Climb>().is_err());
    }
}
