//! Takes secrets out of evidence, before it is hashed and written.
//!
//! It errs on the side of taking out too much: a report with one word less is a nuisance, one with a credential
//! in it is an incident. What it knows: members and header pairs with a telling name, the data of Secrets
//! (also inside text that is JSON itself, such as the last-applied annotation), bearer and basic credentials,
//! PEM private keys (also spread over lines, also in base64), JWTs, credentials in URLs, and options such as
//! `--token` on command lines.

use std::borrow::Cow;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

/// What stands where a secret was.
pub(super) const MARK: &str = "[redacted]";

/// Names whose value is a secret, in lower case without `-`, `_` and blanks.
const TELLING: &[&str] = &[
    "authorization",
    "proxyauthorization",
    "cookie",
    "setcookie",
    "token",
    "idtoken",
    "accesstoken",
    "refreshtoken",
    "bearertoken",
    "xapikey",
    "apikey",
    "xvaulttoken",
    "xamzsecuritytoken",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "clientsecret",
    "secretkey",
    "secretaccesskey",
    "awssecretaccesskey",
    "awssessiontoken",
    "sessiontoken",
    "privatekey",
    "clientkeydata",
    "clientcertificatedata",
    "dockerconfigjson",
];

/// What may follow such a name in a sentence of ours: `create token: FORBIDDEN`.
const VERDICTS: &[&str] = &[
    "OPEN",
    "DROPPED",
    "REJECTED",
    "REFUSED",
    "ASYMMETRIC",
    "MISROUTED",
    "UNAUTHENTICATED",
    "DNS_FAILED",
    "TLS_FAILED",
    "FORBIDDEN",
    "RATE_LIMITED",
    "ADMISSION_DENIED",
    "QUOTA_EXCEEDED",
    "PROBE_ERROR",
];

/// Parts of the name of an environment variable or a header that make its value a secret.
const TELLING_PARTS: &[&str] =
    &["password", "passwd", "secret", "token", "privatekey", "apikey", "credential"];

/// Takes secrets out of JSON values and lines of text.
#[derive(Debug)]
pub struct Redactor {
    /// Patterns whose whole match goes.
    whole: Vec<Regex>,
    /// Patterns of which the first group stays.
    after_first_group: Vec<Regex>,
    pem_begin: Regex,
    pem_end: Regex,
}

