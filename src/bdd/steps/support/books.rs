//! The books of a quota: what a cluster says is used, read when it has counted.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::pin::pin;
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
/// How long something must have stood before it is removed.
const HEARD: Duration = Duration::from_secs(1);

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
    /// removal of anything that the quota counts and a round of every five minutes do (`resource_quota_controller.go`,
    /// `UpdateFunc` and `--resource-quota-sync-period`). So something else is removed where it takes long.
    async fn used_when(
        &self,
        what: &str,
        holds: impl Fn(&BTreeMap<String, String>) -> bool,
    ) -> Result<Option<BTreeMap<String, String>>, StepError> {
        let begun = Instant::now();
        let mut nudges = self.counts_config_maps();
        let mut watching = pin!(self.watch(what, self.within, holds));
        loop {
            let came = tokio::select! {
                came = &mut watching => came,
                () = tokio::time::sleep(NUDGE_AFTER), if nudges => {
                    nudges = self.nudge().await;
                    continue;
                }
            };
            return match came {
                Ok(used) => Ok(Some(used)),
                Err(ClusterError::Wait(_)) if begun.elapsed() >= self.within => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// What is used once the cluster has counted at all.
    pub async fn used(&self) -> Result<BTreeMap<String, String>, StepError> {
        self.watch("be counted", self.within, |used| !used.is_empty()).await.map_err(StepError::from)
    }

    /// What is used once it is what there is: what came before may not have been counted to its end. Books that say less
    /// than there is to the end are for the steps to judge; nothing can be said of what is given back to such as say more.
    pub async fn right(&self) -> Result<BTreeMap<String, String>, StepError> {
        let begun = Instant::now();
        let mut nudges = self.counts_config_maps();
        loop {
            let used = self.used().await?;
            let there = self.there().await?;
            let too_much = match compare(&used, &there) {
                Ordering::Equal => return Ok(used),
                Ordering::Less if begun.elapsed() >= NUDGE_AFTER => return Ok(used),
                other => other == Ordering::Greater,
            };
            if begun.elapsed() >= self.within {
                let message = format!("the quota of {} counts more than there is", self.namespace);
                let details = [format!("used {used:?}"), format!("there {there:?}")];
                return Err(StepError::trouble(message).details(details));
            }
            let differs = |now: &BTreeMap<String, String>| *now != used;
            // An error is looked at anew: one that lasts shows there.
            if self.watch("count what there is", NUDGE_AFTER, differs).await.is_err() && too_much && nudges {
                nudges = self.nudge().await;
            }
        }
    }

    fn counts_config_maps(&self) -> bool {
        self.promised.keys().any(|key| key == "configmaps" || key == "count/configmaps")
    }

    /// Makes the cluster count again, by making and removing something that the quota counts as well. Says whether that
    /// can be done: it is the tenant's own doing, and a platform may refuse it.
    async fn nudge(&self) -> bool {
        let name = "plimsoll-count-again";
        let api: Api<ConfigMap> = Api::namespaced(self.actor.client.clone(), self.namespace);
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let object = ConfigMap { metadata, ..ConfigMap::default() };
        let before = self.used().await.unwrap_or_default();
        let made = async {
            match api.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                made => drop(made?),
            }
            // As far as can be seen from here, the controller has heard of it then.
            let _ = self.watch("count one more", HEARD, |used| *used != before).await;
            match api.delete(name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                gone => gone.map(drop),
            }
        };
        let made: Result<(), kube::Error> = made.await;
        let events = &self.world.run().events;
        let quota = format!("the quota of {} was not counted again in time", self.namespace);
        match &made {
            Ok(()) => events.warn(format!("{quota}: something else was made and removed there")),
            Err(error) => events.warn(format!("{quota}, and nothing else can be removed there: {error}")),
        }
        made.is_ok()
    }

    /// How many objects there are of each kind that the quota counts.
    async fn there(&self) -> Result<BTreeMap<&'static str, usize>, StepError> {
        let all = ListParams::default();
        let client = self.cluster.client();
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

/// Whether the books say more than there is of anything, or else less, or exactly what there is. What they do not count
/// does not matter.
fn compare(used: &BTreeMap<String, String>, there: &BTreeMap<&'static str, usize>) -> Ordering {
    let counted = there.iter().filter_map(|(key, there)| {
        let used: usize = used.get(*key)?.parse().ok()?;
        Some(used.cmp(there))
    });
    counted.fold(Ordering::Equal, |all, one| match (all, one) {
        (Ordering::Greater, _) | (_, Ordering::Greater) => Ordering::Greater,
        (Ordering::Less, _) | (_, Ordering::Less) => Ordering::Less,
        (Ordering::Equal, Ordering::Equal) => Ordering::Equal,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_that_say_more_than_there_is_are_told_from_such_as_say_less() {
        let used = |pods: &str, services: &str| {
            BTreeMap::from([
                ("pods".to_owned(), pods.to_owned()),
                ("services".to_owned(), services.to_owned()),
            ])
        };
        let there = BTreeMap::from([("pods", 9), ("services", 6), ("persistentvolumeclaims", 1)]);
        for (pods, services, expected) in [
            ("9", "6", Ordering::Equal),
            ("10", "6", Ordering::Greater),
            ("10", "0", Ordering::Greater),
            ("0", "7", Ordering::Greater),
            ("0", "6", Ordering::Less),
        ] {
            assert_eq!(compare(&used(pods, services), &there), expected, "{pods} pods, {services} services");
        }
        assert_eq!(compare(&BTreeMap::new(), &there), Ordering::Equal);
    }
}
