use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Compiled once: in a build for tests that takes longer than all cases.
fn redactor() -> &'static Redactor {
    static REDACTOR: std::sync::LazyLock<Redactor> = std::sync::LazyLock::new(|| Redactor::new().unwrap());
    &REDACTOR
}

fn redacted(mut value: Value) -> Value {
    redactor().redact(&mut value);
    value
}

const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIabc\n-----END EC PRIVATE KEY-----";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";

#[test]
fn each_kind_of_secret_goes_and_the_rest_stays() {
    let value = json!({
        "headers": {"Authorization": "Bearer abc", "Accept": "application/json", "Set-Cookie": ["a=b"]},
        "pairs": [["authorization", "Bearer abc"], ["accept", "text/plain"]],
        "env": [
            {"name": "DB_PASSWORD", "value": "hunter2"},
            {"name": "MODE", "value": "test"},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "db", "key": "pass"}}},
        ],
        "secret": {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration":
                    "{\"kind\":\"Secret\",\"stringData\":{\"pass\":\"hunter2\"}}"
            }},
            "data": {"pass": "aHVudGVyMg=="}, "stringData": {"pass": "hunter2"}, "type": "Opaque"
        },
        "list": {"kind": "SecretList", "items": [{"metadata": {"name": "x"}, "data": {"k": "aHVudGVyMg=="}}]},
        "volume": {"secret": {"secretName": "db", "defaultMode": 420}},
        "kubeconfig": {"users": [{"name": "admin", "user": {
            "client-certificate-data": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURQ==", "client-key-data": "LS0tLS1CRUdJTiBQUklWQVRF",
            "token": "abc.def", "username": "admin", "password": 1234
        }}]},
        "text": [
            "GET / HTTP/1.1", "authorization: Basic dXNlcjpwYXNz", "x-vault-token: s.abc123",
            "    token: abcdef.0123456789abcdef", "curl --token hunter2 https://user:hunter2@example.com/x?token=hunter2&a=b",
            format!("signed {JWT} by the issuer"),
        ],
        "pem": KEY,
        "pem_lines": KEY.lines().collect::<Vec<_>>(),
        "command": ["plimsoll", "run", "--token", "hunter2", "--password=hunter2", "--profile", "p.yaml"],
        "prose": [
            "expected FORBIDDEN from bearer authentication, saw OPEN",
            "create serviceaccounts/token: FORBIDDEN", "create token: FORBIDDEN", "get secrets: OPEN",
            "automountServiceAccountToken: false", "5d2f6c0ad5b9b7bd0f9a0a5b1e36a2c5b0a0d2b7c4f0f1c5e8a4a4e1b2f3d4c5"
        ],
    });
    insta::assert_json_snapshot!(redacted(value));
}

#[test]
fn events_stay_events() {
    let event = crate::engine::Event::RunStarted {
        schema: "plimsoll.dev/journal/v1".to_owned(),
        run_id: "x7k2".to_owned(),
        version: "0.1.0".to_owned(),
        seed: 7,
        command: ["plimsoll", "run", "--profile", "token.yaml"].map(str::to_owned).into(),
        profile: "secret".to_owned(),
        profile_sha256: "5d2f".repeat(16),
    };
    let value = redacted(serde_json::to_value(&event).unwrap());
    assert_eq!(serde_json::from_value::<crate::engine::Event>(value).unwrap(), event);
}

/// A secret, in one of the forms that clusters have them in, and the part that must not be seen.
fn secret() -> impl Strategy<Value = (Value, String)> {
    let raw = "[A-Za-z0-9_-]{12,40}[0-9]";
    prop_oneof![
        raw.prop_map(|s: String| (json!({"token": s}), s)),
        raw.prop_map(|s: String| (json!({"Authorization": format!("Bearer {s}")}), s)),
        raw.prop_map(|s: String| (json!(format!("Authorization: Bearer {s}")), s)),
        raw.prop_map(|s: String| (json!(format!("sent 'Bearer {s}' to the server")), s)),
        raw.prop_map(|s: String| (json!({"name": "API_TOKEN", "value": s}), s)),
        raw.prop_map(|s: String| (json!({"kind": "Secret", "data": {"k": s}}), s)),
        raw.prop_map(|s: String| (json!(json!({"kind": "Secret", "stringData": {"k": s}}).to_string()), s)),
        raw.prop_map(|s: String| (json!({"user": {"client-key-data": s}}), s)),
        raw.prop_map(|s: String| (json!(format!("password: {s}")), s)),
        raw.prop_map(|s: String| (json!(["--token", s]), s)),
        raw.prop_map(|s: String| (json!(format!("https://user:{s}@example.com")), s)),
        raw.prop_map(|s: String| {
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{s}\n-----END PRIVATE KEY-----");
            (json!(pem), s)
        }),
        raw.prop_map(|s: String| {
            (json!(["-----BEGIN RSA PRIVATE KEY-----", s, "-----END RSA PRIVATE KEY-----"]), s)
        }),
        raw.prop_map(|s: String| (json!(format!("got eyJhbGciOiJSUzI1NiJ9.{s}.{s}")), s)),
    ]
}

/// Any JSON around a hole.
fn around(inside: Value) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => Just(inside),
        1 => any::<bool>().prop_map(Value::from),
        1 => "[a-z ]{0,12}".prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,8}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_secret_survives_wherever_it_stands(
        (value, secret) in secret().prop_flat_map(|(value, secret)| (around(value), Just(secret)))
    ) {
        prop_assert!(!redacted(value).to_string().contains(&secret));
    }

    #[test]
    fn to_redact_twice_changes_nothing(
        value in secret().prop_flat_map(|(value, _)| around(value))
    ) {
        let once = redacted(value);
        prop_assert_eq!(redacted(once.clone()), once);
    }

    #[test]
    fn ordinary_text_is_left_alone(text in "[a-z]{1,8}( [a-z0-9/.:-]{1,10}){0,6}") {
        prop_assume!(!TELLING.iter().chain(TELLING_PARTS).any(|t| plain(&text).contains(t)));
        prop_assume!(!["bearer", "basic", "cookie", "passw", "passphrase", "api"].iter().any(|t| text.contains(t)));
        prop_assert_eq!(redactor().text(&text), text.as_str());
    }
}
