//! TEN-06: pods that run an image without asking its registry.

use cucumber::{then, when};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Api;
use serde_json::{Value, json};

use super::support::{
    api::{Tries, dry, typed},
    denials::{self, Sandwich, Tried},
    pods,
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, StepResult, World},
    probe::{Admitter, Attempt, Verdict},
    profile::{LoadedPlatform, glob_matches},
    tenant::Actor,
};

/// An image that nobody has and nobody ever pulls: the pods of these attempts are dry runs.
const IMAGE: &str = "registry.example.com/somebody/app:1";

const ALWAYS: &str = "Always";

/// What a pod may do instead of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, cucumber::Parameter)]
#[param(
    name = "shortcut",
    regex = "takes an image from the node if it is there|never asks for its image|has an init container that takes an image from the node"
)]
pub enum Shortcut {
    /// `IfNotPresent`
    IfNotPresent,
    /// `Never`
    Never,
    /// The same, beside containers that do ask.
    Init,
}

impl std::str::FromStr for Shortcut {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "takes an image from the node if it is there" => Self::IfNotPresent,
            "never asks for its image" => Self::Never,
            "has an init container that takes an image from the node" => Self::Init,
            other => return Err(format!("`a pod that {other}` is not known")),
        })
    }
}

impl Shortcut {
    fn applied_to(self, asking: &Value) -> Value {
        let mut pod = asking.clone();
        match self {
            Self::IfNotPresent => pod["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent"),
            Self::Never => pod["spec"]["containers"][0]["imagePullPolicy"] = json!("Never"),
            Self::Init => {
                let mut init = pod["spec"]["containers"][0].clone();
                init["name"] = json!("init");
                init["imagePullPolicy"] = json!("IfNotPresent");
                pod["spec"]["initContainers"] = json!([init]);
            }
        }
        pod
    }
}

/// The names of the containers that do not ask.
fn not_asking(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let asks = |container: &&Container| container.image_pull_policy.as_deref() != Some(ALWAYS);
    all.filter(asks).map(|container| container.name.clone()).collect()
}

/// Asks for a pod. Where the platform makes it ask the registry (the admission plugin `AlwaysPullImages`), what was
/// wanted was refused, too.
async fn ask(actor: &Actor, namespace: &str, manifest: Value) -> Result<Attempt, StepError> {
    let (api, object): (Api<Pod>, Pod) = (actor.api(namespace), typed(manifest)?);
    let wanted = not_asking(&object);
    let mut admitted = None;
    let mut attempt = actor
        .tries(&format!("create a pod in {namespace}"), async {
            admitted = Some(api.create(&dry(), &object).await?);
            Ok(())
        })
        .await;
    if attempt.verdict == Verdict::Open
        && !wanted.is_empty()
        && admitted.as_ref().is_some_and(|pod| not_asking(pod).is_empty())
    {
        let name = "that makes every pod ask its registry".to_owned();
        attempt.verdict = Verdict::AdmissionDenied { by: Admitter::Plugin { name } };
    }
    Ok(attempt)
}

#[when(expr = "its administrator asks for a pod that {shortcut}")]
async fn take_shortcut(world: &mut World, shortcut: Shortcut) -> StepResult {
    let profile = world.service::<LoadedPlatform>()?;
    let images = &profile.platform.spec.images;
    if !images.pull_always {
        return Err(StepError::capability(
            "pods of this platform need not ask for their images: `spec.images` of the profile does not promise it",
        )
        .into());
    }
    if images.except.iter().any(|pattern| glob_matches(pattern, IMAGE)) {
        return Err(
            StepError::capability(format!("`spec.images.except` of the profile covers {IMAGE}")).into()
        );
    }
    let tenant = tenants::its(world)?;
    let actor = tenants::actor(&tenant, Role::Administrator)?;
    let mut asking = pods::compliant("plimsoll-image", IMAGE);
    asking["spec"]["containers"][0]["imagePullPolicy"] = json!(ALWAYS);
    let namespace = tenant.namespace();
    let sandwich = Sandwich {
        before: ask(&actor, namespace, asking.clone()).await?,
        attempt: ask(&actor, namespace, shortcut.applied_to(&asking)).await?.variant("without asking"),
        after: ask(&actor, namespace, asking).await?,
    };
    world.slots.insert(Tried::of(vec![sandwich]));
    Ok(())
}

#[then(
    "a pod that asks its registry each time was OPEN for the same administrator just before and just after"
)]
async fn asking_open(world: &mut World) -> StepResult {
    Ok(denials::each_was_open(world)?)
}
