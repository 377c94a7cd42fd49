//! The books of a quota: what a cluster says is used, read when it has counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};

use crate::bdd::{StepError, World};
use crate::cluster::{Cluster, ClusterError, wait_for};
use crate::engine::waiting_for;
use crate::oracle::Quantity;
use crate::profile::LoadedPlatform;
use crate::tenant::{Actor, Tenant};

/// How long they may be behind before something else is removed.
const NUDGE_AFTER: Duration = Duration::from_secs(3);

/// The tenant's quota as the cluster keeps it.
pub struct Books<'a> {
    world: &'a World,
    actor: &'a Actor,
    cluster: &'a Cluster,
    namespace: &'a str,
    name: String,
    promised: BTreeMap<String, String>,
    /// How long the cluster may take to count.
    pub within: Duration,
}

impl<'a> Books<'a> {
    /// Those of a tenant; who acts in it can make and remove something of its own there.
    pub fn new(
        world: &'a World,
        cluster: &'a Cluster,
        profile: &LoadedPlatform,
        tenant: &'a Tenant,
        actor: &'a Actor,
    ) -> Result<Self, StepError> {
        let promise = profile.platform.spec.quota.as_ref().ok_or_else(|| {
            StepError::requirement("expected the profile to promise a quota, saw none in it")
                .hint("name it under `spec.quota` of the profile")
        })?;
        Ok(Self {
            world,
            actor,
            cluster,
            namespace: tenant.namespace(),
            name: promise.name.clone(),
            promised: promise.hard.clone(),
            within: profile.platform.spec.deadlines.quota_settled.into(),
        })
    }

    async fn watch(
        &self,
        what: &str,
        within: Duration,
        holds: impl Fn(&BTreeMap<String, String>) -> bool,
    ) -> Result<BTreeMap<String, String>, ClusterError> {
        let api: Api<ResourceQuota> = Api::namespaced(self.cluster.client(), self.namespace);
        let what = format!("quota {}/{} to {what}", self.namespace, self.name);
        let waiting = waiting_for(what.clone());
        let quota = wait_for(
            self.cluster,
            api,
            &self.name,
            &what,
            within,
            |quota| quota.is_some_and(|quota| holds(&used(quota))),
            |quota| {
                let seen = quota
                    .map_or_else(|| "no such quota".to_owned(), |quota| format!("used {:?}", used(quota)));
                waiting.saw(seen.clone());
                seen
            },
        )
        .await?;
        quota.as_ref().map(used).ok_or_else(|| ClusterError::Api {
            doing: format!("wait for {what}"),
            code: 0,
            message: "it is gone".to_owned(),
        })
    }

    /// Waits until what is used is as it was. None where the time that the profile gives passed before; whatever else
    /// ends the wait says nothing of the platform.
    pub async fn settled(
        &self,
        before: &BTreeMap<String, String>,
    ) -> Result<Option<BTreeMap<String, String>>, StepError> {
        self.used_when("be as it was", |used| used == before).await
    }

