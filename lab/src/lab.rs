//! A lab, as its users hold it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::configuration::{self, ConfigurationFile};
use crate::error::{Context as _, LabError, Result};
use crate::internal::{LabStatus, Request, Response, call, exchange};
use crate::issuer::{IssuerAnswer, IssuerRequest, IssuerSettings, TokenOrder};
use crate::lock::Lock;
use crate::netpol::Defect;
use crate::paths::{Home, LabName, LabPaths, create_dir};
use crate::patience::Patience;
use crate::state::{Cni, Environment, LabSpec, LabState};
use crate::{apply, credentials, down, up};

pub use crate::up::UpOptions;

/// How long a running lab may take to answer a question about itself.
const STATUS_LIMIT: Duration = Duration::from_secs(10);

/// What the names of contexts begin with.
const CONTEXT_PREFIX: &str = "plimsoll-";

/// How long an image may take to be on every node.
const IMAGE_LIMIT: Duration = Duration::from_secs(300);

/// What is known of a lab.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabReport {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub running: bool,
    /// Where its API server answers.
    pub server: Option<String>,
    /// The administrator's kubeconfig.
    pub kubeconfig: Option<PathBuf>,
    /// The Kubernetes version.
    pub kubernetes: Option<String>,
    /// What the cluster is for.
    pub environment: Option<Environment>,
    /// Its processes, as far as it answers.
    #[serde(flatten)]
    pub status: Option<LabStatus>,
    /// Why it does not answer, if it runs and does not.
    pub problem: Option<String>,
}

/// One lab of this machine, running or not.
#[derive(Debug, Clone)]
pub struct Lab {
    pub(crate) home: Home,
    pub(crate) name: LabName,
    pub(crate) paths: LabPaths,
}

