//! Tokens as RFC 7515 has them, to be written and to be taken apart.
//!
//! A library would refuse, rightly, much of what [`super::reviewer`] has to be able to overlook.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::{Value, json};

use super::keys::Key;
use crate::error::Result;

/// Signs claims.
pub(super) fn signed(key: &Key, claims: &Value) -> Result<String> {
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": key.kid });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(message.as_bytes())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A token, taken apart and not verified.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) message: &'a str,
    pub(super) signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(token: &'a str) -> Option<Self> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        Some(Self {
            header: part(header)?,
            claims: part(claims)?,
            message,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whether the owner of the public key signed it.
    pub(super) fn is_signed_by(&self, point: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(self.message.as_bytes(), &self.signature).is_ok()
    }

    /// Whether it was signed by HMAC with a secret.
    pub(super) fn is_sealed_by(&self, secret: &[u8]) -> bool {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        ring::hmac::verify(&key, self.message.as_bytes(), &self.signature).is_ok()
    }
}

/// The public key out of a JWK.
pub(super) fn point_of(jwk: &Value) -> Option<Vec<u8>> {
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
    Some([vec![4], coordinate("x")?, coordinate("y")?].concat())
}

/// A public key of P-256 in the form that most programs keep it in.
pub(super) fn pem(point: &[u8]) -> String {
    // SubjectPublicKeyInfo of id-ecPublicKey over prime256v1, up to the point itself.
    const HEAD: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let text = STANDARD.encode([&HEAD, point].concat());
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::{Directory, keys::Keys};

    #[test]
    fn what_is_signed_can_be_verified_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::open(dir.path(), Directory::Platform).unwrap();
        let key = keys.newest().unwrap();
        let token = signed(key, &json!({"sub": "alice"})).unwrap();
        let parts = Parts::of(&token).unwrap();
        assert_eq!(parts.claims["sub"], "alice");
        assert_eq!(parts.header["kid"], key.kid.as_str());
        let point = key.point().unwrap();
        assert!(parts.is_signed_by(&point));
        let set = keys.set(false, true).unwrap();
        assert_eq!(point_of(&set["keys"][0]).unwrap(), point);
        let other = Keys::open(dir.path(), Directory::Partner).unwrap();
        assert!(!parts.is_signed_by(&other.newest().unwrap().point().unwrap()));
        assert!(!parts.is_sealed_by(pem(&point).as_bytes()));
        assert!(Parts::of("a.b").is_none());
    }

    #[test]
    fn the_pem_of_a_key_is_the_one_that_other_programs_write() {
        let key = rcgen::KeyPair::generate().unwrap();
        assert_eq!(
            pem(key.public_key_raw()).replace('\n', ""),
            key.public_key_pem().replace("\r\n", "").replace('\n', "")
        );
    }
}
