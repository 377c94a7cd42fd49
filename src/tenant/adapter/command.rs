//! Commands of the platform.

use std::process::{Output, Stdio};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::process::Command;

use super::Case;
use crate::cluster::EXPIRES_AT;
use crate::profile::CommandAdapter;
use crate::tenant::TenantError;
use crate::tenant::handle::fill;

/// How many of the last lines of a failed command are kept.
const TAIL: usize = 20;

pub async fn onboard(adapter: &CommandAdapter, case: &Case<'_>) -> Result<(), TenantError> {
    run(adapter, &adapter.onboard, case).await?;
    // The command may have ignored PLIMSOLL_LABELS; without them nobody would find the namespaces after a crash.
    let namespaces: Api<Namespace> = Api::all(case.cluster.client());
    for name in case.namespaces {
        let labels: serde_json::Map<_, _> = case
            .ownership
            .labels()
            .into_iter()
            // Whose tool manages it is the platform's to say.
            .filter(|(key, _)| *key != crate::cluster::MANAGED_BY)
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect();
        let expires = case.ownership.expires.to_string();
        let patch = json!({"metadata": {"labels": labels, "annotations": {EXPIRES_AT: expires}}});
        match namespaces.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                return Err(TenantError::NotOnboarded {
                    tenant: case.name.to_owned(),
                    adapter: "command",
                    missing: format!("there is no namespace `{name}`"),
                });
            }
            Err(error) => {
                let error = case.cluster.error(format!("label namespace {name}"), error);
                return Err(TenantError::cluster(format!("onboard tenant {}", case.name))(error));
            }
        }
    }
    Ok(())
}

pub async fn offboard(adapter: &CommandAdapter, case: &Case<'_>) -> Result<(), TenantError> {
    run(adapter, &adapter.offboard, case).await.map(drop)
}

async fn run(adapter: &CommandAdapter, argv: &[String], case: &Case<'_>) -> Result<Output, TenantError> {
    let argv: Vec<String> = argv.iter().map(|word| fill(word, case.placeholders)).collect();
    let shown = argv.join(" ");
    let failed =
        |why: String, output: Vec<String>| TenantError::Command { command: shown.clone(), why, output };
    let Some((program, arguments)) = argv.split_first() else {
        return Err(failed("names no program".to_owned(), Vec::new()));
    };
    let labels: Vec<String> =
        case.ownership.labels().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&case.settings.platform.directory)
        .env("PLIMSOLL_TENANT", case.id)
        .env("PLIMSOLL_NAME", case.name)
        .env("PLIMSOLL_RUN", case.settings.run.as_str())
        .env("PLIMSOLL_CONTEXT", case.cluster.context())
        .env("PLIMSOLL_LABELS", labels.join(","))
        .env("PLIMSOLL_EXPIRES_AT", case.ownership.expires.to_string())
        .envs(adapter.env.iter().map(|(key, value)| (key, fill(value, case.placeholders))))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !case.cluster.kubeconfig().is_empty() {
        command.env("KUBECONFIG", case.cluster.kubeconfig());
    }
    let within = adapter.timeout.get();
    let output = match tokio::time::timeout(within, command.output()).await {
        Err(_) => return Err(failed(format!("did not end within {}", adapter.timeout), Vec::new())),
        Ok(Err(error)) => return Err(failed(format!("could not be started: {error}"), Vec::new())),
        Ok(Ok(output)) => output,
    };
    if output.status.success() {
        return Ok(output);
    }
    let mut lines: Vec<String> = [&output.stdout, &output.stderr]
        .into_iter()
        .flat_map(|stream| String::from_utf8_lossy(stream).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let lines = lines.split_off(lines.len().saturating_sub(TAIL));
    Err(failed(format!("ended with {}", output.status), lines))
}
