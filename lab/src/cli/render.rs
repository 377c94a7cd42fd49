//! Reports as text.

use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum as _;

use crate::error::{LabError, Result};
use crate::internal::{Phase, UnitState, UnitStatus};
use crate::lab::LabReport;
use crate::netpol::Defect;

/// What `up` says at the end.
pub(super) fn up(report: &LabReport, elapsed: Duration) -> String {
    let mut text = format!(
        "lab \"{}\" is up in {:.1}s: Kubernetes {}, {} nodes, {}, {}\n",
        report.name,
        elapsed.as_secs_f64(),
        report.kubernetes.as_deref().unwrap_or("of unknown version"),
        report.status.as_ref().map_or(0, |status| status.nodes.len()),
        report.environment.unwrap_or_default(),
        report.server.as_deref().unwrap_or("no server"),
    );
    if let Some(kubeconfig) = &report.kubeconfig {
        let _ = writeln!(text, "export KUBECONFIG={}", kubeconfig.display());
    }
    text
}

/// The status as JSON: one object a lab.
pub(super) fn json(reports: &[LabReport]) -> Result<String> {
    serde_json::to_string_pretty(reports)
        .map(|text| text + "\n")
        .map_err(|error| LabError::component("status", error.to_string()))
}

/// The status as a table.
pub(super) fn status(reports: &[LabReport]) -> String {
    if reports.is_empty() {
        return "no labs\n".to_owned();
    }
    let mut text = String::new();
    for report in reports {
        let phase = match (&report.status, &report.problem) {
            _ if !report.running => "not running".to_owned(),
            (Some(status), _) => match &status.phase {
                Phase::Running => "running".to_owned(),
                Phase::Starting(what) => format!("starting {what}"),
                Phase::Failed(why) => format!("failed: {why}"),
            },
            (None, Some(problem)) => format!("does not answer: {problem}"),
            (None, None) => "does not answer".to_owned(),
        };
        let _ = writeln!(text, "LAB {}  {}  {phase}", report.name, report.server.as_deref().unwrap_or("-"));
        let Some(status) = &report.status else { continue };
        if let Some(defect) = status.planted {
            let _ = writeln!(text, "  BROKEN ON PURPOSE  {}: {}", defect.name(), defect.breaks());
        }
        let _ =
            writeln!(text, "  {:<10} {:<24} {:<10} {:>8}  LAST END", "NODE", "PROCESS", "STATE", "RESTARTS");
        for unit in &status.control_plane {
            line(&mut text, "-", unit);
        }
        for node in &status.nodes {
            if !node.alive {
                let _ = writeln!(text, "  {:<10} {:<24} {:<10}", node.name, "-", "down");
                continue;
            }
            for unit in &node.units {
                line(&mut text, &node.name, unit);
            }
        }
    }
    text
}

/// The defects that there are, with a mark at the one that is planted.
pub(super) fn defects(planted: Option<Defect>) -> String {
    let mut text = format!("  {:<32} BREAKS\n", "DEFECT");
    for defect in Defect::value_variants() {
        let mark = if planted == Some(*defect) { "* " } else { "  " };
        let _ = writeln!(text, "{mark}{:<32} {}", defect.name(), defect.breaks());
    }
    text
}

fn line(text: &mut String, node: &str, unit: &UnitStatus) {
    let state = match unit.state {
        UnitState::Running => "running",
        UnitState::Restarting => "restarting",
    };
    let end = unit.last_end.as_deref().unwrap_or("-");
    let _ = writeln!(text, "  {node:<10} {:<24} {state:<10} {:>8}  {end}", unit.name, unit.restarts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::internal::{LabStatus, NodeStatus};

    fn sample() -> LabReport {
        let unit = |name: &str| UnitStatus {
            name: name.into(),
            state: UnitState::Running,
            restarts: 0,
            last_end: None,
        };
        LabReport {
            name: "default".into(),
            running: true,
            server: Some("https://127.0.0.1:40000".into()),
            kubeconfig: Some("/state/kubeconfig".into()),
            kubernetes: Some("v1.36.3".into()),
            environment: Some(crate::state::Environment::NonProduction),
            status: Some(LabStatus {
                phase: Phase::Running,
                control_plane: vec![unit("etcd"), unit("kube-apiserver")],
                nodes: vec![
                    NodeStatus {
                        name: "node-1".into(),
                        address: crate::address::node(0),
                        alive: true,
                        units: vec![UnitStatus {
                            restarts: 2,
                            state: UnitState::Restarting,
                            last_end: Some("exit status: 1".into()),
                            ..unit("kubelet")
                        }],
                    },
                    NodeStatus {
                        name: "node-2".into(),
                        address: crate::address::node(1),
                        alive: false,
                        units: vec![],
                    },
                ],
                planted: None,
            }),
            problem: None,
        }
    }

    #[test]
    fn what_is_broken_on_purpose_is_told() {
        let mut report = sample();
        if let Some(status) = &mut report.status {
            status.planted = Some(Defect::ExceptIgnored);
        }
        let text = status(&[report]);
        let line = text.lines().nth(1).unwrap();
        assert_eq!(line, "  BROKEN ON PURPOSE  except-ignored: The exceptions of a block are ignored");
        assert!(defects(Some(Defect::ExceptIgnored)).contains("* except-ignored "));
    }

    #[test]
    fn texts() {
        insta::assert_snapshot!("status", status(&[sample()]));
        insta::assert_snapshot!("json", json(&[sample()]).unwrap());
        insta::assert_snapshot!("up", up(&sample(), Duration::from_millis(17_340)));
        assert_eq!(status(&[]), "no labs\n");
    }
}
