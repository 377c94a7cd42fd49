//! NET-13: the same isolation by IPv6, where pods have addresses of it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use cucumber::when;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{
    network::{between_controls, fleet_of},
    support::{paths, tenants},
};
use crate::{
    bdd::{StepError, StepResult, World},
    cluster::Cluster,
    engine::{Evidence, EvidenceBody},
    probe::{MatrixPlan, Source, Target},
    tenant::{Deployed, Tenant},
};

/// The ranges that each node gives addresses of, as far as it says.
async fn ranges(cluster: &Cluster) -> Result<BTreeMap<String, Vec<String>>, StepError> {
    let nodes: Api<Node> = Api::all(cluster.client());
    let list =
        nodes.list(&ListParams::default()).await.map_err(|error| cluster.error("list nodes", error))?;
    let ranges = |node: &Node| {
        let spec = node.spec.clone().unwrap_or_default();
        spec.pod_cidrs.or_else(|| spec.pod_cidr.map(|range| vec![range])).unwrap_or_default()
    };
    Ok(list.items.iter().map(|node| (node.name_any(), ranges(node))).collect())
}

fn is_v6(range: &str) -> bool {
    range.split('/').next().is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// What is known of IPv6 on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Family {
    /// Every workload has an address of it.
    On,
    /// Nobody has, and no node gives any; with what showed it.
    Off(String),
    /// Some have and some have not, or nodes give addresses that no workload has.
    Unclear(String),
}

fn family<'a>(
    workloads: impl IntoIterator<Item = (&'a str, &'a Deployed)>,
    ranges: &BTreeMap<String, Vec<String>>,
) -> Family {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (tenant, deployed) in workloads {
        for pod in &deployed.pods {
            let has = pod.addresses.iter().any(IpAddr::is_ipv6);
            let addresses: Vec<_> = pod.addresses.iter().map(ToString::to_string).collect();
            let told = format!("{tenant}/{} has {}", pod.tier, addresses.join(" and "));
            if has { with.push(told) } else { without.push(told) }
        }
    }
    let given: Vec<_> = ranges
        .iter()
        .map(|(node, ranges)| match ranges.as_slice() {
            [] => format!("{node} names no range"),
            ranges => format!("{node} gives addresses of {}", ranges.join(" and ")),
        })
        .collect();
    let given = given.join(", ");
    let gives = ranges.values().flatten().any(|range| is_v6(range));
    match (with.first(), without.first()) {
        (Some(_), None) => Family::On,
        (Some(one), Some(other)) => Family::Unclear(format!("{one}, and {other}")),
        (None, Some(one)) if gives => Family::Unclear(format!("{one} alone, and {given}")),
        (None, Some(one)) => Family::Off(format!("{one} alone, as every workload, and {given}")),
        (None, None) => Family::Unclear("no workload runs".to_owned()),
    }
}

#[when("every workload tries every one of the other tenant by its addresses of IPv6, over TCP and UDP")]
async fn try_by_ipv6(world: &mut World) -> StepResult {
    let (subjects, controls) = (tenants::all(world)?, tenants::controls(world)?);
    let everybody: Vec<_> = subjects.iter().chain(&controls).cloned().collect();
    let ranges = ranges(&*world.service::<Cluster>()?).await?;
    let mut workloads = Vec::new();
    for tenant in &everybody {
        workloads.push((tenant.name(), paths::workload(tenant)?));
    }
    match family(workloads, &ranges) {
        Family::On => {}
        Family::Off(shown) => {
            return Err(StepError::capability(format!("dual-stack is not on: {shown}")).into());
        }
        Family::Unclear(shown) => {
            return Err(
                StepError::trouble(format!("whether dual-stack is on cannot be told: {shown}")).into()
            );
        }
    }
    let lines = ranges.iter().map(|(node, ranges)| format!("{node}: {}", ranges.join(", "))).collect();
    world
        .record(Evidence { title: "the ranges of the nodes".to_owned(), body: EvidenceBody::Text { lines } });
    let tenant_of = |place: &str| place.split('/').next().unwrap_or_default().to_owned();
    let all = |of: &[Arc<Tenant>]| -> Result<MatrixPlan, StepError> {
        let (mut sources, mut targets) = (Vec::new(), Vec::new());
        for tenant in of {
            sources.extend(paths::sources(tenant)?);
            targets.extend(paths::targets_of(tenant, IpAddr::is_ipv6)?);
        }
        let between = |source: &Source, target: &Target| tenant_of(&source.place) != tenant_of(&target.place);
        Ok(MatrixPlan::all_pairs(sources, targets).keep(between))
    };
    let fleet = fleet_of(world, &everybody, &[])?;
    let first =
        |tenant: &str| [subjects.first(), controls.first()].iter().flatten().any(|it| it.name() == tenant);
    let key = |source: &Source, target: &Target| paths::by_tiers_and_direction(source, target, first);
    let vouches = "a path is vouched for by that of the same tiers, on the same nodes, in the same direction between the \
                   control tenants, by the same family of addresses";
    let (tried, twins) = (all(&subjects)?, all(&controls)?);
    Ok(between_controls(world, &fleet, tried, twins, key, vouches).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::{DeployedPod, Tier};

    fn deployed(addresses: &[&[&str]]) -> Deployed {
        let pods = Tier::ALL
            .into_iter()
            .zip(addresses)
            .map(|(tier, addresses)| {
                let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
                DeployedPod {
                    tier,
                    name: tier.name().to_owned(),
                    namespace: "alpha".to_owned(),
                    address: addresses[0],
                    addresses,
                    node: "node-1".to_owned(),
                    ports: vec![8080],
                }
            })
            .collect();
        Deployed { pods, services: Vec::new(), declared: Vec::new() }
    }

    fn ranges(of: &[&str]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::from([("node-1".to_owned(), of.iter().map(ToString::to_string).collect())])
    }

    #[test]
    fn dual_stack_is_on_where_every_workload_has_both() {
        let both = deployed(&[&["10.0.0.1", "fd00::1"], &["10.0.0.2", "fd00::2"]]);
        let one = deployed(&[&["10.0.0.1"], &["10.0.0.2"]]);
        let some = deployed(&[&["10.0.0.1", "fd00::1"], &["10.0.0.2"]]);
        let dual = ranges(&["10.0.0.0/24", "fd00::/64"]);
        assert_eq!(family([("alpha", &both)], &dual), Family::On);
        assert_eq!(
            family([("alpha", &one)], &ranges(&["10.0.0.0/24"])),
            Family::Off(
                "alpha/web has 10.0.0.1 alone, as every workload, and node-1 gives addresses of 10.0.0.0/24"
                    .into()
            )
        );
        assert!(matches!(family([("alpha", &one)], &dual), Family::Unclear(_)));
        assert!(matches!(family([("alpha", &some)], &dual), Family::Unclear(_)));
        assert!(matches!(family([], &dual), Family::Unclear(_)));
    }

    #[test]
    fn each_pod_is_a_target_by_its_addresses_of_the_family() {
        let both = deployed(&[&["10.0.0.1", "fd00::1"], &["10.0.0.2", "fd00::2"]]);
        let targets = paths::targets_of_family("alpha", &both, IpAddr::is_ipv6);
        let hosts: Vec<_> = targets.iter().map(|target| target.host.as_str()).collect();
        assert_eq!(hosts, ["fd00::1", "fd00::1", "fd00::2", "fd00::2"]);
        assert_eq!(targets[2].expect, ["alpha/api"]);
        assert_eq!(paths::targets_of_family("alpha", &both, IpAddr::is_ipv4).len(), 4);
    }
}
