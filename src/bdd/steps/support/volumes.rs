//! Volumes that nobody ever mounts: which claim gets which is decided without looking at them.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Event as ClusterEvent, PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    api::{Tries, typed},
    books::Books,
    denials::Sandwich,
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, World},
    cluster::{Cluster, ClusterError, wait_for},
    probe::{Attempt, Forbidder, Verdict},
    profile::LoadedPlatform,
    tenant::Tenant,
};

/// The label by which a volume is selected.
const LABEL: &str = "plimsoll.dev/volume";
/// As much as each of them offers, and each claim asks for.
const SIZE: &str = "1Mi";

/// How a claim says which volume it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `volumeName`.
    Name,
    /// `selector`.
    Labels,
}

impl By {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Name, Self::Labels];

    const fn words(self) -> &'static str {
        match self {
            Self::Name => "its name",
            Self::Labels => "its labels",
        }
    }
}

/// A volume that is another tenant's, in one of the states in which it may be.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// What its owner has done with it.
    pub state: &'static str,
    /// Its claim and phase, as they were.
    pub before: String,
}

/// What makes, claims and removes them.
#[derive(Clone, Debug)]
pub struct Yard {
    cluster: Arc<Cluster>,
    within: Duration,
    tag: String,
}

/// A volume without storage behind it, set aside for a claim.
pub fn volume(name: &str, claim: (&str, &str)) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": {LABEL: name}},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.0, "name": claim.1},
            // A driver that nobody has: nothing is ever mounted.
            "csi": {"driver": "nowhere.plimsoll.dev", "volumeHandle": name},
        },
    })
}

fn claim(name: &str, volume: &str, by: By) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"], "storageClassName": "",
        "resources": {"requests": {"storage": SIZE}},
    });
    match by {
        By::Name => spec["volumeName"] = json!(volume),
        By::Labels => spec["selector"] = json!({"matchLabels": {LABEL: volume}}),
    }
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec,
    })
}

/// The claim and the phase of a volume, in one line.
fn state(volume: Option<&PersistentVolume>) -> String {
    let Some(volume) = volume else { return "it is not there".to_owned() };
    let phase = volume.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).map_or_else(
        || "no claim".to_owned(),
        |claim| {
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            format!("claim {}/{} {}", text(&claim.namespace), text(&claim.name), text(&claim.uid))
        },
    );
    format!("{phase}, {}", claim.trim_end())
}

fn phase_of_claim(claim: Option<&PersistentVolumeClaim>) -> String {
    claim.and_then(|claim| claim.status.as_ref()?.phase.clone()).unwrap_or_else(|| "no such claim".to_owned())
}

