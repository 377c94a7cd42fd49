//! Real packets through real rules: a node and its pods as network namespaces joined by veth pairs, as the
//! `ptp` plugin lays them out. Every pair of ends tries every port, and the network must do as the ruleset says.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::super::{Nft, Protocol, Ruleset, Snapshot, compile};
use super::fixtures::{NODE_A, cluster, cluster_policy, ip, labels, pod, policy_in, view};
use super::interpret::{Packet, forwards};

const INSIDE: &str = "PLIMSOLL_TEST_IN_NAMESPACE";
const XA: &str = "198.18.1.11";
const XD: &str = "198.18.1.14";
const YA: &str = "198.18.1.21";
const UNKNOWN: &str = "198.18.1.99";
const XB: &str = "198.18.2.12";
const YB: &str = "198.18.2.22";
const OUTSIDE: &str = "192.0.2.7";
/// A service of x/a, on port 80.
const SERVICE: &str = "10.96.0.1";
const TCP_PORTS: [u16; 4] = [80, 81, 82, 443];
const UDP_PORTS: [u16; 2] = [53, 80];
/// Long enough for a loaded machine, where the answer is to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// A packet crosses a veth pair within the call that sends it; what has not come by then is not coming.
const SILENCE: Duration = Duration::from_millis(250);

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace, kept by a thread that lives in it.
struct Host {
    addresses: Vec<IpAddr>,
    jobs: mpsc::Sender<Job>,
}

impl Host {
    /// A new namespace with these addresses, linked to the namespace of the caller.
    fn new(link: &str, gateway: &str, addresses: &[&str]) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (report, ready) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
            report.send(nix::unistd::gettid()).expect("report");
            for job in queue {
                job();
            }
        });
        let thread = ready.recv().expect("thread");
        sh(&format!("ip link add {link} type veth peer name eth0 netns {thread}; ip link set {link} up"));
        sh(&format!("ip addr add {gateway}/32 dev {link}"));
        for address in addresses {
            sh(&format!("ip route add {address}/32 dev {link}"));
        }
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| ip(address)).collect();
        let host = Self { addresses, jobs };
        let mut setup = vec!["ip link set lo up; ip link set eth0 up".to_owned()];
        setup.extend(host.addresses.iter().map(|address| format!("ip addr add {address}/32 dev eth0")));
        setup.push(format!("ip route add {gateway} dev eth0; ip route add default via {gateway}"));
        let setup = setup.join("; ");
        host.run(move || sh(&setup));
        for address in host.addresses.clone() {
            host.run(move || serve(address));
        }
        host
    }

    /// Runs it inside and waits for it.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(work).recv().expect("work inside the namespace")
    }

    fn start<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
        let (report, result) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(report.send(work())))).expect("thread of the namespace");
        result
    }
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Echoes on every port. Threads stay in the namespace of the thread that starts them.
fn serve(address: IpAddr) {
    for port in TCP_PORTS {
        let listener = TcpListener::bind((address, port)).expect("listen");
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut reader = stream.try_clone().expect("stream");
                    drop(std::io::copy(&mut reader, &mut stream));
                });
            }
        });
    }
    for port in UDP_PORTS {
        let socket = UdpSocket::bind((address, port)).expect("bind");
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                drop(socket.send_to(&buffer[..length], from));
            }
        });
    }
}

fn connect(source: IpAddr, to: SocketAddr, wait: Duration) -> std::io::Result<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, socket, sockopt};
    use std::os::fd::AsRawFd;
    let tcp = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(tcp.as_raw_fd(), &SockaddrStorage::from(SocketAddr::from((source, 0))))?;
    // A send timeout bounds connect as well.
    let bound = nix::sys::time::TimeVal::new(wait.as_secs().cast_signed(), wait.subsec_micros().into());
    nix::sys::socket::setsockopt(&tcp, sockopt::SendTimeout, &bound)?;
    nix::sys::socket::connect(tcp.as_raw_fd(), &SockaddrStorage::from(to))?;
    Ok(TcpStream::from(tcp))
}

