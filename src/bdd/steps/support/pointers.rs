//! A service of one tenant that is pointed, by hand, at a pod of another.

use std::{net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use k8s_openapi::api::{
    core::v1::{Endpoints, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{
    agents,
    api::{FIELD_MANAGER, Tries, typed},
    denials::Sandwich,
    paths,
    tenants::{self, Role},
};
use crate::{
    bdd::{StepError, World},
    cluster::Cluster,
    engine::ControlPhase,
    probe::{
        Accepted, AddressKind, Attempt, Fleet, MatrixPlan, Pace, Source, Target, Transport, Verdict,
        VerdictKind,
    },
    profile::LoadedPlatform,
    tenant::{Actor, DeployedPod, Tenant, Tier},
};

/// The way to point a service at something by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The older kind, which a controller mirrors into slices.
    Endpoints,
    /// The kind that proxies read.
    Slice,
    /// A name that stands for another.
    Name,
}

impl FromStr for Means {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Ok(match words {
            "endpoints" => Self::Endpoints,
            "an endpoint slice" => Self::Slice,
            "an external name" => Self::Name,
            other => return Err(format!("`{other}` points no service anywhere")),
        })
    }
}

impl Means {
    const fn word(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Slice => "slice",
            Self::Name => "name",
        }
    }
}

/// Where the workload listens, and the service with it.
const PORT: u16 = 8080;

/// The object that points a service of that name at an address (or, for a name, at another name), with its kind.
pub fn by_hand(means: Means, service: &str, at: &str, port: u16) -> (ApiResource, Value) {
    match means {
        Means::Endpoints => (
            ApiResource::erase::<Endpoints>(&()),
            json!({
                "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": service},
                "subsets": [{
                    "addresses": [{"ip": at}],
                    "ports": [{"name": "tcp", "port": port, "protocol": "TCP"}],
                }],
            }),
        ),
        Means::Slice => {
            let family = if at.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { "IPv6" } else { "IPv4" };
            let labels = json!({
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "plimsoll.dev",
            });
            let object = json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": service, "labels": labels},
                "addressType": family,
                "endpoints": [{"addresses": [at], "conditions": {"ready": true}}],
                "ports": [{"name": "tcp", "port": port, "protocol": "TCP"}],
            });
            (ApiResource::erase::<EndpointSlice>(&()), object)
        }
        Means::Name => (
            ApiResource::erase::<Service>(&()),
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
                "spec": {"type": "ExternalName", "externalName": at},
            }),
        ),
    }
}

/// The harness itself, in the part of whoever runs the platform.
pub fn platform(cluster: &Cluster) -> Actor {
    Actor { name: "the platform".to_owned(), user: None, groups: Vec::new(), client: cluster.raw() }
}

/// The service, and what it takes to point it elsewhere.
#[derive(Debug)]
pub struct Pointing {
    means: Means,
    guest: Arc<Tenant>,
    host: Arc<Tenant>,
    service: String,
    /// What its clients dial.
    dialled: String,
    writer: Actor,
    written: Value,
    within: Duration,
}

/// Whether the pod that was pointed at answered its own tenant, before and after.
#[derive(Clone, Debug)]
pub struct Alive(Vec<(ControlPhase, Attempt)>);

impl Alive {
    /// A pod that did not answer proves nothing by its silence.
    pub fn proven(&self, world: &World) -> Result<(), StepError> {
        for (phase, attempt) in &self.0 {
            world.record(attempt.to_evidence(&Accepted::only(VerdictKind::Open), Some(*phase)));
            if attempt.verdict != Verdict::Open {
                return Err(StepError::no_control(format!(
                    "the pod that was pointed at did not answer its own tenant ({attempt} was {})",
                    attempt.verdict
                )));
            }
        }
        Ok(())
    }
}

fn api_of(tenant: &Tenant) -> Result<&DeployedPod, StepError> {
    let found = paths::workload(tenant)?.pods.iter().find(|pod| pod.tier == Tier::Api);
    found.ok_or_else(|| StepError::trouble(format!("no api runs in {}", tenant.name())))
}