impl Lab {
    /// The lab of a name, in the directories that the environment names.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self::open_in(Home::from_env()?, name.parse()?))
    }

    /// The lab of a name, in given directories.
    pub fn open_in(home: Home, name: LabName) -> Self {
        let paths = home.lab(&name);
        Self { home, name, paths }
    }

    /// The labs that run or have left files.
    pub fn all(home: &Home) -> Vec<Self> {
        home.lab_names().into_iter().map(|name| Self::open_in(home.clone(), name)).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Starts it, or makes sure that it is whole if it runs: all nodes Ready, DNS answering, the platform applied.
    pub async fn up(
        &self,
        options: UpOptions,
        progress: std::sync::Arc<dyn crate::Progress>,
    ) -> Result<LabReport> {
        up::up(self, options, progress).await?;
        self.status().await
    }

    /// Ends it and removes all that it was; gives whether there was anything.
    pub async fn down(&self) -> Result<bool> {
        let lab = self.clone();
        blocking(move || down::down(&lab)).await
    }

    /// Whether its processes are alive.
    pub fn is_running(&self) -> bool {
        LabState::read(&self.paths).ok().flatten().is_some_and(|state| state.is_running())
    }

    /// What is known of it.
    pub async fn status(&self) -> Result<LabReport> {
        let lab = self.clone();
        blocking(move || lab.report()).await
    }

    /// The administrator's kubeconfig; the file is there while the lab runs.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.paths.kubeconfig()
    }

    /// The name of the context in it.
    pub fn context(&self) -> String {
        format!("{CONTEXT_PREFIX}{}", self.name)
    }

    /// The manifests that come with the lab, among them the tenant blueprint; they are there while the lab runs.
    pub fn manifests_dir(&self) -> PathBuf {
        self.paths.manifests()
    }

    /// The record of who did what, as the API server writes it.
    pub fn audit_log(&self) -> PathBuf {
        self.paths.logs().join("audit.log")
    }

    /// The lab that a context of a kubeconfig leads to, by the context's name.
    pub fn of_context(context: &str) -> Result<Self> {
        let name = context.strip_prefix(CONTEXT_PREFIX).ok_or_else(|| {
            LabError::Usage(format!("the context \"{context}\" is not that of a lab: {CONTEXT_PREFIX}NAME"))
        })?;
        Self::open(name)
    }

    /// A token of the lab's identity provider.
    pub async fn token(&self, order: TokenOrder) -> Result<String> {
        self.ask_issuer(IssuerRequest::Token(order)).await
    }

    /// The key set that its tokens are verified by, as JSON.
    pub async fn token_keys(&self) -> Result<String> {
        self.ask_issuer(IssuerRequest::Keys).await
    }

    /// Makes the identity provider sign with a new key. The earlier ones stay published.
    pub async fn rotate_token_keys(&self) -> Result<String> {
        self.ask_issuer(IssuerRequest::Rotate).await
    }

    /// Withdraws every key of the identity provider but the newest, and tells the API server, which would not ask.
    pub async fn withdraw_token_keys(&self) -> Result<String> {
        let keys = self.ask_issuer(IssuerRequest::Withdraw).await?;
        if IssuerSettings::read(&self.paths.issuer_settings()).announce_withdrawal {
            let token = self.ask_issuer(IssuerRequest::UnknownKey).await?;
            apply::present(&self.paths.kubeconfig(), token).await?;
        }
        Ok(keys)
    }

    async fn ask_issuer(&self, request: IssuerRequest) -> Result<String> {
        let lab = self.clone();
        blocking(move || {
            if !lab.is_running() {
                return Err(LabError::NotRunning(lab.name.to_string()));
            }
            let answer: IssuerAnswer =
                exchange(&lab.paths.issuer_socket(), &request, STATUS_LIMIT * lab.patience())?;
            answer.map_err(|why| LabError::component("issuer", why))
        })
        .await
    }

    /// The text of a file of configuration.
    pub fn configuration(&self, file: ConfigurationFile) -> Result<String> {
        configuration::read(self, file)
    }

    /// Replaces files of configuration, and waits until they are in force.
    pub async fn configure(&self, files: &[(ConfigurationFile, String)]) -> Result<()> {
        configuration::put(self, files).await
    }

    /// Puts an image on every node, from an archive of `docker save`, an OCI tool or [`crate::image`].
    pub async fn load_image(&self, archive: &Path) -> Result<()> {
        if !archive.is_file() {
            return Err(LabError::Usage(format!("{} is no image archive: no such file", archive.display())));
        }
        let (lab, archive) = (self.clone(), archive.to_owned());
        blocking(move || lab.load(&archive)).await
    }

    /// As [`Lab::load_image`], from memory.
    pub async fn load_image_bytes(&self, archive: Vec<u8>) -> Result<()> {
        let lab = self.clone();
        blocking(move || {
            let file = lab.incoming()?;
            let outcome = std::fs::write(&file, archive)
                .context(|| format!("writing {}", file.display()))
                .and_then(|()| lab.send(&file));
            let _ = std::fs::remove_file(&file);
            outcome
        })
        .await
    }

    /// Breaks the policy dataplane of every node on purpose, or makes it sound again; the rules are in force afterwards.
    pub async fn plant(&self, defect: Option<Defect>) -> Result<()> {
        if !self.is_running() {
            return Err(LabError::NotRunning(self.name.to_string()));
        }
        let lab = self.clone();
        blocking(move || lab.tell(&Request::Plant { defect }, STATUS_LIMIT * 2)).await
    }

    /// What is broken on purpose in the policy dataplane.
    pub async fn planted(&self) -> Result<Option<Defect>> {
        Ok(self.status().await?.status.and_then(|status| status.planted))
    }

    /// Its parts that are not the real thing, by name: a result on a lab is worth what they are.
    pub fn stand_ins(&self) -> Vec<&'static str> {
        // A lab whose specification cannot be read is taken for one that has them all.
        let external =
            LabSpec::read(&self.paths).ok().flatten().is_some_and(|spec| spec.cni == Cni::External);
        let dataplane = (!external).then_some("NetworkPolicy dataplane (the lab's own, in nftables)");
        dataplane
            .into_iter()
            .chain([
                "cloud metadata address (the lab's control plane has it, and refuses connections)",
                "dynamic provisioner of local volumes (the lab's own)",
                "OpenID Connect issuer (the lab's own, in place of Azure AD)",
            ])
            .collect()
    }

    /// The processes that have a log.
    pub fn log_names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.paths.logs()) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".log").map(ToOwned::to_owned))
            .collect();
        names.sort();
        names
    }

    /// The log of one process.
    pub fn log_path(&self, component: &str) -> PathBuf {
        self.paths.log(component)
    }

    /// Held by the lab's supervisor as long as it lives.
    pub(crate) fn life_lock(&self) -> PathBuf {
        self.home.locks().join(format!("lab-{}.alive", self.name))
    }

    /// Serialises the commands that start or end it.
    pub(crate) fn lock(&self, progress: &dyn crate::Progress) -> Result<Lock> {
        Lock::take(&self.home.locks().join(format!("lab-{}.lock", self.name)), || {
            progress.note(&format!("waiting for another command that works on the lab \"{}\"", self.name));
        })
    }

    /// How much longer than usual its processes may take, as it was started.
    pub(crate) fn patience(&self) -> Patience {
        LabSpec::read(&self.paths).ok().flatten().map(|spec| spec.patience).unwrap_or_default()
    }

    /// Asks the running lab.
    pub(crate) fn ask(&self, request: &Request, limit: Duration) -> Result<LabStatus> {
        match call(&self.paths.socket(), request, limit * self.patience())? {
            Response::Status(status) => Ok(status),
            Response::Failed(why) => Err(LabError::component("lab", why)),
            Response::Done => Err(LabError::component("lab", "answered another question")),
        }
    }

    /// Tells the running lab to do something.
    pub(crate) fn tell(&self, request: &Request, limit: Duration) -> Result<()> {
        match call(&self.paths.socket(), request, limit)? {
            Response::Failed(why) => Err(LabError::component("lab", why)),
            Response::Done | Response::Status(_) => Ok(()),
        }
    }

    fn report(&self) -> Result<LabReport> {
        let state = LabState::read(&self.paths)?.filter(LabState::is_running);
        let mut report = LabReport {
            name: self.name.to_string(),
            running: state.is_some(),
            server: None,
            kubeconfig: None,
            kubernetes: None,
            environment: None,
            status: None,
            problem: None,
        };
        let Some(state) = state else { return Ok(report) };
        report.server = Some(format!("https://127.0.0.1:{}", state.api_port));
        report.kubeconfig = Some(self.paths.kubeconfig()).filter(|path| path.exists());
        if let Some(spec) = LabSpec::read(&self.paths)? {
            report.environment = Some(spec.environment);
            report.kubernetes = spec.kubernetes;
        }
        match self.ask(&Request::Status, STATUS_LIMIT) {
            Ok(status) => report.status = Some(status),
            Err(error) => report.problem = Some(error.to_string()),
        }
        Ok(report)
    }

    pub(crate) fn load(&self, archive: &Path) -> Result<()> {
        let file = self.incoming()?;
        let outcome = std::fs::hard_link(archive, &file)
            .or_else(|_| std::fs::copy(archive, &file).map(drop))
            .context(|| format!("copying {}", archive.display()))
            .and_then(|()| self.send(&file));
        let _ = std::fs::remove_file(&file);
        outcome
    }

    fn send(&self, archive: &Path) -> Result<()> {
        self.tell(&Request::LoadImage { archive: archive.to_owned() }, IMAGE_LIMIT * self.patience())
    }

    /// A new file where nodes see it: they see the lab's own files, and not all of the machine's.
    fn incoming(&self) -> Result<PathBuf> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !self.is_running() {
            return Err(LabError::NotRunning(self.name.to_string()));
        }
        let directory = self.paths.root().join("incoming");
        create_dir(&directory)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = directory.join(format!("{}-{number}.tar", std::process::id()));
        // Left by a killed process that had the same number.
        let _ = std::fs::remove_file(&file);
        Ok(file)
    }

    /// Writes the kubeconfig if it is not there or out of date.
    pub(crate) fn publish(&self, spec: &LabSpec, state: &LabState) -> Result<()> {
        credentials::write_admin_kubeconfig(&self.paths, spec, state)
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(LabError::component("lab", format!("a task ended early: {error}"))),
    }
}
