//! Real agents and real packets: pods as network namespaces around a router whose rules decide.
//!
//! Each namespace is held by the process that lives in it, so the kernel takes all of it back when the test ends.
//! Needs root, `ip`, `nft`, `unshare` and `nsenter`, as the lab does.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use plimsoll_agent::protocol::{Clocks, Identity, PROTOCOL, Pace, Reply, Transport, env};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::stream::{AgentStream, Duplex, Opener};
use super::*;

/// The program that the harness carries.
const PROGRAM: &str = env!("PLIMSOLL_AGENT_EMBEDDED");

/// Only what has to be silent takes so long.
fn pace() -> Pace {
    Pace { deadline_ms: 700, attempts_ms: vec![0, 200, 400] }
}

/// A network of pods around one router.
struct Network {
    router: Child,
    pods: Vec<Pod>,
}

struct Pod {
    name: String,
    address: Ipv4Addr,
    process: Child,
}

fn pid(child: &Child) -> u32 {
    child.id().expect("the process runs")
}

fn inside(process: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{process}/ns/net")).kill_on_drop(true);
    command
}

async fn run(mut command: Command, what: &str) {
    let output = command.output().await.expect("the command starts");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

fn identify(command: &mut Command, name: &str, address: Ipv4Addr) {
    command.env(env::NAMESPACE, "test").env(env::POD, name).env(env::ADDRESS, address.to_string());
}

impl Network {
    async fn new(pods: &[&str]) -> Self {
        // It holds the namespace and nothing else; it ends with its input, which ends with us.
        let router = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("unshare starts");
        let mut network = Self { router, pods: Vec::new() };
        network.settled(pid(&network.router)).await;
        network.route("ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward").await;
        for (index, name) in pods.iter().enumerate() {
            network.add(name, Ipv4Addr::new(198, 18, 0, 10 + u8::try_from(index).unwrap())).await;
        }
        network
    }

    async fn add(&mut self, name: &str, address: Ipv4Addr) {
        let mut command = Command::new("unshare");
        command.args([
            "--net",
            PROGRAM,
            "serve",
            "--tcp",
            "8080,8090",
            "--udp",
            "8081,8091",
            "--http",
            "8082",
        ]);
        identify(&mut command, name, address);
        let process = command.kill_on_drop(true).spawn().expect("unshare starts");
        let held = pid(&process);
        self.settled(held).await;
        self.route(&format!(
            "ip link add v-{name} type veth peer name eth0 netns {held} && ip link set v-{name} up &&
             ip addr add 198.18.0.1/32 dev v-{name} && ip route add {address}/32 dev v-{name}"
        ))
        .await;
        let mut command = inside(held);
        command.args([
            "sh",
            "-ec",
            &format!(
                "ip link set lo up; ip link set eth0 up; ip addr add {address}/32 dev eth0;
                 ip route add 198.18.0.1 dev eth0; ip route add default via 198.18.0.1"
            ),
        ]);
        run(command, "set up a pod").await;
        loop {
            let mut ready = inside(held);
            ready.args([PROGRAM, "ready"]).stderr(Stdio::null());
            identify(&mut ready, name, address);
            if ready.status().await.expect("the agent starts").success() {
                break;
            }
        }
        self.pods.push(Pod { name: name.to_owned(), address, process });
    }

    /// `unshare` has left our namespace.
    async fn settled(&self, process: u32) {
        let ours = std::fs::read_link("/proc/self/ns/net").expect("procfs");
        while std::fs::read_link(format!("/proc/{process}/ns/net")).expect("the process runs") == ours {
            tokio::task::yield_now().await;
        }
    }

    async fn route(&self, script: &str) {
        let mut command = inside(pid(&self.router));
        command.args(["sh", "-ec", script]);
        run(command, script).await;
    }

    /// Lets the router decide by these rules on what it forwards.
    async fn rules(&self, rules: &str) {
        self.route(&format!(
            "nft 'table ip t {{}}; delete table ip t; table ip t {{
                chain pre {{
                    type nat hook prerouting priority -100
                    tcp dport 8099 dnat to 198.18.0.12:8080
                }}
                chain f {{
                    type filter hook forward priority 0
                    {rules}
                }}
            }}'"
        ))
        .await;
    }

    fn fleet(&self) -> Fleet {
        Fleet::new(self.pods.iter().map(|pod| {
            let opener = Driver { held: pid(&pod.process), pod: pod.name.clone(), address: pod.address };
            AgentStream::with(format!("test/{}", pod.name), Box::new(opener))
        }))
    }

    #[expect(clippy::unused_self, reason = "reads as the network's, beside its targets")]
    fn source(&self, name: &str) -> Source {
        Source { agent: format!("test/{name}"), place: name.to_owned() }
    }

    fn target(&self, name: &str, transport: Transport, port: u16) -> Target {
        let pod = self.pods.iter().find(|pod| pod.name == name).expect("a pod");
        Target {
            place: name.to_owned(),
            by: AddressKind::PodAddress,
            transport,
            host: pod.address.to_string(),
            port,
            expect: vec![format!("test/{name}")],
            question: None,
        }
    }
}