fn echoes(packet: &Packet, wait: Duration) -> bool {
    let silent = |error: &std::io::Error| {
        assert!(
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                || error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32),
            "{packet:?}: {error}"
        );
    };
    let mut buffer = [0; 5];
    match packet.port.expect("port") {
        (Protocol::Udp, port) => {
            let socket = UdpSocket::bind((packet.source, 0)).expect("bind");
            socket.set_read_timeout(Some(wait)).expect("timeout");
            socket.send_to(b"nonce", (packet.destination, port)).expect("send");
            socket.recv_from(&mut buffer).inspect_err(silent).is_ok()
        }
        (_, port) => match connect(packet.source, (packet.destination, port).into(), wait) {
            Ok(stream) => {
                assert!(talks(&stream, PATIENCE), "{packet:?}: connected, but no echo");
                true
            }
            Err(error) => {
                silent(&error);
                false
            }
        },
    }
}

fn talks(mut stream: &TcpStream, wait: Duration) -> bool {
    let mut buffer = [0; 5];
    stream.set_read_timeout(Some(wait)).expect("timeout");
    stream.write_all(b"nonce").expect("write");
    stream.read_exact(&mut buffer).is_ok() && &buffer == b"nonce"
}

/// Every host tries every other on every port; what the ruleset forwards must come back, nothing else may.
fn judge(what: &str, hosts: &[Host], ruleset: &Ruleset) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(Nft::new("nft").apply(ruleset)).expect("nft");
    let ends: Vec<IpAddr> = hosts.iter().flat_map(|host| host.addresses.clone()).collect();
    let mut running = Vec::new();
    for (number, host) in hosts.iter().enumerate() {
        let others: Vec<IpAddr> =
            ends.iter().filter(|end| !hosts[number].addresses.contains(end)).copied().collect();
        let mut probes = Vec::new();
        for source in &host.addresses {
            for destination in &others {
                let tcp = TCP_PORTS.map(|port| (Protocol::Tcp, port));
                let udp = UDP_PORTS.map(|port| (Protocol::Udp, port));
                probes.extend(tcp.into_iter().chain(udp).map(|port| {
                    let packet = Packet { source: *source, destination: *destination, port: Some(port) };
                    let expected = forwards(ruleset, &packet);
                    (packet, expected)
                }));
            }
        }
        running.push(host.start(move || {
            thread::scope(|scope| {
                let probes: Vec<_> = probes
                    .into_iter()
                    .map(|(packet, expected)| {
                        let wait = if expected { PATIENCE } else { SILENCE };
                        scope.spawn(move || (packet, expected, echoes(&packet, wait)))
                    })
                    .collect();
                probes.into_iter().map(|probe| probe.join().expect("probe")).collect::<Vec<_>>()
            })
        }));
    }
    let results: Vec<_> = running.into_iter().flat_map(|results| results.recv().expect("results")).collect();
    for (packet, expected, seen) in &results {
        assert_eq!(seen, expected, "{what}: {packet:?}");
    }
    println!("{what}: {} of {} paths open", results.iter().filter(|result| result.2).count(), results.len());
}

fn snapshot(specs: &[(&str, &str)]) -> Snapshot {
    let mut snapshot = cluster(specs.iter().map(|(namespace, spec)| policy_in(namespace, spec)));
    snapshot.pods.push(pod("x/d", XD));
    snapshot
}

fn wide(specs: &[(&str, &str)], cluster_policies: &[&str]) -> Snapshot {
    let named = cluster_policies.iter().enumerate();
    let cluster_policies =
        named.map(|(number, spec)| cluster_policy(&format!("wide-{number}"), spec)).collect();
    Snapshot { cluster_policies, ..snapshot(specs) }
}

