//! The tenants of a run: onboarded once, shared, removed at the end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ResourceQuota, ServiceAccount};
use kube::Api;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::adapter::{self, Case, Lender};
use super::handle::fill;
use super::placement::Placement;
use super::removal::{CloseReport, Removal};
use super::{Actor, Newcomer, PoolSettings, Tenant, TenantError, TenantSpec, Workload, control, workload};
use crate::cluster::{self, Cluster, ImageDelivery, Ownership};
use crate::engine::{Event, Notes, TenantRole, waiting_for};
use crate::profile::{Identity, Onboarding};

/// A tenant by its cell: whoever comes first onboards, the others wait for the same result.
type Cell = Arc<OnceCell<Result<Arc<Tenant>, TenantError>>>;

/// The tenants of a run. Cheap to clone.
#[derive(Clone)]
pub struct TenantPool {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) cluster: Cluster,
    pub(super) settings: PoolSettings,
    ownership: Ownership,
    state: Mutex<State>,
    placement: OnceCell<Placement>,
    delivery: OnceCell<ImageDelivery>,
    onboarding: Semaphore,
    closed: AtomicBool,
    /// What brings tenants in, and what ends all of it.
    tasks: TaskTracker,
    abandoned: CancellationToken,
}

#[derive(Default)]
struct State {
    shared: HashMap<(String, TenantRole), Entry>,
    exclusive: Vec<Cell>,
    serial: BTreeMap<String, usize>,
    lender: Lender,
}

#[derive(Clone, Default)]
struct Entry {
    cell: Cell,
    leases: Arc<AtomicUsize>,
}

impl fmt::Debug for TenantPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPool").field("run", &self.inner.settings.run).finish_non_exhaustive()
    }
}

/// A tenant on loan. Dropping it gives the tenant back; the pool removes it at the end of the run.
#[derive(Debug)]
pub struct TenantLease {
    tenant: Arc<Tenant>,
    leases: Arc<AtomicUsize>,
    exclusive: bool,
}

impl TenantLease {
    /// The tenant, to be kept as long as the lease.
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    /// Whether it is this scenario's alone.
    pub const fn is_exclusive(&self) -> bool {
        self.exclusive
    }
}

