//! IAM-04: what a tenant may manage itself, by the profile.

use cucumber::{then, when};
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use super::support::{
    api::{Tries, dry, typed},
    denials::Sandwich,
    pointers,
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::ControlPhase,
    probe::{Accepted, Attempt, Open, Verdict, VerdictKind},
    profile::LoadedPlatform,
    tenant::Actor,
};

/// What a tenant may manage itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(name = "affair", regex = "network policies|roles|role bindings")]
pub enum Affair {
    /// Paths inside its namespace.
    NetworkPolicies,
    /// Roles inside its namespace, with no more rights than it has.
    Roles,
    /// Who has them.
    RoleBindings,
}

impl std::str::FromStr for Affair {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "network policies" => Self::NetworkPolicies,
            "roles" => Self::Roles,
            "role bindings" => Self::RoleBindings,
            other => return Err(format!("`{other}` is nothing that a tenant manages")),
        })
    }
}

impl Affair {
    const fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NetworkPolicies => ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
            Self::Roles => ("rbac.authorization.k8s.io", "Role", "roles"),
            Self::RoleBindings => ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings"),
        }
    }

    /// One that no guard has anything against: it opens nothing and grants nothing that the tenant has not.
    fn object(self, namespace: &str) -> Value {
        let (group, kind, _) = self.resource();
        let mut object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "plimsoll-own"},
        });
        match self {
            Self::NetworkPolicies => {
                let nobody = json!({"matchLabels": {"plimsoll.dev/never": "true"}});
                object["spec"] = json!({
                    "podSelector": nobody, "policyTypes": ["Ingress"],
                    "ingress": [{"from": [{"podSelector": nobody}]}],
                });
            }
            Self::Roles => {
                object["rules"] = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
            }
            Self::RoleBindings => {
                // What everybody may do anyway: whom the cluster tells its version.
                object["roleRef"] = json!({
                    "apiGroup": group, "kind": "ClusterRole", "name": "system:public-info-viewer",
                });
                object["subjects"] = json!([
                    {"kind": "ServiceAccount", "name": "default", "namespace": namespace},
                ]);
            }
        }
        object
    }
}

/// What was tried, and whether it is promised.
struct Managed {
    sandwich: Sandwich,
    promised: bool,
}

#[when(expr = "its administrator makes one of the {affair} of its own")]
async fn manage(world: &mut World, affair: Affair) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let cluster = world.service::<Cluster>()?;
    let tenant = tenants::its(world)?;
    let Some(rights) = &profile.platform.spec.rights else {
        return Err(StepError::requirement(
            "expected the profile to promise the rights of tenants, saw none in it",
        )
        .hint("name them under `spec.rights` of the profile")
        .into());
    };
    let (group, kind, plural) = affair.resource();
    let promised = rights.admin.own.iter().any(|rule| rule.grants(group, plural, "create"));
    let namespace = tenant.namespace();
    let object: DynamicObject = typed(affair.object(namespace))?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural);
    let target = format!("create {plural} in {namespace}");
    let create = async |actor: &Actor| {
        let api: Api<DynamicObject> = Api::namespaced_with(actor.client.clone(), namespace, &resource);
        actor.tries(&target, api.create(&dry(), &object)).await
    };
    let platform = pointers::platform(&cluster);
    let administrator = tenants::actor(&tenant, Role::Administrator)?;
    let sandwich = Sandwich {
        before: create(&platform).await,
        attempt: create(&administrator).await,
        after: create(&platform).await,
    };
    world.slots.insert(Managed { sandwich, promised });
    Ok(())
}

#[then("that was OPEN where the profile promises it, and FORBIDDEN where it does not")]
async fn as_promised(world: &mut World) -> StepResult {
    let Managed { sandwich, promised } = world.slots.require::<Managed>("an attempt")?;
    let accepted = Accepted::only(if *promised { VerdictKind::Open } else { VerdictKind::Forbidden });
    let attempt = &sandwich.attempt;
    world.record(attempt.to_evidence(&accepted, None));
    if accepted.contains(attempt.verdict.kind()) {
        return Ok(());
    }
    if attempt.verdict.kind().is_unclear() {
        return Err(StepError::trouble(format!("{attempt} cannot be judged: {}", attempt.verdict)).into());
    }
    Err(StepError::requirement(format!("expected {accepted} from {attempt}, saw {}", attempt.verdict)).into())
}

#[then("it was OPEN for the platform itself just before and just after")]
async fn well_formed(world: &mut World) -> StepResult {
    let Managed { sandwich, .. } = world.slots.require::<Managed>("an attempt")?;
    for (phase, control) in [(ControlPhase::Before, &sandwich.before), (ControlPhase::After, &sandwich.after)]
    {
        world.record(control.to_evidence(&Accepted::only(VerdictKind::Open), Some(phase)));
        let open: Attempt = control.clone();
        if open.verdict != Verdict::Open || Open::try_from(open).is_err() {
            return Err(StepError::no_control(format!(
                "the platform itself could not do it ({control} was {}), so that a refusal proves nothing",
                control.verdict
            ))
            .into());
        }
    }
    Ok(())
}