impl Yard {
    /// Names hold a part of the scenario's own seed.
    pub fn new(world: &World) -> Result<Self, StepError> {
        let profile = world.service::<LoadedPlatform>()?;
        Ok(Self {
            cluster: world.service::<Cluster>()?,
            within: profile.platform.spec.deadlines.volume_settled.get(),
            tag: format!("{:04x}", world.scenario().seed() & 0xffff),
        })
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.cluster.client())
    }

    fn claims(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.cluster.client(), namespace)
    }

    /// Makes a volume that is set aside for a claim of a tenant's, and waits until the cluster has seen it.
    async fn set_aside(&self, tenant: &Tenant, name: &str, claim: &str) -> Result<(), StepError> {
        let mut object: PersistentVolume = typed(volume(name, (tenant.namespace(), claim)))?;
        tenant.ownership().stamp(&mut object.metadata);
        self.volumes()
            .create(&PostParams::default(), &object)
            .await
            .map_err(|error| self.cluster.error(format!("create volume {name}"), error))?;
        self.until_phase(name, "Available").await
    }

    async fn until_phase(&self, name: &str, wanted: &str) -> Result<(), StepError> {
        let what = format!("volume {name} to be {wanted}");
        let phase =
            |volume: &PersistentVolume| volume.status.as_ref().and_then(|status| status.phase.clone());
        wait_for(
            &self.cluster,
            self.volumes(),
            name,
            &what,
            self.within,
            |volume| volume.and_then(phase).as_deref() == Some(wanted),
            state,
        )
        .await
        .map(drop)
        .map_err(StepError::from)
    }

    async fn until_bound(&self, namespace: &str, name: &str) -> Result<(), ClusterError> {
        let what = format!("claim {namespace}/{name} to be given its volume");
        wait_for(
            &self.cluster,
            self.claims(namespace),
            name,
            &what,
            self.within,
            |claim| phase_of_claim(claim) == "Bound",
            phase_of_claim,
        )
        .await
        .map(drop)
    }

    /// The volumes of the other tenant: one that it holds, one that it has given up, one that it is yet to claim.
    pub async fn foreign(&self, owner: &Tenant) -> Result<Vec<Foreign>, StepError> {
        let administrator = tenants::actor(owner, Role::Administrator)?;
        let namespace = owner.namespace();
        let mut all = Vec::new();
        for state in ["given up", "held", "yet to be claimed"] {
            let name = format!("plim-{}-{}", state.replace(' ', "-"), self.tag);
            self.set_aside(owner, &name, &name).await?;
            if state != "yet to be claimed" {
                let object: PersistentVolumeClaim = typed(claim(&name, &name, By::Name))?;
                administrator
                    .api::<PersistentVolumeClaim>(namespace)
                    .create(&PostParams::default(), &object)
                    .await
                    .map_err(|error| self.cluster.error(format!("create claim {namespace}/{name}"), error))?;
                self.until_bound(namespace, &name).await?;
            }
            if state == "given up" {
                self.remove_claim(namespace, &name).await?;
                self.until_phase(&name, "Released").await?;
            }
            all.push(Foreign { before: self.state_of(&name).await?, name, state });
        }
        Ok(all)
    }

    /// The claim and the phase of a volume, as they are now.
    pub async fn state_of(&self, name: &str) -> Result<String, StepError> {
        let found = self.volumes().get_opt(name).await;
        let found = found.map_err(|error| self.cluster.error(format!("read volume {name}"), error))?;
        Ok(state(found.as_ref()))
    }

    /// Claims a foreign volume, between two claims to volumes that are set aside for the claimant.
    pub async fn claimed(
        &self,
        world: &World,
        claimant: &Tenant,
        foreign: &Foreign,
        by: By,
        serial: usize,
    ) -> Result<Sandwich, StepError> {
        let namespace = claimant.namespace();
        let name = format!("plimsoll-claim-{serial}-{}", self.tag);
        let before = self.own(world, claimant, by, serial, "before").await?;
        let attempt = self.create_claim(world, claimant, &name, &foreign.name, by).await?;
        let after = self.own(world, claimant, by, serial, "after").await?;
        let mut attempt = attempt.variant(format!("one that is {}", foreign.state));
        if attempt.verdict == Verdict::Open {
            attempt.verdict = self.fate(namespace, &name, &foreign.name).await?;
        }
        self.remove_claim(namespace, &name).await?;
        Ok(Sandwich { before, attempt, after })
    }

    async fn create_claim(
        &self,
        world: &World,
        claimant: &Tenant,
        name: &str,
        volume: &str,
        by: By,
    ) -> Result<Attempt, StepError> {
        let administrator = tenants::actor(claimant, Role::Administrator)?;
        let object: PersistentVolumeClaim = typed(claim(name, volume, by))?;
        let api = administrator.api::<PersistentVolumeClaim>(claimant.namespace());
        let target = format!("claim a volume in {} by {}", claimant.namespace(), by.words());
        let parameters = PostParams::default();
        let create = || administrator.tries(&target, api.create(&parameters, &object));
        let attempt = create().await;
        let profile = world.service::<LoadedPlatform>()?;
        if !matches!(attempt.verdict, Verdict::QuotaExceeded { .. }) || profile.platform.spec.quota.is_none()
        {
            return Ok(attempt);
        }
        // Claims that are gone may be counted still, which says nothing of volumes: once the books are right, again.
        Books::new(world, &self.cluster, &profile, claimant, &administrator)?.right().await?;
        Ok(create().await)
    }

    /// The control: the same claim, to a volume that was meant for it. It is OPEN once it has that volume.
    async fn own(
        &self,
        world: &World,
        claimant: &Tenant,
        by: By,
        serial: usize,
        when: &str,
    ) -> Result<Attempt, StepError> {
        let name = format!("plim-own-{serial}-{when}-{}", self.tag);
        self.set_aside(claimant, &name, &name).await?;
        let mut attempt = self.create_claim(world, claimant, &name, &name, by).await?;
        if attempt.verdict == Verdict::Open {
            if let Err(error) = self.until_bound(claimant.namespace(), &name).await {
                attempt.verdict = Verdict::probe_error(error);
            }
            attempt.span.ended = crate::probe::Moment::now();
        }
        self.remove_claim(claimant.namespace(), &name).await?;
        self.remove_volume(&name).await?;
        Ok(attempt.variant("one that was set aside for it"))
    }

    /// What came of a claim that was admitted, now that a later one has been served.
    async fn fate(&self, namespace: &str, name: &str, wanted: &str) -> Result<Verdict, StepError> {
        let doing = |error| self.cluster.error(format!("read claim {namespace}/{name}"), error);
        let claim = self.claims(namespace).get(name).await.map_err(doing)?;
        let volume = self.volumes().get_opt(wanted).await.map_err(doing)?;
        let holder = volume.and_then(|volume| volume.spec?.claim_ref?.uid);
        let given = phase_of_claim(Some(&claim)) == "Bound"
            && claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()) == Some(wanted);
        if given || (holder.is_some() && holder == claim.uid()) {
            return Ok(Verdict::Open);
        }
        let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let events: Api<ClusterEvent> = Api::namespaced(self.cluster.client(), namespace);
        let told = events.list(&about).await.map_err(doing)?;
        let reason = told.items.into_iter().filter_map(|event| event.message).next_back();
        let controller = "that gives volumes to claims".to_owned();
        Ok(Verdict::Forbidden { by: Forbidder::Controller { name: controller, reason } })
    }

    async fn remove_claim(&self, namespace: &str, name: &str) -> Result<(), StepError> {
        match self.claims(namespace).delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
            Err(error) => {
                return Err(self.cluster.error(format!("remove claim {namespace}/{name}"), error).into());
            }
        }
        // It counts against the quota until it is gone.
        let what = format!("claim {namespace}/{name} to be gone");
        let gone = wait_for(
            &self.cluster,
            self.claims(namespace),
            name,
            &what,
            self.within,
            |claim| claim.is_none(),
            phase_of_claim,
        );
        gone.await.map(drop).map_err(StepError::from)
    }

    async fn remove_volume(&self, name: &str) -> Result<(), StepError> {
        match self.volumes().delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(self.cluster.error(format!("remove volume {name}"), error).into()),
        }
    }

    /// Removes the volumes of the other tenant, and its claims to them.
    pub async fn clear(&self, owner: &Tenant, foreign: &[Foreign]) -> Result<(), StepError> {
        for one in foreign {
            self.remove_claim(owner.namespace(), &one.name).await?;
            self.remove_volume(&one.name).await?;
        }
        Ok(())
    }
}