impl Deref for TenantLease {
    type Target = Tenant;

    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

impl Drop for TenantLease {
    fn drop(&mut self) {
        self.leases.fetch_sub(1, Ordering::AcqRel);
    }
}

impl TenantPool {
    /// A pool without tenants.
    pub fn new(cluster: Cluster, settings: PoolSettings) -> Self {
        let ownership = Ownership::of_run(settings.run.clone(), settings.lifetime);
        let onboarding = Semaphore::new(settings.parallel.max(1));
        let inner = Inner {
            cluster,
            settings,
            ownership,
            state: Mutex::default(),
            placement: OnceCell::new(),
            delivery: OnceCell::new(),
            onboarding,
            closed: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            abandoned: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.inner.cluster
    }

    /// The run's id, profile and image.
    pub fn settings(&self) -> &PoolSettings {
        &self.inner.settings
    }

    /// Labels and annotations of the run, for what belongs to no tenant.
    pub fn ownership(&self) -> &Ownership {
        &self.inner.ownership
    }

    /// A tenant for a scenario: onboarded now if nobody asked before, else shared. The work itself is a task of
    /// the pool's, so that a scenario that is cut off leaves no tenant half-made and spoils it for nobody.
    pub async fn acquire(&self, spec: TenantSpec) -> Result<TenantLease, TenantError> {
        let (entry, id_suffix) = self.entry(&spec);
        entry.leases.fetch_add(1, Ordering::AcqRel);
        let guard = LeaseCount(Arc::clone(&entry.leases));

        let pool = self.clone();
        let task_spec = spec.clone();
        let cell = Arc::clone(&entry.cell);
        // The task is no part of the scenario, but what it waits for is what the scenario waits for.
        let notes = Notes::current().unwrap_or_default();
        let _waiting = waiting_for(format!("tenant {} to be usable", spec.name));
        let brought_in = async move {
            let bring = async {
                let onboard = || Box::pin(pool.onboard(&task_spec, id_suffix));
                let tenant = cell.get_or_init(onboard).await.clone()?;
                if task_spec.workload == Workload::ThreeTier {
                    tenant.workload.get_or_init(|| pool.deploy(&tenant)).await.clone()?;
                }
                Ok(tenant)
            };
            let closed = || Err(TenantError::Closed { tenant: task_spec.name.clone() });
            pool.inner.abandoned.run_until_cancelled(bring).await.unwrap_or_else(closed)
        };
        let task = self.inner.tasks.spawn(notes.scope(brought_in));
        let tenant = task.await.map_err(|error| TenantError::TooSlow {
            tenant: spec.name.clone(),
            within: Duration::ZERO,
            last: format!("its task ended: {error}"),
        })??;
        let leases = guard.into_inner();
        Ok(TenantLease { tenant, leases, exclusive: spec.exclusive })
    }

    /// Many tenants at one time.
    pub async fn acquire_all(
        &self,
        specs: impl IntoIterator<Item = TenantSpec>,
    ) -> Result<Vec<TenantLease>, TenantError> {
        futures::future::try_join_all(specs.into_iter().map(|spec| self.acquire(spec))).await
    }

    /// How many scenarios hold a shared tenant.
    pub fn leases(&self, name: &str, role: TenantRole) -> usize {
        self.state()
            .shared
            .get(&(name.to_owned(), role))
            .map_or(0, |entry| entry.leases.load(Ordering::Acquire))
    }

    /// Removes a tenant of a scenario's own at once, and waits until nothing is left of it.
    pub async fn offboard(&self, lease: TenantLease) -> Result<Removal, TenantError> {
        let tenant = Arc::clone(&lease.tenant);
        drop(lease);
        {
            let mut state = self.state();
            state.exclusive.retain(|cell| !holds(cell, &tenant));
            state.shared.retain(|_, entry| !holds(&entry.cell, &tenant));
        }
        let within = self.inner.settings.platform.platform.spec.deadlines.namespace_removed.get();
        self.remove(&tenant, within).await
    }

    /// Removes every tenant, all at one time, and waits until nothing is left or the time is up. Nothing can be
    /// acquired afterwards.
    pub async fn close(&self, within: Duration) -> CloseReport {
        self.inner.closed.store(true, Ordering::Release);
        let cells: Vec<Cell> = {
            let mut state = self.state();
            let shared = std::mem::take(&mut state.shared).into_values().map(|entry| entry.cell);
            shared.chain(std::mem::take(&mut state.exclusive)).collect()
        };
        // A tenant that is just being onboarded is waited for: it could not be removed by halves, and what is
        // not yet begun ends here.
        let deadline = Instant::now() + within;
        let settled = cells.iter().map(|cell| async {
            let closed = || async { Err(TenantError::Closed { tenant: String::new() }) };
            let tenant = tokio::time::timeout_at(deadline, cell.get_or_init(closed)).await;
            tenant.ok()?.as_ref().ok().map(Arc::clone)
        });
        let tenants: Vec<Arc<Tenant>> =
            futures::future::join_all(settled).await.into_iter().flatten().collect();
        let parallel = self.inner.settings.parallel.max(1);
        let mut removals = futures::stream::iter(tenants)
            .map(|tenant| async move {
                self.end_workload(&tenant).await;
                let removal = self.remove(&tenant, within).await;
                (tenant, removal)
            })
            .buffer_unordered(parallel);
        let mut report = CloseReport::default();
        while let Some((tenant, removal)) = removals.next().await {
            match removal {
                Ok(removal) => {
                    report.leftovers.extend(removal.leftovers.iter().cloned());
                    report.removed.push(removal);
                }
                Err(error) => {
                    for namespace in tenant.namespaces() {
                        report.leftovers.push((format!("v1/Namespace {namespace}"), error.to_string()));
                    }
                }
            }
        }
        drop(removals);
        report.removed.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        report.leftovers.sort();
        report
    }

    /// Leaves everything as it stands and makes nothing more: what was being brought in ends where it is. Once this
    /// has returned no tenant becomes ready any more, so that what the journal says of them is all there is.
    pub async fn abandon(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.abandoned.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, spec: &TenantSpec) -> (Entry, Option<usize>) {
        let mut state = self.state();
        if spec.exclusive {
            let serial = state.serial.entry(spec.name.clone()).or_default();
            *serial += 1;
            let serial = *serial;
            let entry = Entry::default();
            state.exclusive.push(Arc::clone(&entry.cell));
            (entry, Some(serial))
        } else {
            (state.shared.entry((spec.name.clone(), spec.role)).or_default().clone(), None)
        }
    }

    async fn onboard(&self, spec: &TenantSpec, serial: Option<usize>) -> Result<Arc<Tenant>, TenantError> {
        if self.inner.closed.load(Ordering::Acquire) {
            return Err(TenantError::Closed { tenant: spec.name.clone() });
        }
        let _permit = self.inner.onboarding.acquire().await;
        let within = self.inner.settings.platform.platform.spec.deadlines.tenant_ready.get();
        match tokio::time::timeout(within, Box::pin(self.onboard_now(spec, serial))).await {
            Ok(result) => result,
            Err(_) => Err(TenantError::TooSlow {
                tenant: spec.name.clone(),
                within,
                last: "the onboarding path had not ended".to_owned(),
            }),
        }
    }

    async fn onboard_now(
        &self,
        spec: &TenantSpec,
        serial: Option<usize>,
    ) -> Result<Arc<Tenant>, TenantError> {
        let settings = &self.inner.settings;
        let tenancy = &settings.platform.platform.spec.tenancy;
        let control = spec.role == TenantRole::Control;
        let existing = match (&tenancy.onboarding, control) {
            (Onboarding::Existing(adapter), false) => {
                Some(self.state().lender.lend(adapter, &spec.name)?.clone())
            }
            _ => None,
        };
        let own_id = || match serial {
            Some(serial) => format!("plim-{}-{}-{serial}", settings.run, spec.name),
            // In front, since what follows a tenant's id is taken for somebody or something of its own.
            None if control => format!("plim-{}-control-{}", settings.run, spec.name),
            None => format!("plim-{}-{}", settings.run, spec.name),
        };
        let id = existing.as_ref().map_or_else(own_id, |tenant| tenant.name.clone());
        let placeholders = BTreeMap::from([
            ("tenant".to_owned(), id.clone()),
            ("name".to_owned(), spec.name.clone()),
            ("run".to_owned(), settings.run.to_string()),
        ]);
        let namespaces: Vec<String> = match &existing {
            _ if control => vec![id.clone()],
            Some(tenant) if !tenant.namespaces.is_empty() => tenant.namespaces.clone(),
            _ => tenancy.namespaces.iter().map(|pattern| fill(pattern, &placeholders)).collect(),
        };
        let ownership = self.inner.ownership.of_tenant(id.clone());
        let adapter_name = if control { "control" } else { tenancy.onboarding.name() };
        let case = Case {
            cluster: &self.inner.cluster,
            settings,
            name: &spec.name,
            id: &id,
            namespaces: &namespaces,
            placeholders: &placeholders,
            ownership: &ownership,
        };

        let started = Instant::now();
        let brought_in = async {
            if control {
                for namespace in &namespaces {
                    control::create(&self.inner.cluster, &ownership, namespace).await?;
                }
            } else {
                adapter::onboard(&case).await?;
            }
            let (admin, viewer) = if control {
                (self.harness(), Some(self.harness()))
            } else {
                let identities = &tenancy.identities;
                let viewer = match &identities.viewer {
                    Some(identity) => Some(self.actor(identity, &placeholders).await?),
                    None => None,
                };
                (self.actor(&identities.admin, &placeholders).await?, viewer)
            };
            for namespace in &namespaces {
                Box::pin(self.settle(&spec.name, namespace, &admin, control)).await?;
            }
            if let (Some(inspector), false) = (&settings.inspector, control) {
                let newcomer = Newcomer {
                    name: spec.name.clone(),
                    namespaces: namespaces.clone(),
                    placeholders: placeholders.clone(),
                };
                let seen = inspector.look(&self.inner.cluster, newcomer).await;
                seen.map_err(|missing| TenantError::NotOnboarded {
                    tenant: spec.name.clone(),
                    adapter: adapter_name,
                    missing,
                })?;
            }
            Ok((admin, viewer))
        }
        .await;
        let (admin, viewer) = match brought_in {
            Ok(actors) => actors,
            Err(error) => {
                // Half a tenant is nobody's: ask for its removal at once; `cleanup` finds what resists.
                if existing.is_none() {
                    let _ = self.ask_for_removal(&case, control).await;
                }
                return Err(error);
            }
        };
        let onboarding = if existing.is_some() { Duration::ZERO } else { started.elapsed() };

        self.inner.settings.events.emit(Event::TenantReady {
            name: spec.name.clone(),
            role: spec.role,
            namespaces: namespaces.clone(),
            adapter: adapter_name.to_owned(),
            took_ms: millis(onboarding),
        });
        Ok(Arc::new(Tenant {
            name: spec.name.clone(),
            id: id.clone(),
            role: spec.role,
            adapter: adapter_name,
            namespaces: namespaces.clone(),
            admin,
            viewer,
            ownership: ownership.clone(),
            placeholders: placeholders.clone(),
            onboarding,
            cluster: self.inner.cluster.clone(),
            workload: OnceCell::new(),
        }))
    }

    /// The harness itself, as an actor of a control tenant.
    fn harness(&self) -> Actor {
        Actor {
            name: "the harness".to_owned(),
            user: None,
            groups: Vec::new(),
            client: self.inner.cluster.raw(),
        }
    }

    async fn actor(
        &self,
        identity: &Identity,
        placeholders: &BTreeMap<String, String>,
    ) -> Result<Actor, TenantError> {
        let doing = || TenantError::cluster("act as a role of the tenant");
        match identity {
            Identity::Impersonate(who) => {
                let mut who = who.clone();
                who.user = fill(&who.user, placeholders);
                who.groups = who.groups.iter().map(|group| fill(group, placeholders)).collect();
                let client = self.inner.cluster.impersonate(&who).map_err(doing())?;
                Ok(Actor { name: who.user.clone(), user: Some(who.user), groups: who.groups, client })
            }
            Identity::Kubeconfig(who) => {
                let directory = &self.inner.settings.platform.directory;
                let file = who.file.as_ref().map(|file| directory.join(fill(file, placeholders)));
                let context = fill(&who.context, placeholders);
                let client = cluster::identity_client(&self.inner.cluster, file.as_deref(), &context)
                    .await
                    .map_err(doing())?;
                Ok(Actor { name: context, user: None, groups: Vec::new(), client })
            }
        }
    }

    /// Waits until a namespace can be used: its default service account is there (pods are refused without),
    /// each quota has been counted once (creates are refused until then), and the admin's rights are acted upon.
    async fn settle(
        &self,
        tenant: &str,
        namespace: &str,
        admin: &Actor,
        control: bool,
    ) -> Result<(), TenantError> {
        let deadlines = &self.inner.settings.platform.platform.spec.deadlines;
        let cluster = &self.inner.cluster;
        let doing = || TenantError::cluster(format!("onboard tenant {tenant}"));
        let account_there = format!("the default service account of {namespace}");
        let quotas_counted = format!("the quotas of {namespace} to be counted");
        let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
        let account = cluster::wait_for(
            cluster,
            accounts,
            "default",
            &account_there,
            deadlines.tenant_ready.get(),
            |account| account.is_some(),
            |_| "it is not there; the service account controller makes it".to_owned(),
        );
        let quotas: Api<ResourceQuota> = Api::namespaced(cluster.client(), namespace);
        let quotas = cluster::wait_all(
            cluster,
            quotas,
            &quotas_counted,
            deadlines.quota_settled.get(),
            |quota| quota.status.as_ref().is_some_and(|status| status.used.is_some()),
            |quota| format!("quota {} has not been counted", quota.metadata.name.clone().unwrap_or_default()),
        );
        let rights = async {
            // Where the role does not promise it (a platform on which only a pipeline deploys), it is no sign.
            let rights = self.inner.settings.platform.platform.spec.rights.as_ref();
            let a_sign = rights
                .is_none_or(|rights| rights.admin.own.iter().any(|rule| rule.grants("", "pods", "create")));
            if control || !a_sign {
                return Ok(());
            }
            cluster::wait_allowed(cluster, &admin.client, namespace, deadlines.rights_convergence.get()).await
        };
        futures::try_join!(async { account.await.map(drop) }, quotas, rights).map_err(doing())?;
        Ok(())
    }

    async fn deploy(&self, tenant: &Arc<Tenant>) -> Result<Arc<workload::Deployed>, TenantError> {
        let placement = self.placement().await?;
        let delivery = self.delivery().await?;
        workload::deploy(tenant, &self.inner.settings, placement, delivery).await.map(Arc::new)
    }

    /// Which tier goes to which node.
    pub(super) async fn placement(&self) -> Result<&Placement, TenantError> {
        self.inner
            .placement
            .get_or_try_init(|| async {
                let nodes = self.inner.cluster.nodes().await.map_err(TenantError::cluster("choose nodes"))?;
                Placement::choose(&nodes)
            })
            .await
    }

    /// Brings the agent's image to the nodes, once.
    pub async fn delivery(&self) -> Result<ImageDelivery, TenantError> {
        self.inner
            .delivery
            .get_or_try_init(|| async {
                let provider = self.inner.cluster.provider();
                match &self.inner.settings.image.archive {
                    Some(archive) if provider.loads_images() => {
                        let doing = TenantError::cluster("bring the agent's image to the nodes");
                        provider.load_image(archive).await.map_err(doing)
                    }
                    _ => Ok(ImageDelivery::ByReference),
                }
            })
            .await
            .copied()
    }
}

/// Gives a lease back if its holder is cut off while it waits.
struct LeaseCount(Arc<AtomicUsize>);

impl LeaseCount {
    fn into_inner(self) -> Arc<AtomicUsize> {
        let leases = Arc::clone(&self.0);
        // The lease that is made of it will count down in its place.
        leases.fetch_add(1, Ordering::AcqRel);
        leases
    }
}

impl Drop for LeaseCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn holds(cell: &Cell, tenant: &Arc<Tenant>) -> bool {
    matches!(cell.get(), Some(Ok(held)) if Arc::ptr_eq(held, tenant))
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
