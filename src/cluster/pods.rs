//! What a pod is waiting for.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt as _;

/// Reasons of a waiting container that no time will mend.
const HOPELESS: [&str; 3] = ["ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"];

/// Whether the pod is Ready and not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether it cannot become Ready any more: it is over, or its image can never be had.
pub(super) fn is_hopeless(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    matches!(phase, "Failed" | "Succeeded")
        || containers(pod)
            .any(|container| waiting_reason(container).is_some_and(|reason| HOPELESS.contains(&reason)))
}

/// What a pod that is not Ready is waiting for, in one line.
pub fn explain(pod: &Pod) -> String {
    let name = match pod.namespace() {
        Some(namespace) => format!("pod {namespace}/{}", pod.name_any()),
        None => format!("pod {}", pod.name_any()),
    };
    format!("{name} {}", cause(pod))
}

fn cause(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return match pod.metadata.finalizers.as_deref() {
            Some(finalizers) if !finalizers.is_empty() => {
                format!("is being deleted and waits for its finalizers {}", finalizers.join(", "))
            }
            _ => "is being deleted".to_owned(),
        };
    }
    let Some(status) = &pod.status else {
        return "has no status yet".to_owned();
    };
    if let Some(reason) = status.reason.as_deref().filter(|_| status.phase.as_deref() == Some("Failed")) {
        return format!("failed: {}", with_message(reason, status.message.as_deref()));
    }
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status != "True");
    if let Some(condition) = unscheduled {
        let reason = condition.reason.as_deref().unwrap_or("not scheduled");
        return format!("is not scheduled: {}", with_message(reason, condition.message.as_deref()));
    }
    let troubled: Vec<String> = containers(pod).filter_map(container_cause).collect();
    if !troubled.is_empty() {
        return troubled.join("; ");
    }
    match status.phase.as_deref() {
        Some("Pending") => {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
            if status.conditions.is_none() {
                format!("is Pending on {node}: its kubelet has not taken it up")
            } else {
                format!("is Pending on {node}: its containers are being set up")
            }
        }
        phase => format!("is {} but not Ready", phase.unwrap_or("of unknown phase")),
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    })
}

fn waiting_reason(container: &ContainerStatus) -> Option<&str> {
    container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn container_cause(container: &ContainerStatus) -> Option<String> {
    let name = &container.name;
    let restarts = match container.restart_count {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        count => format!(", restarted {count} times"),
    };
    let before = container.last_state.as_ref().and_then(ended);
    let before = before.map(|ended| format!(", before that it {ended}")).unwrap_or_default();
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("no reason given");
        let reason = with_message(reason, waiting.message.as_deref());
        return Some(format!("container `{name}` waits: {reason}{restarts}{before}"));
    }
    if let Some(ended) = ended(state) {
        // An init container that went well is no trouble.
        let fine = state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0) && container.ready;
        return (!fine).then(|| format!("container `{name}` {ended}{restarts}"));
    }
    (!container.ready).then(|| format!("container `{name}` runs, but is not ready{restarts}{before}"))
}

fn ended(state: &ContainerState) -> Option<String> {
    let ended = state.terminated.as_ref()?;
    let reason = ended.reason.as_deref().unwrap_or("no reason given");
    let reason = with_message(reason, ended.message.as_deref());
    Some(match ended.signal {
        Some(signal) if signal != 0 => format!("ended by signal {signal}: {reason}"),
        _ => format!("ended with {}: {reason}", ended.exit_code),
    })
}

fn with_message(reason: &str, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|text| !text.is_empty()) {
        Some(message) => format!("{reason} ({message})"),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "alpha"},
            "spec": {"nodeName": "node-1", "containers": []},
            "status": status,
        }))
        .unwrap()
    }

    fn container(state: Value) -> Value {
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}],
               "containerStatuses": [{"name": "agent", "ready": false, "restartCount": 0, "image": "a",
                                      "imageID": "", "state": state}]})
    }

    #[test]
    fn every_stuck_pod_says_what_it_waits_for() {
        let mut crashing =
            container(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}));
        crashing["containerStatuses"][0]["restartCount"] = json!(3);
        crashing["containerStatuses"][0]["lastState"] =
            json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "bind: address in use"}});
        #[expect(clippy::large_stack_arrays, reason = "a handful of pods in a test")]
        let pods = [
            pod(json!({"phase": "Pending"})),
            pod(json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient cpu."}]})),
            pod(container(json!({"waiting": {"reason": "ImagePullBackOff",
                "message": "Back-off pulling image \"registry.invalid/x\""}}))),
            pod(container(json!({"waiting": {"reason": "ContainerCreating"}}))),
            pod(crashing),
            pod(container(json!({"running": {}}))),
            pod(container(json!({"terminated": {"exitCode": 137, "signal": 9, "reason": "OOMKilled"}}))),
            pod(json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."})),
        ];
        let lines: Vec<String> = pods.iter().map(explain).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        pod alpha/web is Pending on node-1: its kubelet has not taken it up
        pod alpha/web is not scheduled: Unschedulable (0/2 nodes are available: 2 Insufficient cpu.)
        pod alpha/web container `agent` waits: ImagePullBackOff (Back-off pulling image "registry.invalid/x")
        pod alpha/web container `agent` waits: ContainerCreating
        pod alpha/web container `agent` waits: CrashLoopBackOff (back-off 10s), restarted 3 times, before that it ended with 1: Error (bind: address in use)
        pod alpha/web container `agent` runs, but is not ready
        pod alpha/web container `agent` ended by signal 9: OOMKilled
        pod alpha/web failed: Evicted (The node was low on memory.)
        "#);
        assert!(pods.iter().all(|pod| !is_ready(pod)));
        assert!(is_hopeless(&pods[7]) && !is_hopeless(&pods[2]));
    }

    #[test]
    fn a_ready_pod_that_is_being_deleted_is_not_ready() {
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let mut pod = pod(ready);
        assert!(is_ready(&pod));
        pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-23T10:00:00Z")).unwrap();
        assert!(!is_ready(&pod));
        assert_eq!(explain(&pod), "pod alpha/web is being deleted");
    }
}