    /// Waits until what is used fulfils a condition; none where it does not within the time that the profile gives.
    ///
    /// The controller that counts reads what is used from a cache of its own. Where something is made and removed within
    /// milliseconds, it may count the removal before it has heard of what admission wrote down for the making, find that
    /// nothing has changed, and write nothing; changes of the books alone do not make it count again, only the next
    /// removal of anything and a round of every five minutes do (`resource_quota_controller.go`, `UpdateFunc` and
    /// `--resource-quota-sync-period`). So something else is removed where it takes long.
    async fn used_when(
        &self,
        what: &str,
        holds: impl Fn(&BTreeMap<String, String>) -> bool,
    ) -> Result<Option<BTreeMap<String, String>>, StepError> {
        let end = Instant::now() + self.within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let within = left.min(NUDGE_AFTER);
            let begun = Instant::now();
            match self.watch(what, within, &holds).await {
                Ok(used) => return Ok(Some(used)),
                Err(ClusterError::Wait(_)) if begun.elapsed() >= within => {
                    if left <= NUDGE_AFTER {
                        return Ok(None);
                    }
                    self.nudge().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What is used once the cluster has counted at all.
    pub async fn used(&self) -> Result<BTreeMap<String, String>, StepError> {
        self.watch("be counted", self.within, |used| !used.is_empty()).await.map_err(StepError::from)
    }

    /// What is used once it is what there is, since what came before may not have been counted to its end; what the books
    /// say all the same, where they do not come to agree.
    pub async fn right(&self) -> Result<BTreeMap<String, String>, StepError> {
        self.used().await?;
        let there = self.there().await?;
        let agrees = |used: &BTreeMap<String, String>| {
            there.iter().all(|(key, count)| used.get(*key).is_none_or(|used| used == &count.to_string()))
        };
        match self.used_when("count what there is", agrees).await? {
            Some(used) => Ok(used),
            None => self.used().await,
        }
    }

    /// Makes the cluster count again, by making and removing something that a quota counts as well.
    async fn nudge(&self) -> Result<(), StepError> {
        let name = "plimsoll-count-again";
        let trouble = |error| StepError::from(self.cluster.error(format!("make and remove {name}"), error));
        self.world.run().events.warn(format!(
            "the quota of {} was not counted again in time: something else was made and removed there",
            self.namespace
        ));
        let api: Api<ConfigMap> = Api::namespaced(self.actor.client.clone(), self.namespace);
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let object = ConfigMap { metadata, ..ConfigMap::default() };
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            made => drop(made.map_err(trouble)?),
        }
        match api.delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            gone => gone.map(drop).map_err(trouble),
        }
    }

    /// How many objects there are of each kind that the quota counts.
    async fn there(&self) -> Result<BTreeMap<&'static str, usize>, StepError> {
        let all = ListParams::default();
        let client = self.actor.client.clone();
        let pods: Api<Pod> = Api::namespaced(client.clone(), self.namespace);
        let services: Api<Service> = Api::namespaced(client.clone(), self.namespace);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client, self.namespace);
        let trouble = |error| {
            StepError::from(self.cluster.error(format!("list what there is in {}", self.namespace), error))
        };
        let (pods, services, claims) = futures::future::try_join3(
            // What has ended is not counted.
            async {
                pods.list(&all).await.map(|list| list.items.iter().filter(|pod| !has_ended(pod)).count())
            },
            async { services.list_metadata(&all).await.map(|list| list.items.len()) },
            async { claims.list_metadata(&all).await.map(|list| list.items.len()) },
        )
        .await
        .map_err(trouble)?;
        Ok([("pods", pods), ("services", services), ("persistentvolumeclaims", claims)].into())
    }

    /// The limit that is promised: what the cluster's own says is for another requirement to judge.
    pub fn limit(&self, key: &str) -> Result<Quantity, StepError> {
        let promised = self.promised.get(key).ok_or_else(|| {
            StepError::requirement(format!(
                "expected the profile to promise a limit on {key}, saw none in it"
            ))
            .hint("name it under `spec.quota.hard` of the profile")
        })?;
        promised.parse().map_err(|error| StepError::trouble_from("read the profile's quota", &error))
    }
}

fn used(quota: &ResourceQuota) -> BTreeMap<String, String> {
    let used = quota.status.as_ref().and_then(|status| status.used.clone()).unwrap_or_default();
    used.into_iter().map(|(key, amount)| (key, amount.0)).collect()
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// What is used of a key; nothing, where the cluster does not count it.
pub fn amount(of: &BTreeMap<String, String>, key: &str) -> Result<Quantity, StepError> {
    of.get(key).map_or(Ok(Quantity::ZERO), |text| {
        text.parse().map_err(|error| StepError::trouble_from("read a quota", &error))
    })
}
