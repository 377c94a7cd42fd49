//! The CNI plugin, spoken to as a runtime does, with a dataplane that gives fixed answers.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use super::super::plugin;

const ARGUMENTS: &str =
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=x;K8S_POD_NAME=a;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u";

/// Exit status and output.
fn run(command: &str, arguments: &str, configuration: &Value) -> (u8, Value) {
    let variable = |name: &str| match name {
        "CNI_COMMAND" => Some(command.to_owned()),
        "CNI_ARGS" => Some(arguments.to_owned()),
        _ => None,
    };
    let mut output = Vec::new();
    let status = plugin(variable, configuration.to_string().as_bytes(), &mut output);
    (status, if output.is_empty() { Value::Null } else { serde_json::from_slice(&output).expect("JSON") })
}

fn configuration(socket: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "pods", "type": "netpol", "socket": socket,
        "prevResult": { "cniVersion": "1.0.0", "ips": [{ "address": "198.18.1.2/32", "gateway": "198.18.1.1" }] },
    })
}

/// Announces to a dataplane that gives this answer; also what the dataplane was told.
fn announce(answer: &'static str) -> (u8, Value, Value) {
    let directory = tempfile::tempdir().expect("directory");
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("socket");
    let dataplane = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("plugin");
        let mut told = String::new();
        BufReader::new(&stream).read_line(&mut told).expect("line");
        (&stream).write_all(answer.as_bytes()).expect("answer");
        serde_json::from_str(&told).expect("JSON")
    });
    let (status, output) = run("ADD", ARGUMENTS, &configuration(&socket));
    (status, output, dataplane.join().expect("dataplane"))
}

#[test]
fn let_in_with_the_result_unchanged() {
    let (status, output, told) = announce("{\"error\":null}\n");
    assert_eq!((status, &output), (0, &configuration(Path::new("/"))["prevResult"]));
    assert_eq!(told, json!({ "uid": "u", "pod": "x/a", "addresses": ["198.18.1.2"] }));
}

#[test]
fn turned_away_means_try_again() {
    for answer in ["{\"error\":\"not now\"}\n", ""] {
        let (status, output, _) = announce(answer);
        assert_eq!((status, &output["code"]), (1, &json!(11)), "{output}");
    }
}

#[test]
fn without_a_dataplane_no_pod_starts() {
    let (status, output) = run("ADD", ARGUMENTS, &configuration(Path::new("/nonexistent/socket")));
    assert_eq!((status, &output["code"]), (1, &json!(11)));
}

#[test]
fn what_is_missing_is_said() {
    let whole = configuration(Path::new("/nonexistent/socket"));
    for (missing, word) in [("socket", "socket"), ("prevResult", "prevResult"), ("cniVersion", "cniVersion")]
    {
        let mut configuration = whole.clone();
        configuration.as_object_mut().expect("object").remove(missing);
        let (status, output) = run("ADD", ARGUMENTS, &configuration);
        assert!(status == 1 && output["msg"].as_str().expect("message").contains(word), "{output}");
    }
    let (status, output) = run("ADD", "IgnoreUnknown=1", &whole);
    assert!(status == 1 && output["msg"].as_str().expect("message").contains("K8S_POD_UID"), "{output}");
}

#[test]
fn other_commands() {
    assert_eq!(run("DEL", ARGUMENTS, &json!({})), (0, Value::Null));
    assert_eq!(run("CHECK", ARGUMENTS, &json!({})), (0, Value::Null));
    assert_eq!(run("VERSION", "", &json!({})).1["supportedVersions"][3], "1.0.0");
    assert_eq!(run("DANCE", "", &json!({})).0, 1);
}