impl Pointing {
    /// Makes a service of the guest's and points it at the host: by the guest's administrator or, where that is
    /// refused, by the platform itself.
    pub async fn made(
        world: &World,
        means: Means,
        guest: Arc<Tenant>,
        host: Arc<Tenant>,
    ) -> Result<Self, StepError> {
        let cluster = world.service::<Cluster>()?;
        let profile = world.service::<LoadedPlatform>()?;
        let spec = &profile.platform.spec;
        let service = format!("pointed-{:04x}-{}", world.scenario().seed() & 0xffff, means.word());
        let administrator = tenants::actor(&guest, Role::Administrator)?;
        let dialled = match means {
            Means::Name => format!("{service}.{}.svc.{}", guest.namespace(), spec.network.dns.domain),
            Means::Endpoints | Means::Slice => address_of(&cluster, &administrator, &guest, &service).await?,
        };
        let mut pointing = Self {
            means,
            service,
            dialled,
            writer: administrator,
            written: Value::Null,
            within: spec.deadlines.policy_convergence.get(),
            guest,
            host,
        };
        let host = Arc::clone(&pointing.host);
        let first = pointing.write(&host).await?;
        if first.verdict != Verdict::Open {
            pointing.writer = platform(&cluster);
            pointing.must_write(&host).await?;
        }
        Ok(pointing)
    }

    /// Who wrote it.
    pub fn writer(&self) -> &str {
        &self.writer.name
    }

    /// What was written, by kind and name.
    pub fn reference(&self) -> String {
        format!(
            "{} {}/{}",
            self.written["kind"].as_str().unwrap_or_default(),
            self.guest.namespace(),
            self.service
        )
    }

    /// What was written.
    pub const fn written(&self) -> &Value {
        &self.written
    }

