//! What a cluster lacks for which suite.

use super::{
    CapabilityCheck, ClockSkew, Cluster, ClusterError, NodeInfo, Ownership, RightsCheck, ServerInfo,
    check_rights, detect,
};
use crate::profile::{Capability, LoadedPlatform, Platform, Timespan};

/// The largest difference of clocks that is borne where the profile sets none: certificates and tokens are
/// usually good some seconds early.
const CLOCK_SKEW: Timespan = Timespan::from_secs(5);

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// As it should be.
    Fine,
    /// Worth knowing; a run works.
    Notice,
    /// Something that a suite needs is missing.
    Lacking,
}

/// One thing that the doctor looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub level: FindingLevel,
    /// `server`, `nodes`, `clock`, `rights`, `capability`.
    pub topic: &'static str,
    /// One line.
    pub message: String,
    /// The suites that suffer; empty where all do, or none.
    pub suites: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything that the doctor saw.
#[derive(Clone, Debug)]
pub struct Report {
    /// The API server.
    pub server: ServerInfo,
    /// The nodes.
    pub nodes: Vec<NodeInfo>,
    /// Clocks.
    pub skew: ClockSkew,
    /// Rights, one by one.
    pub rights: Vec<RightsCheck>,
    /// Capabilities; empty where rights were lacking to look.
    pub capabilities: Vec<CapabilityCheck>,
    /// What follows from all that, worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is lacking.
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != FindingLevel::Lacking)
    }
}

/// Looks at everything that the given suites (all, if none is given) need. `mutating` allows the throwaway
/// namespace by which capabilities are detected.
pub async fn doctor(
    cluster: &Cluster,
    profile: &LoadedPlatform,
    ownership: &Ownership,
    suites: &[String],
    mutating: bool,
) -> Result<Report, ClusterError> {
    let platform = &profile.platform;
    let server = cluster.server_info().await?;
    let skew = cluster.clock_skew().await?;
    let rights = check_rights(cluster, platform, suites).await?;
    let nodes = match cluster.nodes().await {
        Ok(nodes) => nodes,
        Err(ClusterError::Forbidden { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let may_look = rights.iter().all(|check| check.allowed);
    let capabilities =
        if mutating && may_look { detect(cluster, profile, ownership).await? } else { Vec::new() };

    let mut findings = vec![server_finding(&server), clock_finding(skew, platform), nodes_finding(&nodes)];
    findings.extend(rights_findings(&rights));
    findings.extend(capabilities.iter().map(capability_finding));
    if capabilities.is_empty() {
        let why = if mutating {
            "rights are lacking"
        } else {
            "the profile does not allow to change anything here"
        };
        findings.push(Finding {
            level: FindingLevel::Notice,
            topic: "capability",
            message: format!("capabilities were not probed: {why}"),
            suites: Vec::new(),
            hint: None,
        });
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    Ok(Report { server, nodes, skew, rights, capabilities, findings })
}

fn fine(topic: &'static str, message: String) -> Finding {
    Finding { level: FindingLevel::Fine, topic, message, suites: Vec::new(), hint: None }
}

fn server_finding(server: &ServerInfo) -> Finding {
    let minor =
        server.version.trim_start_matches('v').split('.').nth(1).and_then(|minor| {
            minor.trim_end_matches(|sign: char| !sign.is_ascii_digit()).parse::<u32>().ok()
        });
    match minor {
        Some(minor) if minor < 30 => Finding {
            level: FindingLevel::Lacking,
            topic: "server",
            message: format!(
                "Kubernetes {} is older than 1.30, which is the oldest that is supported",
                server.version
            ),
            suites: Vec::new(),
            hint: None,
        },
        _ => fine("server", format!("Kubernetes {} on {}", server.version, server.platform)),
    }
}

fn clock_finding(skew: ClockSkew, platform: &Platform) -> Finding {
    let bound = platform.spec.bounds.clock_skew.unwrap_or(CLOCK_SKEW);
    let message = format!(
        "the API server's clock is {} ms {} ours (± {} ms)",
        skew.ahead_ms.abs(),
        if skew.ahead_ms < 0 { "behind" } else { "ahead of" },
        skew.uncertainty_ms
    );
    if skew.exceeds(bound.get()) {
        return Finding {
            level: FindingLevel::Lacking,
            topic: "clock",
            message: format!("{message}, more than {bound}"),
            suites: Vec::new(),
            hint: Some("set both by NTP: tokens and certificates are judged by these clocks".to_owned()),
        };
    }
    fine("clock", message)
}

fn nodes_finding(nodes: &[NodeInfo]) -> Finding {
    let usable = nodes.iter().filter(|node| node.schedulable).count();
    let message = format!("{usable} of {} nodes take pods", nodes.len());
    match usable {
        0 => Finding {
            level: FindingLevel::Lacking,
            topic: "nodes",
            message,
            suites: Vec::new(),
            hint: Some("`kubectl describe nodes` shows conditions and taints".to_owned()),
        },
        1 => Finding {
            level: FindingLevel::Notice,
            topic: "nodes",
            message: format!("{message}: paths across nodes are not tested"),
            suites: Vec::new(),
            hint: None,
        },
        _ => fine("nodes", message),
    }
}

fn rights_findings(rights: &[RightsCheck]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rights
        .iter()
        .filter(|check| !check.allowed)
        .map(|check| Finding {
            level: FindingLevel::Lacking,
            topic: "rights",
            message: format!("no right to {} (to {})", check.right, check.why),
            suites: check.suites.clone(),
            hint: Some(format!(
                "`kubectl apply -f ci/rbac/{}.yaml` grants what the suite needs",
                check.suites.first().map_or("smoke", String::as_str)
            )),
        })
        .collect();
    if findings.is_empty() {
        findings.push(fine("rights", format!("all {} rights are there", rights.len())));
    }
    findings
}

fn capability_finding(check: &CapabilityCheck) -> Finding {
    let name = check.capability;
    match (check.claimed, check.detected) {
        (_, None) | (true, Some(true)) => fine("capability", format!("{name}: {}", check.probe)),
        (true, Some(false)) => Finding {
            level: FindingLevel::Lacking,
            topic: "capability",
            message: check.disagreement().unwrap_or_default(),
            suites: Vec::new(),
            hint: Some(match name {
                Capability::MultiNode => "add a node, or take the claim out of the profile".to_owned(),
                _ => "the platform breaks its claim; the features that need it will fail".to_owned(),
            }),
        },
        (false, _) => Finding {
            level: FindingLevel::Notice,
            topic: "capability",
            message: check
                .disagreement()
                .unwrap_or_else(|| format!("{name} is neither claimed nor there: {}", check.probe)),
            suites: Vec::new(),
            hint: None,
        },
    }
}
