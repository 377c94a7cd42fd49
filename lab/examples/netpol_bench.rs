//! Times the NetworkPolicy dataplane of one node: 1,000 policies and 500 pods in 50 namespaces on two nodes, one
//! label changed, compiled and put in force by nft. Run it as root in a network namespace of its own
//! (in a user namespace the kernel refuses transactions of this size):
//!
//! ```sh
//! cargo build --release -p plimsoll-lab --example netpol_bench
//! unshare --net target/release/examples/netpol_bench
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use plimsoll_lab::netpol::{
    IpBlock, NamedPort, Namespace, NamespaceScope, Nft, NodeView, Peer, Peers, Pod, Policy, Port, PortTarget,
    Ports, Protocol, Rule, Ruleset, Selector, Snapshot, compile,
};

const NAMESPACES: usize = 50;
const PODS: usize = 500;
const POLICIES: usize = 1000;
const ROUNDS: usize = 21;

fn labels(key: &str, value: usize) -> BTreeMap<String, String> {
    BTreeMap::from([(key.to_owned(), format!("v{value}"))])
}

fn selector(key: &str, value: usize) -> Selector {
    Selector { labels: labels(key, value), expressions: Vec::new() }
}

fn pod(number: usize) -> Pod {
    let [_, _, high, low] = u32::try_from(number).unwrap_or_default().to_be_bytes();
    let node = u8::try_from(number % 2).unwrap_or_default();
    Pod {
        uid: format!("uid-{number}"),
        namespace: format!("ns-{}", number % NAMESPACES),
        name: format!("pod-{number}"),
        node: Some(format!("node-{node}")),
        labels: labels("app", number / NAMESPACES % 5),
        addresses: vec![IpAddr::from([198, 18, 64 + node * 8 + high, low])],
        ports: vec![NamedPort { name: "web".into(), protocol: Protocol::Tcp, number: 8080 }],
        ..Pod::default()
    }
}

/// Each namespace has a default deny, DNS for all, and declared paths between its applications and its neighbours.
fn policy(number: usize) -> Result<Policy, Box<dyn Error>> {
    let (space, kind) = (number % NAMESPACES, number / NAMESPACES);
    let port = |protocol, target| Port { protocol, target };
    let app = |app: usize| Peer::Pods { namespaces: NamespaceScope::Own, pods: selector("app", app % 5) };
    let neighbour = Peer::Pods {
        namespaces: NamespaceScope::Matching(selector("ns", (space + kind) % NAMESPACES)),
        pods: Selector::default(),
    };
    let block = Peer::Block(IpBlock { cidr: "10.0.0.0/8".parse()?, except: vec!["10.1.0.0/16".parse()?] });
    let web = Ports::Listed(vec![
        port(Protocol::Tcp, PortTarget::Named("web".into())),
        port(Protocol::Tcp, PortTarget::Range(9000, 9010)),
    ]);
    let dns = Ports::Listed(vec![
        port(Protocol::Udp, PortTarget::Range(53, 53)),
        port(Protocol::Tcp, PortTarget::Range(53, 53)),
    ]);
    let (pods, ingress, egress) = match kind {
        0 => (Selector::default(), Some(vec![]), Some(vec![])),
        1 => (Selector::default(), None, Some(vec![Rule { peers: Peers::All, ports: dns }])),
        _ => (
            selector("app", kind % 5),
            Some(vec![Rule { peers: Peers::Listed(vec![app(kind + 1), neighbour]), ports: web.clone() }]),
            Some(vec![
                Rule { peers: Peers::Listed(vec![app(kind + 2)]), ports: web },
                Rule { peers: Peers::Listed(vec![block]), ports: Ports::All },
            ]),
        ),
    };
    Ok(Policy { namespace: format!("ns-{space}"), name: format!("policy-{kind}"), pods, ingress, egress })
}

fn median(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() - 1])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut snapshot = Snapshot {
        namespaces: (0..NAMESPACES)
            .map(|number| Namespace { name: format!("ns-{number}"), labels: labels("ns", number) })
            .collect(),
        pods: (0..PODS).map(pod).collect(),
        policies: (0..POLICIES).map(policy).collect::<Result<_, _>>()?,
        cluster_policies: Vec::new(),
    };
    let node = NodeView { name: "node-0".into(), pod_ranges: vec!["198.18.64.0/21".parse()?] };
    let nft = Nft::new("nft");
    let (mut compiling, mut applying, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut ruleset = Ruleset::default();
    for round in 0..ROUNDS {
        snapshot.pods[0].labels = labels("app", round % 5);
        let start = Instant::now();
        ruleset = compile(&snapshot, &node);
        let compiled = start.elapsed();
        nft.apply(&ruleset).await?;
        compiling.push(compiled);
        applying.push(start.elapsed().saturating_sub(compiled));
        whole.push(start.elapsed());
    }
    println!(
        "{PODS} pods, {POLICIES} policies: {} chains of policies, {} chains of pods, {} sets, {} bytes of text",
        ruleset.policy_chains.len(),
        ruleset.pod_chains.len(),
        ruleset.address_sets.len() + ruleset.port_sets.len(),
        ruleset.to_string().len(),
    );
    for (what, times) in [("compile", compiling), ("nft", applying), ("together", whole)] {
        let (median, most) = median(times);
        println!("{what:8} median {median:9.2?}  most {most:9.2?}  of {ROUNDS}");
    }
    Ok(())
}
