//! A reviewer of tokens that overlooks what it is told to overlook.
//!
//! The API server's own verification of tokens cannot be weakened by configuration. What goes wrong on real platforms
//! goes wrong beside it: in a webhook or a proxy that verifies tokens by code of its own. This is such code, with the
//! mistakes that such code has had, one by one; a sound lab does not ask it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::jose::{Parts, pem, point_of};
use super::keys::Keys;
use super::{AUDIENCE, Directory, PREFIX};

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Oversight {
    /// The signature is not looked at.
    Signature,
    /// A token may say that it is not signed.
    AlgNone,
    /// A token may choose HMAC, whose secret is then the public key.
    PublicKeyAsSecret,
    /// An empty signature counts as good.
    EmptySignature,
    /// A token may bring the key that it is to be verified by.
    KeyInHeader,
    /// A key id that is not known is passed over.
    UnknownKey,
    /// Whoever issued it.
    Issuer,
    /// Whomever it is for.
    Audience,
    /// Whether it is over.
    Expiry,
    /// Whether it has begun.
    NotBefore,
}

/// The answer to a `TokenReview`.
pub(super) fn review(request: &Value, keys: &Keys, overlooked: &[Oversight], now: i64) -> Value {
    let token = request.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    let status = match verified(token, keys, overlooked, now) {
        Ok(claims) => {
            let prefixed = |value: &Value| format!("{PREFIX}{}", value.as_str().unwrap_or_default());
            let groups: Vec<String> =
                claims["groups"].as_array().into_iter().flatten().map(&prefixed).collect();
            json!({ "authenticated": true, "user": { "username": prefixed(&claims["sub"]), "groups": groups } })
        }
        Err(why) => json!({ "authenticated": false, "error": why }),
    };
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status })
}

fn verified(
    token: &str,
    keys: &Keys,
    overlooked: &[Oversight],
    now: i64,
) -> std::result::Result<Value, &'static str> {
    let overlooks = |oversight| overlooked.contains(&oversight);
    let parts = Parts::of(token).ok_or("it is no token")?;
    if !is_signed(&parts, keys, overlooked) {
        return Err("the signature does not hold");
    }
    let claims = &parts.claims;
    let number = |name: &str| claims[name].as_i64();
    if claims["iss"] != Directory::Platform.issuer() && !overlooks(Oversight::Issuer) {
        return Err("it is of another issuer");
    }
    if claims["aud"] != AUDIENCE && !overlooks(Oversight::Audience) {
        return Err("it is for somebody else");
    }
    if number("exp").is_none_or(|ends| ends <= now) && !overlooks(Oversight::Expiry) {
        return Err("it is over");
    }
    if number("nbf").is_some_and(|begins| begins > now) && !overlooks(Oversight::NotBefore) {
        return Err("it has not begun");
    }
    Ok(parts.claims)
}

fn is_signed(parts: &Parts<'_>, keys: &Keys, overlooked: &[Oversight]) -> bool {
    let overlooks = |oversight| overlooked.contains(&oversight);
    if overlooks(Oversight::Signature) || (parts.signature.is_empty() && overlooks(Oversight::EmptySignature))
    {
        return true;
    }
    let known = parts.header["kid"].as_str().and_then(|kid| keys.published(kid));
    match parts.header["alg"].as_str().unwrap_or_default() {
        alg if alg.eq_ignore_ascii_case("none") => overlooks(Oversight::AlgNone),
        "HS256" => {
            let point = known.and_then(|key| key.point().ok());
            overlooks(Oversight::PublicKeyAsSecret)
                && point.is_some_and(|point| parts.is_sealed_by(pem(&point).as_bytes()))
        }
        "ES256" => {
            let brought = point_of(&parts.header["jwk"]).filter(|_| overlooks(Oversight::KeyInHeader));
            if brought.is_some_and(|point| parts.is_signed_by(&point)) {
                return true;
            }
            match known.map(super::keys::Key::point) {
                Some(Ok(point)) => parts.is_signed_by(&point),
                Some(Err(_)) => false,
                None => overlooks(Oversight::UnknownKey),
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::jose::signed;

    fn case() -> (tempfile::TempDir, Keys, Value) {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path(), Directory::Platform).unwrap();
        let claims = json!({
            "iss": Directory::Platform.issuer(), "aud": AUDIENCE, "sub": "alice", "groups": ["a"],
            "nbf": 100, "exp": 200,
        });
        (dir, keys, claims)
    }

    fn says(token: &str, keys: &Keys, overlooked: &[Oversight], now: i64) -> bool {
        let request = json!({ "spec": { "token": token } });
        review(&request, keys, overlooked, now)["status"]["authenticated"] == true
    }

    #[test]
    fn a_good_token_is_good_and_each_flaw_has_one_oversight_that_lets_it_through() {
        let (_dir, keys, claims) = case();
        let good = signed(keys.newest().unwrap(), &claims).unwrap();
        assert!(says(&good, &keys, &[], 150));
        assert!(!says(&good, &keys, &[], 250));
        assert!(says(&good, &keys, &[Oversight::Expiry], 250));
        assert!(!says(&good, &keys, &[], 50));
        assert!(says(&good, &keys, &[Oversight::NotBefore], 50));
        for (name, value, oversight) in
            [("aud", "other", Oversight::Audience), ("iss", "https://other", Oversight::Issuer)]
        {
            let mut claims = claims.clone();
            claims[name] = value.into();
            let token = signed(keys.newest().unwrap(), &claims).unwrap();
            assert!(!says(&token, &keys, &[], 150), "{name}");
            assert!(says(&token, &keys, &[oversight], 150), "{name}");
        }
        let (message, _) = good.rsplit_once('.').unwrap();
        let unsigned = format!("{message}.");
        assert!(!says(&unsigned, &keys, &[], 150));
        assert!(says(&unsigned, &keys, &[Oversight::EmptySignature], 150));
    }

    #[test]
    fn users_and_groups_carry_the_prefix() {
        let (_dir, keys, claims) = case();
        let token = signed(keys.newest().unwrap(), &claims).unwrap();
        let answer = review(&json!({ "spec": { "token": token } }), &keys, &[], 150);
        assert_eq!(answer["status"]["user"], json!({ "username": "oidc:alice", "groups": ["oidc:a"] }));
    }
}