/// Opens a driver in a pod's namespace, as exec does in a container.
struct Driver {
    held: u32,
    pod: String,
    address: Ipv4Addr,
}

fn duplex(mut command: Command) -> Result<Duplex, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let (Some(reader), Some(writer)) = (child.stdout.take(), child.stdin.take()) else {
        return Err("no pipes".to_owned());
    };
    Ok(Duplex {
        reader: Box::new(reader),
        writer: Box::new(writer),
        epilogue: async { None }.boxed(),
        keep: Box::new(child),
    })
}

impl Opener for Driver {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, String>> {
        async {
            let mut command = inside(self.held);
            command.args([PROGRAM, "drive"]);
            identify(&mut command, &self.pod, self.address);
            duplex(command)
        }
        .boxed()
    }
}

#[tokio::test]
async fn every_verdict_is_told_from_every_other() {
    let network = Network::new(&["a", "b", "c"]).await;
    network
        .rules(
            "tcp dport 8090 drop
             udp dport 8091 drop
             tcp dport 9001 reject with icmp admin-prohibited
             udp dport 9001 reject with icmp admin-prohibited
             tcp dport 9002 reject
             tcp dport 9003 reject with tcp reset",
        )
        .await;
    let (tcp, udp, http) = (Transport::Tcp, Transport::Udp, Transport::Http);
    let mut misrouted = network.target("b", tcp, 8099);
    misrouted.place = "b (redirected)".into();
    let mut anybody = network.target("b", tcp, 8080);
    anybody.place = "whoever".into();
    anybody.expect.clear();
    let targets = vec![
        network.target("b", tcp, 8080),
        network.target("b", udp, 8081),
        network.target("b", http, 8082),
        anybody,
        network.target("b", tcp, 8090),
        network.target("b", udp, 8091),
        network.target("b", tcp, 9001),
        network.target("b", udp, 9001),
        network.target("b", tcp, 9002),
        network.target("b", tcp, 9003),
        network.target("b", tcp, 9004),
        network.target("b", udp, 9005),
        misrouted,
        network.target("b", http, 8080),
    ];
    let fleet = network.fleet();
    let plan = MatrixPlan::all_pairs(vec![network.source("a")], targets).with_pace(pace());
    let result = fleet.run(plan).await;
    let lines: Vec<_> = result
        .iter()
        .map(|entry| {
            format!("{}: {}", entry.target.label().replace(" by pod address", ""), entry.cell.verdict)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
b:8080/TCP: OPEN
b:8081/UDP: OPEN
b:8082/HTTP: OPEN
whoever:8080/TCP: OPEN
b:8090/TCP: DROPPED
b:8091/UDP: DROPPED
b:9001/TCP: REJECTED (ICMP type 3 code 13 from 198.18.0.1)
b:9001/UDP: REJECTED (ICMP type 3 code 13 from 198.18.0.1)
b:9002/TCP: REJECTED (ICMP type 3 code 3 from 198.18.0.1)
b:9003/TCP: REFUSED
b:9004/TCP: REFUSED
b:9005/UDP: REFUSED
b (redirected):8099/TCP: MISROUTED (answered by test/c)
b:8080/HTTP: MISROUTED (answered by a stranger who said "invalid HTTP version parsed")
"#);
    fleet.close().await;
}

#[tokio::test]
async fn a_lost_answer_is_no_denial() {
    let network = Network::new(&["a", "b"]).await;
    // The way there is open, the way back is not: for datagrams, for the handshake, and after the handshake.
    network
        .rules(
            "udp sport 8081 drop
             tcp sport 8080 tcp flags & (syn|ack) == syn|ack drop
             tcp sport 8090 tcp flags & psh == psh drop",
        )
        .await;
    let fleet = network.fleet();
    let targets = vec![
        network.target("b", Transport::Udp, 8081),
        network.target("b", Transport::Tcp, 8080),
        network.target("b", Transport::Tcp, 8090),
    ];
    let result = fleet.run(MatrixPlan::all_pairs(vec![network.source("a")], targets).with_pace(pace())).await;
    for entry in result.iter() {
        assert_eq!(entry.cell.verdict, Verdict::Asymmetric, "{}", entry.target.label());
    }
    let seen: Vec<_> = result.iter().map(|entry| std::mem::discriminant(&entry.cell.server)).collect();
    assert_eq!(seen[1], std::mem::discriminant(&OtherEnd::HalfOpen { at: String::new() }));
    assert_eq!(seen[0], seen[2]);
    fleet.close().await;
}

#[tokio::test]
async fn a_matrix_of_denials_is_proven_with_its_controls() {
    let network = Network::new(&["a", "b", "control"]).await;
    let closed = "ip saddr 198.18.0.10 ip daddr 198.18.0.11 drop";
    network.rules(closed).await;
    let fleet = network.fleet();
    let all = || {
        let targets =
            vec![network.target("b", Transport::Tcp, 8080), network.target("b", Transport::Udp, 8081)];
        MatrixPlan::all_pairs(vec![network.source("a"), network.source("control")], targets).with_pace(pace())
    };
    let control = || all().keep(|source, _| source.place == "control");
    let before = fleet.run(control()).await;
    let tried = fleet.run(all().keep(|source, _| source.place == "a")).await;
    let after = fleet.run(control()).await;
    let prove = |after: &MatrixResult| -> Vec<Result<Denial, NotDenied>> {
        let control = |of: &MatrixResult, label: &str| {
            of.iter().find(|it| it.target.label() == label).map(|it| it.attempt()).unwrap()
        };
        let denied = tried.iter().map(|entry| {
            let label = entry.target.label();
            let (before, after) = (control(&before, &label), control(after, &label));
            Denial::prove(before, entry.attempt(), after, &Accepted::closed())
        });
        denied.collect()
    };
    assert_eq!(prove(&after).iter().filter(|proof| proof.is_ok()).count(), 2);

    // The same silence, while nobody can reach the target any more.
    network.rules("ip daddr 198.18.0.11 drop").await;
    let dead = fleet.run(control()).await;
    let unproven = |proof: &Result<Denial, NotDenied>| matches!(proof, Err(NotDenied::NoControl { .. }));
    assert_eq!(prove(&dead).iter().filter(|proof| unproven(proof)).count(), 2);
    fleet.close().await;
}

#[tokio::test]
async fn a_change_is_seen_when_it_happens() {
    let network = Network::new(&["a", "b"]).await;
    network.rules("").await;
    let fleet = network.fleet();
    let targets = vec![network.target("b", Transport::Tcp, 8080), network.target("b", Transport::Udp, 8081)];
    let plan = MatrixPlan::all_pairs(vec![network.source("a")], targets);
    let cadence = Cadence {
        every: Duration::from_millis(20),
        give_up: Duration::from_millis(200),
        stable: 5,
        deadline: Duration::from_secs(20),
    };
    let watching = fleet.watch(plan.clone(), &Accepted::closed(), &cadence).await;
    let began = Moment::now();
    network.rules("ip daddr 198.18.0.11 drop").await;
    let paths = watching.settled().await;
    assert_eq!(paths.len(), 2);
    for path in &paths {
        assert_eq!(path.trouble, None);
        let words: Vec<_> = path.phases.iter().map(|phase| phase.verdict).collect();
        assert_eq!(words.last(), Some(&VerdictKind::Dropped), "{path:?}");
        // What was sent just before the rules came may have been under way when they did.
        let since = path.settled_since().expect("it settled");
        assert!(since.as_micros() + 200_000 >= began.as_micros(), "{path:?}");
    }

    let watching = fleet.watch(plan, &Accepted::only(VerdictKind::Open), &cadence).await;
    network.rules("").await;
    assert!(watching.settled().await.iter().all(|path| path.settled));

    // Without an awaited verdict in sight, it ends when it is told to.
    let plan =
        MatrixPlan::all_pairs(vec![network.source("a")], vec![network.target("b", Transport::Tcp, 8080)]);
    let watching = fleet.watch(plan, &Accepted::only(VerdictKind::TlsFailed), &cadence).await;
    let paths = watching.stop().await;
    assert_eq!(paths.iter().filter(|path| !path.settled && path.trouble.is_none()).count(), 1);
    fleet.close().await;
}

/// Says hello and hangs up, the first time.
struct Fickle {
    inner: Driver,
    opened: AtomicUsize,
}

impl Opener for Fickle {
    fn open(&self) -> BoxFuture<'_, Result<Duplex, String>> {
        if self.opened.fetch_add(1, Ordering::Relaxed) > 0 {
            return self.inner.open();
        }
        async {
            let mut command = inside(self.inner.held);
            command.args(["sh", "-c", &format!("{PROGRAM} drive < /dev/null")]);
            identify(&mut command, &self.inner.pod, self.inner.address);
            duplex(command)
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_broken_stream_is_opened_again_and_a_dead_agent_denies_nothing() {
    let network = Network::new(&["a", "b"]).await;
    let pod = &network.pods[0];
    let inner = Driver { held: pid(&pod.process), pod: pod.name.clone(), address: pod.address };
    let fickle = AgentStream::with("test/a".into(), Box::new(Fickle { inner, opened: AtomicUsize::new(0) }));
    let fleet = Fleet::new([fickle]);
    let open = network.target("b", Transport::Tcp, 8080);
    let attempt = fleet.probe(network.source("a"), open.clone()).await;
    assert_eq!(attempt.verdict, Verdict::Open);
    fleet.close().await;

    let gone = Driver { held: 0, pod: "a".into(), address: pod.address };
    let fleet = Fleet::new([AgentStream::with("test/a".into(), Box::new(gone))]);
    let attempt = fleet.probe(network.source("a"), open.clone()).await;
    assert_eq!(attempt.verdict.kind(), VerdictKind::ProbeError);
    let attempt = fleet.probe(network.source("b"), open).await;
    insta::assert_snapshot!(attempt.verdict, @"PROBE_ERROR (there is no agent in test/b)");

    // An agent that is somebody else must not vouch for this pod.
    let other = Driver { held: pid(&pod.process), pod: "impostor".into(), address: pod.address };
    let error = AgentStream::with("test/a".into(), Box::new(other)).identity().await.unwrap_err();
    insta::assert_snapshot!(error, @"the agent of test/a did not say hello: it is the agent of test/impostor");
}

/// As where the API server in the middle of the way is killed and nobody hears of it.
#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_not_asked_again() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let silent = AgentStream::stand_in("test/a".into(), move |mut end| {
        count.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let who = Identity { namespace: "test".into(), pod: "a".into(), ..Identity::default() };
            let hello =
                Reply::Hello { protocol: PROTOCOL, version: "1".into(), who, clocks: Clocks::default() };
            let mut line = serde_json::to_vec(&hello).expect("a line");
            line.push(b'\n');
            end.write_all(&line).await.expect("it is heard");
            std::future::pending::<()>().await;
        });
    });
    let fleet = Fleet::new([silent]);
    let target = Target {
        place: "b".into(),
        by: AddressKind::PodAddress,
        transport: Transport::Tcp,
        host: "127.0.0.1".into(),
        port: 8080,
        expect: vec!["test/b".into()],
        question: None,
    };
    let source = Source { agent: "test/a".into(), place: "a".into() };
    let attempt = fleet.probe(source, target).await;
    assert_eq!(attempt.verdict.kind(), VerdictKind::ProbeError);
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}
