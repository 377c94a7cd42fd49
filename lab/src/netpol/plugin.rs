//! The CNI plugin, last in the chain: announces the pod to the dataplane of its node and waits until its rules
//! are in. It changes nothing itself. Where there is no dataplane the pod does not start: closed, not open.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::admission::{Answer, Newcomer};

/// Versions of the CNI specification whose results look alike.
const VERSIONS: [&str; 4] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0"];
/// Longer than the dataplane takes to make up its mind.
const PATIENCE: Duration = Duration::from_secs(15);
/// `ErrTryAgainLater` of the specification.
const TRY_AGAIN: u32 = 11;
/// `ErrInvalidNetworkConfig` of the specification.
const BAD_CONFIGURATION: u32 = 7;

/// What the runtime hands to the plugin on standard input.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    cni_version: String,
    /// Where the dataplane listens.
    socket: Option<PathBuf>,
    prev_result: Option<Value>,
}

/// A failure in the words of the specification.
struct Failure {
    code: u32,
    message: String,
}

impl Failure {
    fn configuration(message: impl Into<String>) -> Self {
        Self { code: BAD_CONFIGURATION, message: message.into() }
    }

    fn try_again(message: impl Into<String>) -> Self {
        Self { code: TRY_AGAIN, message: message.into() }
    }
}

/// Runs the plugin as the CNI specification says: command and pod by `CNI_*` variables, configuration on
/// `input`, result or error on `output`. Returns the exit status.
pub fn plugin(variable: impl Fn(&str) -> Option<String>, input: impl Read, mut output: impl Write) -> u8 {
    let (text, status) = match answer(variable, input) {
        Ok(result) => (result.unwrap_or_default(), 0),
        Err(Failure { code, message }) => {
            (json!({ "cniVersion": "1.0.0", "code": code, "msg": message }).to_string(), 1)
        }
    };
    if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() { 1 } else { status }
}

fn answer(variable: impl Fn(&str) -> Option<String>, input: impl Read) -> Result<Option<String>, Failure> {
    match variable("CNI_COMMAND").as_deref() {
        Some("VERSION") => {
            Ok(Some(json!({ "cniVersion": "1.0.0", "supportedVersions": VERSIONS }).to_string()))
        }
        Some("ADD") => {
            let configuration: Configuration = serde_json::from_reader(input)
                .map_err(|error| Failure::configuration(format!("read the configuration: {error}")))?;
            let Some(result) = &configuration.prev_result else {
                return Err(Failure::configuration(
                    "no prevResult: this plugin comes after one that gives addresses",
                ));
            };
            let Some(socket) = &configuration.socket else {
                return Err(Failure::configuration(
                    "no socket: name the one where the policy dataplane listens",
                ));
            };
            if !VERSIONS.contains(&configuration.cni_version.as_str()) {
                return Err(Failure::configuration(format!(
                    "unknown cniVersion {}",
                    configuration.cni_version
                )));
            }
            let newcomer = newcomer(&variable("CNI_ARGS").unwrap_or_default(), result)?;
            announce(socket, &newcomer).map_err(|message| {
                Failure::try_again(format!(
                    "pod {}: {message} (policy dataplane at {})",
                    newcomer.pod,
                    socket.display()
                ))
            })?;
            Ok(Some(result.to_string()))
        }
        // What the dataplane knows of a pod goes with the pod's object.
        Some("DEL" | "CHECK") => Ok(None),
        other => Err(Failure::configuration(format!("unknown CNI_COMMAND {}", other.unwrap_or("(none)")))),
    }
}

fn newcomer(arguments: &str, result: &Value) -> Result<Newcomer, Failure> {
    let arguments: BTreeMap<&str, &str> =
        arguments.split(';').filter_map(|pair| pair.split_once('=')).collect();
    let argument = |name: &str| {
        let missing =
            || Failure::configuration(format!("CNI_ARGS without {name}: only for pods of Kubernetes"));
        arguments.get(name).copied().filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    let addresses: Vec<IpAddr> = result["ips"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok())
        .collect();
    if addresses.is_empty() {
        return Err(Failure::configuration("prevResult without addresses"));
    }
    Ok(Newcomer {
        uid: argument("K8S_POD_UID")?.to_owned(),
        pod: format!("{}/{}", argument("K8S_POD_NAMESPACE")?, argument("K8S_POD_NAME")?),
        addresses,
    })
}

fn announce(socket: &std::path::Path, newcomer: &Newcomer) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream = UnixStream::connect(socket).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let mut line = serde_json::to_string(newcomer).map_err(|error| error.to_string())?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(told)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).map_err(told)?;
    let answer: Answer = serde_json::from_str(&reply).map_err(|_| "no answer".to_owned())?;
    answer.error.map_or(Ok(()), Err)
}

/// The plugin's entry in a network configuration list.
pub fn plugin_configuration(kind: &str, socket: &std::path::Path) -> Value {
    json!({ "type": kind, "socket": socket })
}
