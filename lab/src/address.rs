//! The lab's addresses. They are out of 198.18.0.0/15, which is set aside for benchmarks (RFC 2544) and so in use
//! nowhere else; every lab has a network namespace of its own, so that all labs use the same ones.

use std::net::Ipv4Addr;

/// The most nodes that a lab can have.
pub const MAX_NODES: u16 = 64;

/// The control plane, on the bridge that joins the nodes.
pub const CONTROL_PLANE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Where a cloud would tell a machine about itself. Nobody listens there; that it refuses, rather than says nothing,
/// lets an open way to it be told from a closed one.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Prefix length of the network that joins the nodes.
pub const NODE_PREFIX: u8 = 24;

/// All services.
pub const SERVICE_RANGE: &str = "198.18.128.0/20";

/// The service of the API server.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(198, 18, 128, 1);

/// The service of the cluster's DNS.
pub const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(198, 18, 128, 10);

/// All pods.
pub const POD_RANGE: &str = "198.19.0.0/16";

/// Prefix length of the pod range of one node.
pub const POD_PREFIX: u8 = 24;

/// The port of the API server inside the lab.
pub const API_PORT: u16 = 6443;

/// The DNS domain of the cluster.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// The address of a node; the first node has index 0.
pub fn node(index: u16) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, (11 + index) as u8)
}

/// The pod range of a node, as CIDR.
pub fn pod_range(index: u16) -> String {
    format!("198.19.{index}.0/{POD_PREFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_in_the_benchmark_range_and_no_two_are_alike() {
        let mut seen = std::collections::BTreeSet::from([CONTROL_PLANE]);
        for index in 0..MAX_NODES {
            let address = node(index);
            assert!(matches!(address.octets(), [198, 18, 0, 2..=254]), "{address}");
            assert!(seen.insert(address));
            assert!(pod_range(index).starts_with("198.19."));
        }
        for service in [API_SERVICE, DNS_SERVICE] {
            assert!(matches!(service.octets(), [198, 18, 128..=143, _]));
        }
    }
}