impl Redactor {
    /// Compiles the patterns.
    pub fn new() -> Result<Self, regex::Error> {
        let names = r"client-key-data|client-certificate-data|client-secret|client_secret|password|passwd|passphrase|id-token|id_token|access_token|refresh-token|refresh_token|bearer_token|token|api-key|api_key|apikey|aws_secret_access_key|aws_session_token|private_key|private-key";
        Ok(Self {
            whole: vec![
                // A JSON web token: two base64url parts that open with `{"`, and a signature that may be empty.
                Regex::new(r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)*")?,
                Regex::new(
                    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
                )?,
                // PEM in base64, as kubeconfigs have it.
                Regex::new(r"LS0tLS1CRUdJTi[A-Za-z0-9+/_=-]*")?,
            ],
            after_first_group: vec![
                // `Authorization: anything`, to the end of the line or of the quotes.
                Regex::new(r#"(?i)((?:proxy-)?authorization["']?\s*[:=]\s*["']?)[^"'\r\n]+"#)?,
                Regex::new(r#"(?i)((?:set-)?cookie["']?\s*:\s*["']?)[^"'\r\n]+"#)?,
                // The credential of a scheme; a plain word (`bearer authentication`) stays.
                Regex::new(r"((?i:\bbearer)\s+)[a-z]*[A-Z0-9._~+/-][A-Za-z0-9._~+/-]*=*")?,
                Regex::new(r"((?i:\bbearer)\s+)[a-z]{20,}=*")?,
                Regex::new(r"(\bBasic\s+)[A-Za-z0-9+/][a-z+/]*[A-Z0-9=+/][A-Za-z0-9+/]*=*")?,
                // `serviceaccounts/token` is a resource, so a slash before the name is none of ours.
                Regex::new(&format!(
                    r#"(?i)((?:^|[^A-Za-z0-9/])(?:{names})["']?\s*[:=]\s*)(?:"[^"]*"|'[^']*'|[^\s"',;&]+)"#
                ))?,
                Regex::new(r#"(?i)((?:^|[^A-Za-z0-9])secret["']?\s*=\s*)[^\s"',;&]+"#)?,
                Regex::new(&format!(r#"(?i)(--(?:{names})\s+)[^\s"',;]+"#))?,
                // User and password of a URL.
                Regex::new(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s@:]*:[^/\s@]+@")?,
            ],
            pem_begin: Regex::new(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")?,
            pem_end: Regex::new(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")?,
        })
    }

    /// Takes every secret out of `value`, in place.
    pub fn redact(&self, value: &mut Value) {
        match value {
            Value::Object(map) => self.object(map),
            Value::Array(items) => self.array(items),
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Takes every secret out of a piece of text.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // Text that is JSON itself is read as such: names tell more than patterns.
        if text.starts_with(['{', '['])
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            let before = inner.clone();
            self.redact(&mut inner);
            return if inner == before { Cow::Borrowed(text) } else { Cow::Owned(inner.to_string()) };
        }
        let mut clean = Cow::Borrowed(text);
        for pattern in &self.whole {
            if let Cow::Owned(next) = pattern.replace_all(&clean, MARK) {
                clean = Cow::Owned(next);
            }
        }
        for pattern in &self.after_first_group {
            let replaced = pattern.replace_all(&clean, |found: &Captures<'_>| {
                let lead = found.get(1).map_or("", |lead| lead.as_str());
                let secret = &found[0][lead.len()..];
                if VERDICTS.contains(&secret) || secret == MARK {
                    return found[0].to_owned();
                }
                let at = if found[0].ends_with('@') { "@" } else { "" };
                format!("{lead}{MARK}{at}")
            });
            if let Cow::Owned(next) = replaced {
                clean = Cow::Owned(next);
            }
        }
        clean
    }

    fn object(&self, map: &mut Map<String, Value>) {
        match map.get("kind").and_then(Value::as_str) {
            Some("Secret") => hide_secret_data(map),
            Some("SecretList") => {
                for item in map.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Value::Object(secret) = item {
                        hide_secret_data(secret);
                    }
                }
            }
            _ => {}
        }
        // `{"name": "DB_PASSWORD", "value": "..."}`: headers and environment variables.
        let telling_pair = map.get("name").and_then(Value::as_str).is_some_and(|name| {
            let name = plain(name);
            is_telling(&name) || TELLING_PARTS.iter().any(|part| name.contains(part))
        });
        if telling_pair && let Some(value) = map.get_mut("value") {
            hide(value);
        }
        let plain_keys = map.keys().all(|key| matches!(self.text(key), Cow::Borrowed(_)));
        if !plain_keys {
            // A secret used as a name, as in a map keyed by token.
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, value)| (self.text(&key).into_owned(), value))
                .collect();
        }
        for (key, value) in map.iter_mut() {
            // A volume has a member `secret` that is a reference, not a secret.
            let reference = value.is_object() && key == "secret";
            if is_telling(&plain(key)) && !reference {
                hide(value);
            } else {
                self.redact(value);
            }
        }
    }

    fn array(&self, items: &mut [Value]) {
        // A key spread over lines; `inside` until its end has passed.
        let mut inside = false;
        // The element after `--token` or after a header's name.
        let mut next_is_secret = false;
        for item in items {
            let Value::String(text) = item else {
                next_is_secret = false;
                self.redact(item);
                continue;
            };
            if inside {
                inside = !self.pem_end.is_match(text);
                MARK.clone_into(text);
                continue;
            }
            if let Some(begin) = self.pem_begin.find_iter(text).last() {
                inside = !self.pem_end.is_match(&text[begin.end()..]);
            }
            if std::mem::take(&mut next_is_secret) {
                MARK.clone_into(text);
                continue;
            }
            // `Authorization` alone, `--token` alone; `Authorization: x` is the text's business.
            next_is_secret = is_telling(&plain(text.trim_start_matches('-')))
                && (text.starts_with('-') || !matches!(plain(text).as_str(), "token" | "secret"));
            if let Cow::Owned(clean) = self.text(text) {
                *text = clean;
            }
        }
    }
}

/// Lower case, without the signs that spellings differ in.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn is_telling(plain_name: &str) -> bool {
    TELLING.contains(&plain_name)
}

/// Replaces each text below `value`, keeping its shape; numbers go too, as a password may be one.
fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Null | Value::Bool(_) => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(_) | Value::Number(_) => *value = Value::String(MARK.to_owned()),
    }
}

/// The keys of a Secret stay (they say what is there), its values go.
fn hide_secret_data(secret: &mut Map<String, Value>) {
    for member in ["data", "stringData"] {
        if let Some(data) = secret.get_mut(member) {
            hide(data);
        }
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
