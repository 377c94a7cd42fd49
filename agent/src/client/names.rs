//! Name resolution the pod's own way: its resolv.conf, with search list and ndots, asked afresh each time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ProtocolConfig, ResolveHosts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::protocol::{Seen, Transport};

/// The addresses of a name, or what stands in the way.
pub(super) type Found = Result<Vec<IpAddr>, Seen>;

/// A resolver for the names of one plan: each is looked up once, however many probes use it.
pub(super) struct Names {
    either: Result<TokioResolver, String>,
    udp: Result<TokioResolver, String>,
    tcp: Result<TokioResolver, String>,
    patience: Duration,
    cells: std::cell::RefCell<HashMap<String, Rc<OnceCell<Found>>>>,
}

impl Names {
    /// `own` is the pod's address: a pod without IPv6 need not ask for it.
    pub(super) fn new(own: &str, patience: Duration) -> Self {
        let v6 = own.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6());
        let make = |over| resolver(v6, patience, over).map_err(|error| format!("resolv.conf: {error}"));
        Self {
            either: make(None),
            udp: make(Some(Transport::Dns)),
            tcp: make(Some(Transport::DnsTcp)),
            patience,
            cells: std::cell::RefCell::default(),
        }
    }

    /// The addresses of a host, which may be an address itself.
    pub(super) async fn find(&self, host: &str) -> Found {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let cell = Rc::clone(self.cells.borrow_mut().entry(host.to_owned()).or_default());
        cell.get_or_init(|| self.ask(host, None)).await.clone()
    }

    /// Asks again, whatever is known, over one protocol or over whichever serves.
    pub(super) async fn ask(&self, host: &str, over: Option<Transport>) -> Found {
        let resolver = match over {
            Some(Transport::Dns) => &self.udp,
            Some(Transport::DnsTcp) => &self.tcp,
            _ => &self.either,
        };
        let resolver = resolver.as_ref().map_err(|why| Seen::Trouble { why: why.clone() })?;
        let Ok(answer) = timeout(self.patience, resolver.lookup_ip(host)).await else {
            return Err(unresolved("TIMEOUT"));
        };
        let addresses: Vec<_> = answer.map_err(|error| failure(&error))?.iter().collect();
        if addresses.is_empty() { Err(unresolved("NODATA")) } else { Ok(addresses) }
    }
}

/// The pod's own configuration, over one protocol or as it stands.
fn resolver(v6: bool, patience: Duration, over: Option<Transport>) -> Result<TokioResolver, NetError> {
    let (mut config, mut options) = hickory_resolver::system_conf::read_system_conf()?;
    if let Some(over) = over {
        for server in &mut config.name_servers {
            server.connections.retain(|it| match it.protocol {
                ProtocolConfig::Udp => over == Transport::Dns,
                ProtocolConfig::Tcp => over == Transport::DnsTcp,
            });
        }
    }
    // A lost question must not fail the look-up: three fit into the patience.
    options.timeout = patience / 3;
    options.attempts = 3;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = if v6 { LookupIpStrategy::Ipv6Only } else { LookupIpStrategy::Ipv4Only };
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

fn unresolved(rcode: &str) -> Seen {
    Seen::Unresolved { rcode: rcode.to_owned() }
}

fn failure(error: &NetError) -> Seen {
    match error {
        NetError::Dns(DnsError::ResponseCode(code)) => unresolved(&word(*code)),
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => {
            unresolved("NODATA")
        }
        NetError::Dns(DnsError::NoRecordsFound(none)) => unresolved(&word(none.response_code)),
        NetError::Timeout => unresolved("TIMEOUT"),
        // The server's host said no: it is the server that failed, not the name.
        NetError::Io(_) | NetError::NoConnections => unresolved("UNREACHABLE"),
        other => Seen::Trouble { why: other.to_string() },
    }
}

/// The code's name as in the registry of DNS parameters.
pub(super) fn word(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}
