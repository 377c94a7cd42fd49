//! A lab under test: the real command, with a state directory of its own, and an account of what it leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Directories that container programs are known to leave things in.
const USUAL_SUSPECTS: [&str; 10] = [
    "/etc/cni",
    "/opt/cni",
    "/run/cni-ipam",
    "/run/containerd",
    "/run/netns",
    "/run/plimsoll",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
];

/// Waits for a condition, and says what was waited for if it never holds.
pub fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "waited {}s for {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A lab with a name and a state directory that no other has.
pub struct TestLab {
    pub name: String,
    state: tempfile::TempDir,
    /// Held until the lab is dropped.
    turn: Option<MutexGuard<'static, ()>>,
}

/// Labs come one after the other: a small machine does not carry many.
static TURN: Mutex<()> = Mutex::new(());

impl TestLab {
    /// A lab that does not run yet, as soon as no other test has one.
    pub fn new(name: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lab = Self::beside(name);
        lab.turn = Some(turn);
        lab
    }

    /// A lab beside the one that the test already has.
    pub fn beside(name: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make real clusters out of namespaces and need root: run `sudo -E cargo test -p plimsoll-lab`"
        );
        let name = format!("{name}-{}", std::process::id());
        Self { name, state: tempfile::tempdir().unwrap(), turn: None }
    }

    /// The command, with this lab's directories.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll-lab"));
        command.args(words).env("XDG_STATE_HOME", self.state.path()).stdin(Stdio::null());
        command
    }

    /// Runs the command on this lab.
    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).args(["--name", &self.name]).output().unwrap()
    }

    /// Runs the command on this lab, and gives what it says; it must succeed.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The lab's directory.
    pub fn root(&self) -> PathBuf {
        self.state.path().join("plimsoll/lab").join(&self.name)
    }

    /// Its status, as JSON.
    pub fn status(&self) -> serde_json::Value {
        let reports: serde_json::Value = serde_json::from_str(&self.ok(&["status", "-o", "json"])).unwrap();
        reports[0].clone()
    }

    /// The process of a kind (`supervisor` or `init`), out of the lab's own record.
    pub fn process(&self, kind: &str) -> i32 {
        let state: serde_json::Value =
            serde_json::from_slice(&fs::read(self.root().join("state.json")).unwrap()).unwrap();
        state[kind]["pid"].as_i64().unwrap() as i32
    }

    /// A client of its API server.
    pub async fn client(&self) -> kube::Client {
        let file = kube::config::Kubeconfig::read_from(self.root().join("kubeconfig")).unwrap();
        let config =
            kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default()).await;
        kube::Client::try_from(config.unwrap()).unwrap()
    }

    /// Control groups of this lab.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let group = format!("plimsoll-{}", self.name);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|path| path.starts_with("/sys/fs/cgroup"))
            .map(|path| Path::new(path).join(&group))
            .filter(|path| path.exists())
            .collect()
    }

    /// Asserts that nothing of this lab is left on the machine, and nothing else has changed on it.
    pub fn assert_gone(&self, before: &Machine, namespaces: &BTreeSet<PathBuf>) {
        assert_eq!(&Machine::look(), before);
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
        assert_eq!(mentioning(&self.root().display().to_string()), BTreeMap::new());
        let alive: Vec<PathBuf> = processes().iter().filter_map(|pid| network_of(*pid)).collect();
        let left: Vec<&PathBuf> = alive.iter().filter(|namespace| namespaces.contains(*namespace)).collect();
        assert!(left.is_empty(), "network namespaces that are still in use: {left:?}");
        let files: Vec<_> =
            fs::read_dir(self.state.path()).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(files.is_empty(), "files that are left: {files:?}");
    }

    /// The network namespaces of the lab's processes.
    pub fn namespaces(&self) -> BTreeSet<PathBuf> {
        let own = network_of(std::process::id() as i32).unwrap();
        let mut found: BTreeSet<PathBuf> =
            descendants(self.process("supervisor")).into_iter().filter_map(network_of).collect();
        found.remove(&own);
        found
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        // A failed test must not leave a lab behind; a passed one has already looked.
        let _ = self.run(&["down"]);
    }
}

/// What could change on the machine without being part of a lab's own directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Machine {
    mounts: BTreeSet<String>,
    packet_filter: String,
    links: BTreeSet<String>,
    parameters: BTreeMap<&'static str, String>,
    directories: BTreeMap<&'static str, Option<BTreeSet<String>>>,
}

impl Machine {
    /// How the machine is now.
    pub fn look() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let tables = Command::new("nft").args(["list", "tables"]).output().unwrap();
        let parameters =
            ["kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory", "net/ipv4/ip_forward"];
        Self {
            mounts: mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(ToOwned::to_owned).collect(),
            packet_filter: String::from_utf8(tables.stdout).unwrap(),
            links: names("/sys/class/net").unwrap_or_default(),
            parameters: parameters
                .into_iter()
                .map(|name| (name, fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default()))
                .collect(),
            directories: USUAL_SUSPECTS.into_iter().map(|path| (path, names(path))).collect(),
        }
    }
}

fn names(directory: &str) -> Option<BTreeSet<String>> {
    let entries = fs::read_dir(directory).ok()?;
    Some(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// All processes of the machine.
pub fn processes() -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The processes whose command line names something, this one and those that it started apart.
pub fn mentioning(text: &str) -> BTreeMap<i32, String> {
    processes()
        .into_iter()
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(text).then_some((pid, line))
        })
        .collect()
}

/// A process with all below it.
pub fn descendants(root: i32) -> BTreeSet<i32> {
    let parents: Vec<(i32, i32)> =
        processes().into_iter().filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let mut found = BTreeSet::from([root]);
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn network_of(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}