fn scenarios() -> Vec<(&'static str, Snapshot)> {
    let mut unlabelled =
        snapshot(&[("x", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}")]);
    unlabelled.pods[0].labels = labels(&[]);
    let mut finished = snapshot(&[]);
    finished.pods[0].finished = true;
    vec![
        ("no policy", snapshot(&[])),
        ("default deny both ways", snapshot(&[("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}")])),
        (
            "own namespace only",
            snapshot(&[("x", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")]),
        ),
        ("a label was taken away", unlabelled),
        (
            "port range and UDP",
            snapshot(&[(
                "x",
                "{podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: 81, endPort: 82}, {port: 53, protocol: UDP}]}]}",
            )]),
        ),
        (
            "named port on egress",
            snapshot(&[(
                "x",
                "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}, {port: dns, protocol: UDP}]}]}",
            )]),
        ),
        (
            "block with overlapping exceptions",
            snapshot(&[(
                "x",
                "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [198.18.0.0/16, 198.18.2.0/24]}}, {podSelector: {matchLabels: {pod: b}}}]}]}",
            )]),
        ),
        (
            "both sides must agree",
            snapshot(&[
                (
                    "x",
                    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}]}]}",
                ),
                (
                    "y",
                    "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}]}]}",
                ),
            ]),
        ),
        (
            "the admin tier before a policy, the baseline after none",
            wide(
                &[("x", "{podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress]}")],
                &[
                    "{tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{pods: {podSelector: {matchLabels: {pod: d}}}}]}]}",
                    "{tier: Admin, priority: 10, subject: {namespaces: {matchLabels: {ns: x}}}, ingress: [{action: Accept, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]}",
                    "{tier: Admin, priority: 20, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: [192.0.2.0/24]}]}]}",
                    "{tier: Baseline, priority: 0, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: y}}}]}]}",
                ],
            ),
        ),
        ("a finished pod", finished),
        ("nothing known yet", Snapshot::default()),
    ]
}

#[test]
fn real_packets_do_as_the_ruleset_says() {
    if std::env::var_os(INSIDE).is_none() {
        // A user namespace makes it work without root; it cannot be entered by a process with threads.
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net"])
            .arg(std::env::current_exe().expect("own path"))
            .args(["--exact", "netpol::tests::packets::real_packets_do_as_the_ruleset_says", "--nocapture"])
            .env(INSIDE, "yes")
            .output()
            .expect(
                "unshare, ip and nft are needed for this test (packages util-linux, iproute2 and nftables)",
            );
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("1 passed"), "the test did not run inside:\n{text}");
        return;
    }
    sh("ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward");
    let local = [("xa", XA), ("xd", XD), ("ya", YA), ("unknown", UNKNOWN)];
    let mut hosts: Vec<Host> =
        local.iter().map(|(name, address)| Host::new(name, "198.18.1.1", &[address])).collect();
    hosts.push(Host::new("uplink", "192.0.2.1", &[XB, YB, OUTSIDE]));

    for (what, snapshot) in scenarios() {
        judge(what, &hosts, &compile(&snapshot, &view(NODE_A)));
    }
    let hosts: [Host; 5] = hosts.try_into().ok().expect("five hosts");
    connections_are_cut_when_policies_change(&hosts);
    policies_see_pods_behind_services(&hosts);
    forged_sources_are_dropped(&hosts);
    a_pod_reaches_its_own_node_as_its_egress_says(&hosts);
}

fn apply(snapshot: &Snapshot) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(Nft::new("nft").apply(&compile(snapshot, &view(NODE_A)))).expect("nft");
}

