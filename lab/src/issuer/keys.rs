//! The signing keys of a directory, and which of them are published.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Directory;
use crate::error::{LabError, Result};
use crate::paths::write_private;

/// One key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) kid: String,
    /// PKCS#8, in base64.
    private: String,
    /// Withdrawn keys are kept to be told from unknown ones.
    withdrawn: bool,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    /// A key that is in no set.
    pub(super) fn generate() -> Result<Self> {
        let random = SystemRandom::new();
        let private = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| failed("a key could not be made"))?;
        let mut key = Self { kid: String::new(), private: STANDARD.encode(private), withdrawn: false };
        let point = key.pair()?.public_key().as_ref().to_vec();
        // Any name will do that no other key has.
        key.kid =
            URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &point).as_ref())[..16].into();
        Ok(key)
    }

    fn pair(&self) -> Result<EcdsaKeyPair> {
        let private = STANDARD.decode(&self.private).map_err(|_| failed("a stored key is not base64"))?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &SystemRandom::new())
            .map_err(|_| failed("a stored key cannot be read"))
    }

    /// The signature that JOSE calls ES256.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self
            .pair()?
            .sign(&SystemRandom::new(), message)
            .map_err(|_| failed("a token could not be signed"))?;
        Ok(signature.as_ref().to_vec())
    }

    /// The public key: 4, x and y.
    pub(super) fn point(&self) -> Result<Vec<u8>> {
        Ok(self.pair()?.public_key().as_ref().to_vec())
    }

    fn jwk(&self) -> Result<Value> {
        let point = self.point()?;
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        Ok(json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": coordinate(1), "y": coordinate(33),
        }))
    }
}

/// The keys of one directory, in a file. The newest signs.
#[derive(Debug)]
pub(super) struct Keys {
    file: PathBuf,
    all: Vec<Key>,
}

impl Keys {
    /// Those in the file, or a first one.
    pub(super) fn open(root: &Path, directory: Directory) -> Result<Self> {
        let file = root.join("issuer").join(format!("{}-keys.json", directory.name()));
        let stored = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let mut keys = Self { file, all: stored.unwrap_or_default() };
        if keys.all.is_empty() {
            keys.rotate()?;
        }
        Ok(keys)
    }

    /// Makes a new key, which signs from now on. The others stay published.
    pub(super) fn rotate(&mut self) -> Result<()> {
        self.all.push(Key::generate()?);
        self.save()
    }

    /// Withdraws every key but the newest.
    pub(super) fn withdraw(&mut self) -> Result<()> {
        if let Some((_newest, others)) = self.all.split_last_mut() {
            for key in others {
                key.withdrawn = true;
            }
        }
        self.save()
    }

    /// The one that signs.
    pub(super) fn newest(&self) -> Result<&Key> {
        self.all.last().ok_or_else(|| failed("there is no key"))
    }

    /// The published key of that id.
    pub(super) fn published(&self, kid: &str) -> Option<&Key> {
        self.all.iter().find(|key| key.kid == kid && !key.withdrawn)
    }

    /// The key set, as RFC 7517 has it.
    pub(super) fn set(&self, with_withdrawn: bool, with_new: bool) -> Result<Value> {
        // The first key is not a new one.
        let upto = if with_new { self.all.len() } else { self.all.len().saturating_sub(1).max(1) };
        let shown = self.all.iter().take(upto).filter(|key| with_withdrawn || !key.withdrawn);
        Ok(json!({ "keys": shown.map(Key::jwk).collect::<Result<Vec<_>>>()? }))
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec(&self.all).map_err(|error| failed(&error.to_string()))?;
        write_private(&self.file, text)
    }
}

fn failed(why: &str) -> LabError {
    LabError::component("issuer", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_key_signs_and_withdrawn_ones_are_no_longer_published() {
        let dir = tempfile::tempdir().unwrap();
        let mut keys = Keys::open(dir.path(), Directory::Platform).unwrap();
        let first = keys.newest().unwrap().kid.clone();
        keys.rotate().unwrap();
        let second = keys.newest().unwrap().kid.clone();
        assert_ne!(first, second);
        assert_eq!(keys.set(false, true).unwrap()["keys"].as_array().unwrap().len(), 2);
        assert_eq!(keys.set(false, false).unwrap()["keys"][0]["kid"], first.as_str());
        keys.withdraw().unwrap();
        let kept = Keys::open(dir.path(), Directory::Platform).unwrap();
        assert_eq!(kept.set(false, true).unwrap()["keys"][0]["kid"], second.as_str());
        assert_eq!(kept.set(false, true).unwrap()["keys"].as_array().unwrap().len(), 1);
        assert_eq!(kept.set(true, true).unwrap()["keys"].as_array().unwrap().len(), 2);
        assert!(kept.published(&first).is_none());
        let partner = Keys::open(dir.path(), Directory::Partner).unwrap();
        assert!(kept.published(&partner.newest().unwrap().kid).is_none());
    }
}