    async fn write(&mut self, at: &Tenant) -> Result<Attempt, StepError> {
        let there = match self.means {
            Means::Name => paths::workload(at)?
                .service(Tier::Api)
                .ok_or_else(|| StepError::trouble(format!("{} has no service for its api", at.name())))?
                .dns
                .clone(),
            Means::Endpoints | Means::Slice => api_of(at)?.address.to_string(),
        };
        let (resource, manifest) = by_hand(self.means, &self.service, &there, PORT);
        let mut object: DynamicObject = typed(manifest.clone())?;
        self.guest.ownership().stamp(&mut object.metadata);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.writer.client.clone(), self.guest.namespace(), &resource);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let target = format!("write {} {}", resource.kind, self.service);
        self.written = manifest;
        Ok(self.writer.tries(&target, api.patch(&self.service, &params, &Patch::Apply(&object))).await)
    }

    async fn must_write(&mut self, at: &Tenant) -> Result<(), StepError> {
        let attempt = self.write(at).await?;
        if attempt.verdict == Verdict::Open {
            return Ok(());
        }
        Err(StepError::trouble(format!("could not point the service: {attempt} was {}", attempt.verdict)))
    }

    /// The service as its clients dial it; `of` is whose api shall answer.
    fn target(&self, of: &Tenant) -> Result<Target, StepError> {
        let pod = api_of(of)?;
        Ok(Target {
            place: format!("{}/{}", self.guest.name(), self.service),
            by: if self.means == Means::Name {
                AddressKind::ServiceName
            } else {
                AddressKind::ServiceAddress
            },
            transport: Transport::Tcp,
            host: self.dialled.clone(),
            port: PORT,
            expect: vec![format!("{}/{}", pod.namespace, pod.name)],
            question: None,
        })
    }

    /// Tries it while it points at the host, between two times when it points at the guest itself. That the same
    /// service carries traffic elsewhere shows that nothing but the target makes the difference.
    pub async fn tried(mut self, world: &World) -> Result<(Sandwich, Alive), StepError> {
        let (guest, host) = (Arc::clone(&self.guest), Arc::clone(&self.host));
        let pods: Vec<_> =
            paths::pods(paths::workload(&guest)?).chain(paths::pods(paths::workload(&host)?)).collect();
        let fleet = agents::fleet(world, &pods)?;
        let client = paths::source(&guest, Tier::Web)?;
        let outcome = self.between(&fleet, &client, &guest, &host).await;
        self.remove(world).await?;
        outcome
    }

    async fn between(
        &mut self,
        fleet: &Fleet,
        client: &Source,
        guest: &Tenant,
        host: &Tenant,
    ) -> Result<(Sandwich, Alive), StepError> {
        let (own, foreign) = (self.target(guest)?, self.target(host)?);
        let own_client = paths::source(host, Tier::Web)?;
        let within = self.within;
        let open = async |source: &Source, target: &Target| {
            let plan = MatrixPlan::all_pairs(vec![source.clone()], vec![target.clone()]);
            only(agents::until_open(fleet, &plan, within).await)
        };
        let listener = paths::targets(host, &[AddressKind::PodAddress])?
            .into_iter()
            .find(|target| {
                target.place.ends_with("/api") && target.port == PORT && target.transport == Transport::Tcp
            })
            .ok_or_else(|| StepError::trouble(format!("no api of {} can be tried", host.name())))?;

        let alive_before = open(&own_client, &listener).await?;
        self.must_write(guest).await?;
        let before = open(client, &own).await?;
        self.must_write(host).await?;
        // Until the proxies follow, the guest's own api still answers, which is then misrouted.
        let quick = Pace { deadline_ms: 400, attempts_ms: vec![0, 150] };
        let moved = agents::until(fleet, client, &foreign, &quick, within, |kind| {
            kind != VerdictKind::Misrouted && !kind.is_unclear()
        });
        if let Err(last) = moved.await {
            return Err(StepError::trouble(format!(
                "the service was pointed at {}, and after {within:?} {last} was still {}",
                host.name(),
                last.verdict
            )));
        }
        let plan = MatrixPlan::all_pairs(vec![client.clone()], vec![foreign]);
        let attempt = only(agents::until_judged(fleet, &plan, within).await)?
            .variant(format!("pointed at the api of {}", host.name()));
        self.must_write(guest).await?;
        let after = open(client, &own).await?;
        let alive_after = open(&own_client, &listener).await?;
        let alive = Alive(vec![(ControlPhase::Before, alive_before), (ControlPhase::After, alive_after)]);
        Ok((Sandwich { before, attempt, after }, alive))
    }

    /// Takes the service away again: it counts against the quota of a tenant that others share.
    async fn remove(&self, world: &World) -> Result<(), StepError> {
        let cluster = world.service::<Cluster>()?;
        let (resource, _) = by_hand(self.means, &self.service, "", PORT);
        let platform = cluster.client();
        for resource in [resource, ApiResource::erase::<Service>(&())] {
            let api: Api<DynamicObject> =
                Api::namespaced_with(platform.clone(), self.guest.namespace(), &resource);
            match api.delete(&self.service, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => {
                    let doing = format!("remove {} {}", resource.kind, self.service);
                    return Err(cluster.error(doing, error).into());
                }
            }
        }
        Ok(())
    }
}

/// Makes the service, which selects nothing, and returns its address.
async fn address_of(
    cluster: &Cluster,
    administrator: &Actor,
    tenant: &Tenant,
    name: &str,
) -> Result<String, StepError> {
    let mut service: Service = typed(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"name": "tcp", "port": PORT, "protocol": "TCP"}]},
    }))?;
    tenant.ownership().stamp(&mut service.metadata);
    let made = administrator
        .api::<Service>(tenant.namespace())
        .create(&kube::api::PostParams::default(), &service)
        .await
        .map_err(|error| cluster.error(format!("create service {}/{name}", tenant.namespace()), error))?;
    made.spec
        .and_then(|spec| spec.cluster_ip)
        .ok_or_else(|| StepError::trouble(format!("service {}/{name} has no address", tenant.namespace())))
}

fn only(result: crate::probe::MatrixResult) -> Result<Attempt, StepError> {
    let attempt = result.iter().next().map(|entry| entry.attempt());
    attempt.ok_or_else(|| StepError::trouble("nothing was tried"))
}