fn connections_are_cut_when_policies_change([_, _, _, _, outside]: &[Host; 5]) {
    apply(&snapshot(&[]));
    let stream = outside.run(|| {
        let stream = connect(ip(OUTSIDE), (ip(XA), 80).into(), PATIENCE).expect("open without policy");
        assert!(talks(&stream, PATIENCE));
        stream
    });
    apply(&snapshot(&[("x", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}")]));
    assert!(!talks(&stream, SILENCE), "the old connection outlived the policy");
    apply(&snapshot(&[("x", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}")]));
    let mut late = [0; 5];
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    (&stream).read_exact(&mut late).expect("what was held back is sent again once the policy allows it");
}

/// As kube-proxy does it: the service's address gives way to the pod's before forwarding.
fn policies_see_pods_behind_services([xa, xd, ya, _, _]: &[Host; 5]) {
    sh(&format!(
        "nft 'table ip proxy {{ \
         chain before {{ type nat hook prerouting priority dstnat; ip daddr {SERVICE} tcp dport 80 dnat to {XA}:81; }}; \
         chain after {{ type nat hook postrouting priority srcnat; ip saddr {XA} ip daddr {XA} masquerade; }}; }}'"
    ));
    let service = SocketAddr::from((ip(SERVICE), 80));
    let only_own = [(
        "x",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}], ports: [{port: 81}]}], egress: [{to: [{podSelector: {}}], ports: [{port: 81}]}]}",
    )];
    apply(&snapshot(&only_own));
    xd.run(move || drop(connect(ip(XD), service, PATIENCE).expect("x/d by service")));
    xa.run(move || drop(connect(ip(XA), service, PATIENCE).expect("x/a by its own service")));
    ya.run(move || connect(ip(YA), service, SILENCE).expect_err("y/a by service"));
    apply(&snapshot(&[("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}")]));
    xd.run(move || connect(ip(XD), service, SILENCE).expect_err("x/d by service when all is denied"));
    xa.run(move || connect(ip(XA), service, SILENCE).expect_err("x/a by its own service when all is denied"));
    xa.run(move || drop(connect(ip(XA), (ip(XA), 81).into(), PATIENCE).expect("x/a at its own address")));
}

/// The node is where this runs: what a pod sends to it is not forwarded.
fn a_pod_reaches_its_own_node_as_its_egress_says([xa, _, ya, _, _]: &[Host; 5]) {
    let node = SocketAddr::from((ip("198.18.1.1"), 8443));
    let listener = TcpListener::bind(node).expect("listen on the node");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut reader = stream.try_clone().expect("stream");
                drop(std::io::copy(&mut reader, &mut stream));
            });
        }
    });
    apply(&snapshot(&[("x", "{podSelector: {}, policyTypes: [Ingress, Egress]}")]));
    xa.run(move || connect(ip(XA), node, SILENCE).expect_err("x/a to its node when all is denied"));
    ya.run(move || drop(connect(ip(YA), node, PATIENCE).expect("y/a to its node without a policy")));
    // The node itself reaches its pods all the same, and hears their replies.
    let stream = TcpStream::connect_timeout(&(ip(XA), 80).into(), PATIENCE).expect("the node to x/a");
    assert!(talks(&stream, PATIENCE), "the node hears no reply of x/a");
    apply(&snapshot(&[(
        "x",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 198.18.1.1/32}}]}]}",
    )]));
    xa.run(move || drop(connect(ip(XA), node, PATIENCE).expect("x/a to its node where that is allowed")));
}

fn forged_sources_are_dropped([xa, _, _, _, outside]: &[Host; 5]) {
    const PORT: u16 = 9;
    // The answer would never come back to the forger, so the other end is asked.
    let arrives = |source: &'static str, wait: Duration| {
        let sink = outside.run(|| UdpSocket::bind((ip(OUTSIDE), PORT)).expect("bind"));
        xa.run(move || {
            let socket = UdpSocket::bind((ip(source), 0)).expect("bind");
            socket.send_to(b"nonce", (ip(OUTSIDE), PORT)).expect("send");
        });
        sink.set_read_timeout(Some(wait)).expect("timeout");
        sink.recv_from(&mut [0; 5]).is_ok()
    };
    let nobody = "203.0.113.9";
    xa.run(move || sh(&format!("ip addr add {nobody}/32 dev eth0; ip addr add {YA}/32 dev eth0")));
    apply(&snapshot(&[]));
    assert!(arrives(XA, PATIENCE), "its own address");
    assert!(!arrives(nobody, SILENCE), "source of nobody");
    assert!(!arrives(YA, SILENCE), "source of another pod");
}
