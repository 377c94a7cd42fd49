//! What is to be done about the volumes of a node: a pure decision.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{
    LocalVolumeSource, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ObjectReference,
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, VolumeNodeAffinity,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

/// What storage classes name in `provisioner`.
pub const PROVISIONER: &str = "plimsoll.dev/local";

/// The scheduler's choice, on a claim.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who has made a volume, on the volume.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Parameter of a class: where a volume lies below the node's directory of volumes. `${volume}`, the default, is the
/// volume's own name and so never the same twice; `${namespace}` and `${claim}` are the claim's.
const PATH_PATTERN: &str = "pathPattern";
/// Parameter of a class: what becomes of a directory whose volume goes, `delete` (the default) or `keep`.
const ON_DELETE: &str = "onDelete";

/// What a node's provisioner knows.
#[derive(Debug)]
pub struct View<'a> {
    /// The node.
    pub node: &'a str,
    /// Its directory of volumes.
    pub root: &'a Path,
    /// All storage classes.
    pub classes: &'a [StorageClass],
    /// All claims.
    pub claims: &'a [PersistentVolumeClaim],
    /// All volumes.
    pub volumes: &'a [PersistentVolume],
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make a directory, then tell of the volume.
    Make {
        /// The directory.
        directory: PathBuf,
        /// The volume.
        volume: Box<PersistentVolume>,
    },
    /// Remove the directory, if it is to go, then the volume.
    Remove {
        /// The directory, with all that is in it.
        directory: Option<PathBuf>,
        /// The volume's name.
        volume: String,
    },
}

/// Everything that is to be done now.
pub fn plan(view: &View<'_>) -> Vec<Action> {
    let make = view.claims.iter().filter_map(|claim| provision(view, claim));
    let remove = view.volumes.iter().filter_map(|volume| reclaim(view, volume));
    make.chain(remove).collect()
}

fn class_of<'a>(view: &View<'a>, name: Option<&String>) -> Option<&'a StorageClass> {
    view.classes.iter().find(|class| class.metadata.name.as_ref() == name && class.provisioner == PROVISIONER)
}

fn parameter<'a>(class: &'a StorageClass, name: &str) -> Option<&'a str> {
    class.parameters.as_ref()?.get(name).map(String::as_str)
}

fn provision(view: &View<'_>, claim: &PersistentVolumeClaim) -> Option<Action> {
    let spec = claim.spec.as_ref()?;
    let class = class_of(view, spec.storage_class_name.as_ref())?;
    let chosen = claim.annotations().get(SELECTED_NODE)? == view.node;
    let waiting = spec.volume_name.is_none() && claim.metadata.deletion_timestamp.is_none();
    let files = spec.volume_mode.as_deref().unwrap_or("Filesystem") == "Filesystem";
    if !chosen || !waiting || !files || spec.selector.is_some() {
        return None;
    }
    let name = format!("pvc-{}", claim.uid()?);
    if view.volumes.iter().any(|volume| volume.name_any() == name) {
        return None;
    }
    let pattern = parameter(class, PATH_PATTERN).unwrap_or("${volume}");
    let directory = below(
        view.root,
        &pattern
            .replace("${volume}", &name)
            .replace("${namespace}", &claim.namespace()?)
            .replace("${claim}", &claim.name_any()),
    )?;
    let volume = PersistentVolume {
        metadata: ObjectMeta {
            name: Some(name),
            annotations: Some(BTreeMap::from([(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            capacity: spec.resources.as_ref()?.requests.clone(),
            access_modes: spec.access_modes.clone(),
            persistent_volume_reclaim_policy: Some(
                class.reclaim_policy.clone().unwrap_or_else(|| "Delete".to_owned()),
            ),
            storage_class_name: spec.storage_class_name.clone(),
            volume_mode: Some("Filesystem".to_owned()),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: claim.namespace(),
                name: Some(claim.name_any()),
                uid: claim.uid(),
                ..ObjectReference::default()
            }),
            local: Some(LocalVolumeSource { path: directory.display().to_string(), fs_type: None }),
            node_affinity: Some(on_node(view.node)),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    };
    Some(Action::Make { directory, volume: Box::new(volume) })
}

fn on_node(node: &str) -> VolumeNodeAffinity {
    VolumeNodeAffinity {
        required: Some(NodeSelector {
            node_selector_terms: vec![NodeSelectorTerm {
                match_expressions: Some(vec![NodeSelectorRequirement {
                    key: HOSTNAME.to_owned(),
                    operator: "In".to_owned(),
                    values: Some(vec![node.to_owned()]),
                }]),
                match_fields: None,
            }],
        }),
    }
}

/// A directory below the root; none where the path would lead out of it, or is the root itself.
fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let relative = Path::new(path);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (inside && relative.components().next().is_some()).then(|| root.join(relative))
}

fn reclaim(view: &View<'_>, volume: &PersistentVolume) -> Option<Action> {
    let spec = volume.spec.as_ref()?;
    let ours = volume.annotations().get(PROVISIONED_BY).is_some_and(|by| by == PROVISIONER)
        && spec.node_affinity.as_ref() == Some(&on_node(view.node));
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    let goes = spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete");
    if !ours || !released || !goes || volume.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let keep = class_of(view, spec.storage_class_name.as_ref())
        .and_then(|class| parameter(class, ON_DELETE))
        .is_some_and(|what| what == "keep");
    // Whoever may write volumes may write any path into one: what lies elsewhere is not ours to remove.
    let directory = spec.local.as_ref().and_then(|local| {
        let relative = Path::new(&local.path).strip_prefix(view.root).ok()?;
        below(view.root, relative.to_str()?)
    });
    Some(Action::Remove { directory: directory.filter(|_| !keep), volume: volume.name_any() })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NODE: &str = "node-1";

    fn class(extra: Value) -> StorageClass {
        let mut class =
            json!({"metadata": {"name": "local"}, "provisioner": PROVISIONER, "reclaimPolicy": "Delete"});
        for (key, value) in extra.as_object().unwrap() {
            class[key] = value.clone();
        }
        serde_json::from_value(class).unwrap()
    }

    fn claim(node: Option<&str>) -> PersistentVolumeClaim {
        let annotations = node.map(|node| json!({SELECTED_NODE: node}));
        serde_json::from_value(json!({
            "metadata": {"name": "data", "namespace": "alpha", "uid": "u-1", "annotations": annotations},
            "spec": {
                "storageClassName": "local", "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Mi"}},
            },
        }))
        .unwrap()
    }

    fn decide(
        class: &StorageClass,
        claims: &[PersistentVolumeClaim],
        volumes: &[PersistentVolume],
    ) -> Vec<Action> {
        plan(&View {
            node: NODE,
            root: Path::new("/volumes"),
            classes: std::slice::from_ref(class),
            claims,
            volumes,
        })
    }

    /// The volume that is made for a claim, in a phase.
    fn made(class: &StorageClass, phase: &str) -> PersistentVolume {
        let actions = decide(class, &[claim(Some(NODE))], &[]);
        let [Action::Make { volume, .. }] = actions.as_slice() else { panic!("{actions:?}") };
        let mut volume = volume.clone();
        volume.status = serde_json::from_value(json!({"phase": phase})).unwrap();
        *volume
    }

    #[test]
    fn a_claim_is_served_on_the_node_that_was_chosen_and_once() {
        let class = class(json!({}));
        let actions = decide(&class, &[claim(Some(NODE))], &[]);
        insta::assert_yaml_snapshot!(
            actions
                .iter()
                .map(|action| match action {
                    Action::Make { directory, volume } => json!({"directory": directory, "volume": volume}),
                    Action::Remove { .. } => panic!("{action:?}"),
                })
                .collect::<Vec<_>>()
        );
        assert!(decide(&class, &[claim(Some("node-2")), claim(None)], &[]).is_empty());
        assert!(decide(&class, &[claim(Some(NODE))], &[made(&class, "Available")]).is_empty());
        let mut elsewhere = class.clone();
        elsewhere.provisioner = "example.com/other".to_owned();
        assert!(decide(&elsewhere, &[claim(Some(NODE))], &[]).is_empty());
    }

    #[test]
    fn what_is_released_goes_with_its_directory_if_the_class_says_so() {
        let class = class(json!({}));
        let gone =
            Action::Remove { directory: Some("/volumes/pvc-u-1".into()), volume: "pvc-u-1".to_owned() };
        assert_eq!(decide(&class, &[], &[made(&class, "Released")]), [gone]);
        assert!(decide(&class, &[], &[made(&class, "Bound")]).is_empty());
        let kept = self::class(json!({"reclaimPolicy": "Retain"}));
        assert!(decide(&kept, &[], &[made(&kept, "Released")]).is_empty());
        let careless = self::class(json!({"parameters": {"onDelete": "keep"}}));
        let left = Action::Remove { directory: None, volume: "pvc-u-1".to_owned() };
        assert_eq!(decide(&careless, &[], &[made(&careless, "Released")]), [left]);
    }

    #[test]
    fn no_path_leads_out_of_the_directory_of_volumes() {
        let directory = |pattern: &str| {
            let class = class(json!({"parameters": {"pathPattern": pattern}}));
            decide(&class, &[claim(Some(NODE))], &[]).into_iter().next().map(|action| match action {
                Action::Make { directory, .. } => directory,
                Action::Remove { .. } => panic!("{action:?}"),
            })
        };
        assert_eq!(directory("${namespace}/${claim}"), Some("/volumes/alpha/data".into()));
        assert_eq!(directory("../${claim}"), None);
        assert_eq!(directory("/etc"), None);
        assert_eq!(directory(""), None);
        let class = class(json!({}));
        let mut forged = made(&class, "Released");
        forged.spec.as_mut().unwrap().local.as_mut().unwrap().path = "/volumes/../etc".to_owned();
        let nothing = Action::Remove { directory: None, volume: "pvc-u-1".to_owned() };
        assert_eq!(decide(&class, &[], &[forged]), [nothing]);
    }
}
