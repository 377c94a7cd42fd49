//! Tokens that nobody may accept, made of a good one. Nothing here asks anybody: whoever holds a token and the public
//! keys can do the same.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::keys::KeySet;
use super::token::{Parts, Token};

/// A way to forge a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forgery {
    /// An issuer that does not exist, with a key of its own.
    MadeUpIssuer,
    /// Another group, under the signature of the good token.
    ChangedClaims,
    /// One bit of the signature turned.
    ChangedSignature,
    /// No signature, where the header promises one.
    EmptySignature,
    /// A header that says that nothing is signed.
    AlgNone,
    /// HMAC, with the public key as the secret.
    PublicKeyAsSecret,
    /// A key of our own under an id that nobody knows.
    UnknownKey,
    /// A key of our own under the id of the issuer's key.
    ForeignKey,
    /// A key of our own that the header brings along.
    KeyInHeader,
}

/// A forged token, and how it was forged.
#[derive(Clone, Debug)]
pub struct Forged {
    /// `HMAC with the key as PEM`.
    pub how: String,
    /// The token.
    pub token: Token,
}

impl Forgery {
    /// All of them, with the words by which features call them.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::MadeUpIssuer, "of an issuer that does not exist"),
        (Self::ChangedClaims, "whose claims were changed"),
        (Self::ChangedSignature, "whose signature was changed"),
        (Self::EmptySignature, "whose signature is empty"),
        (Self::AlgNone, "that says that it is not signed"),
        (Self::PublicKeyAsSecret, "sealed with the public key as a secret"),
        (Self::UnknownKey, "signed with a key that nobody knows"),
        (Self::ForeignKey, "signed with another key under the id of the issuer's"),
        (Self::KeyInHeader, "that brings its own key"),
    ];

    /// Forges: one token or several variants, from a good token and the keys by which it is verified. The claims are
    /// those of the good token, unless they are what is forged, so that nothing else is wrong with it.
    pub fn forge(self, good: &Token, keys: &KeySet) -> Result<Vec<Forged>, String> {
        let parts = good.parts()?;
        let one = |how: &str, token: Option<Token>| {
            let token = token.ok_or("a token could not be signed")?;
            Ok::<_, String>(Forged { how: how.to_owned(), token })
        };
        let own = OwnKey::generate()?;
        match self {
            Self::MadeUpIssuer => {
                let mut parts = by_own_key(parts, OWN_ID);
                parts.claims["iss"] = "https://issuer.plimsoll.invalid/".into();
                Ok(vec![one("an issuer that does not exist", own.sign(parts))?])
            }
            Self::ChangedClaims => {
                let mut parts = parts;
                parts.claims["plimsoll"] = "changed".into();
                Ok(vec![one("a claim added under the same signature", Some(parts.token()))?])
            }
            Self::ChangedSignature => {
                let mut parts = parts;
                let bit = parts.signature.first_mut().ok_or("the good token has no signature")?;
                *bit ^= 1;
                Ok(vec![one("one bit of the signature turned", Some(parts.token()))?])
            }
            Self::EmptySignature => {
                let mut parts = parts;
                parts.signature.clear();
                Ok(vec![one("no signature", Some(parts.token()))?])
            }
            Self::AlgNone => Ok(Self::unsigned(&parts)),
            Self::PublicKeyAsSecret => sealed(&parts, keys),
            Self::UnknownKey => {
                let parts = by_own_key(parts, OWN_ID);
                Ok(vec![one("a key of our own under an id of our own", own.sign(parts))?])
            }
            Self::ForeignKey => {
                let id = parts.header["kid"].as_str().ok_or("the good token names no key")?.to_owned();
                let parts = by_own_key(parts, &id);
                Ok(vec![one("a key of our own under the id of the issuer's", own.sign(parts))?])
            }
            Self::KeyInHeader => {
                let mut brought = by_own_key(parts, OWN_ID);
                brought.header["jwk"] = own.jwk();
                let mut named = brought.clone();
                named.header["jku"] = "https://issuer.plimsoll.invalid/keys".into();
                Ok(vec![
                    one("our own key as `jwk`", own.sign(brought))?,
                    one("our own key as `jwk`, and `jku`", own.sign(named))?,
                ])
            }
        }
    }

    fn unsigned(parts: &Parts) -> Vec<Forged> {
        // Some libraries have compared the word with regard to case, and some not.
        let words = ["none", "None", "NONE", "nOnE"];
        let with = |word: &str, signature: &[u8]| {
            let mut parts = parts.clone();
            parts.signature = signature.to_vec();
            parts.header["alg"] = word.into();
            parts.token()
        };
        let mut forged: Vec<_> = words
            .iter()
            .map(|word| Forged { how: format!("`alg: {word}`, no signature"), token: with(word, &[]) })
            .collect();
        let how = "`alg: none`, the signature of the good token".to_owned();
        forged.push(Forged { how, token: with("none", &parts.signature) });
        forged
    }
}

/// HMAC, with each form of the issuer's public key as the secret.
fn sealed(parts: &Parts, keys: &KeySet) -> Result<Vec<Forged>, String> {
    let id = parts.header["kid"].as_str().ok_or("the good token names no key")?;
    let key = keys.find(id).ok_or("the issuer does not publish the key of its own token")?;
    let mut parts = parts.clone();
    parts.header["alg"] = "HS256".into();
    let seal = |(form, secret): (&str, Vec<u8>)| {
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let token =
            parts.clone().signed(|message| Some(ring::hmac::sign(&secret, message).as_ref().to_vec()))?;
        Some(Forged { how: format!("HMAC with {form}"), token })
    };
    key.forms()
        .into_iter()
        .map(|form| seal(form).ok_or_else(|| "a token could not be sealed".to_owned()))
        .collect()
}

impl FromStr for Forgery {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == words)
            .map(|(forgery, _)| forgery)
            .ok_or_else(|| format!("there is no token `{words}`"))
    }
}

impl fmt::Display for Forgery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Self::ALL.into_iter().find(|(known, _)| known == self).map_or("", |(_, words)| words);
        f.write_str(words)
    }
}

/// The id of keys of our own.
const OWN_ID: &str = "plimsoll-forger";

/// The same claims, to be signed by a key of our own under that id.
fn by_own_key(mut parts: Parts, id: &str) -> Parts {
    parts.header["alg"] = "ES256".into();
    parts.header["kid"] = id.into();
    parts
}

/// A key that is not the issuer's.
struct OwnKey(EcdsaKeyPair);

impl OwnKey {
    fn generate() -> Result<Self, String> {
        let random = SystemRandom::new();
        let failed = "a key could not be made";
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| failed)?;
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .map(Self)
            .map_err(|_| failed.to_owned())
    }

    /// The same claims, to be signed by this key under that id.
    fn sign(&self, parts: Parts) -> Option<Token> {
        let random = SystemRandom::new();
        parts
            .signed(|message| self.0.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec()))
    }

    fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": OWN_ID,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    /// A good token and the set that verifies it.
    fn good() -> (Token, KeySet, Vec<u8>) {
        let key = OwnKey::generate().unwrap();
        let claims = json!({"iss": "https://issuer", "sub": "alice", "groups": ["a"]});
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "issuers"});
        let token = key.sign(Parts::new(header, claims)).unwrap();
        let mut jwk = key.jwk();
        jwk["kid"] = "issuers".into();
        let set = KeySet::read(&json!({"keys": [jwk]}).to_string()).unwrap();
        (token, set, key.0.public_key().as_ref().to_vec())
    }

    fn verifies(token: &Token, point: &[u8]) -> bool {
        let (message, _) = token.expose().rsplit_once('.').unwrap();
        let signature = token.parts().unwrap().signature;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message.as_bytes(), &signature).is_ok()
    }

    #[test]
    fn no_forged_token_holds_by_the_issuers_key_and_each_has_one_flaw() {
        let (token, set, point) = good();
        assert!(verifies(&token, &point));
        let original = token.parts().unwrap();
        for (forgery, words) in Forgery::ALL {
            assert_eq!(words.parse::<Forgery>().unwrap(), forgery);
            assert_eq!(forgery.to_string(), words);
            let forged = forgery.forge(&token, &set).unwrap();
            assert!(!forged.is_empty());
            for one in &forged {
                assert!(!verifies(&one.token, &point), "{}", one.how);
                assert_ne!(one.token, token, "{}", one.how);
                let parts = one.token.parts().unwrap();
                let same_claims = parts.claims == original.claims;
                let about_claims = matches!(forgery, Forgery::MadeUpIssuer | Forgery::ChangedClaims);
                assert_eq!(same_claims, !about_claims, "{}", one.how);
            }
        }
        assert!("of nobody".parse::<Forgery>().is_err());
    }

    #[test]
    fn a_key_that_a_token_brings_does_verify_it() {
        let (token, set, _) = good();
        for one in Forgery::KeyInHeader.forge(&token, &set).unwrap() {
            let jwk = &one.token.parts().unwrap().header["jwk"];
            let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
            assert!(verifies(&one.token, &[vec![4], number("x"), number("y")].concat()), "{}", one.how);
        }
    }

    #[test]
    fn a_sealed_token_holds_by_the_public_key_in_each_of_its_forms() {
        let (token, set, _) = good();
        let forms = set.find("issuers").unwrap().forms();
        let forged = Forgery::PublicKeyAsSecret.forge(&token, &set).unwrap();
        assert_eq!(forged.len(), forms.len());
        for (one, (_, secret)) in forged.iter().zip(forms) {
            let (message, _) = one.token.expose().rsplit_once('.').unwrap();
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            let signature = one.token.parts().unwrap().signature;
            ring::hmac::verify(&key, message.as_bytes(), &signature).unwrap();
            assert_eq!(one.token.parts().unwrap().header["alg"], "HS256");
        }
    }

    #[test]
    fn what_cannot_be_forged_is_said() {
        let (token, _, _) = good();
        let strange = KeySet::read(r#"{"keys": [{"kty": "EC", "kid": "other"}]}"#).unwrap();
        assert!(Forgery::PublicKeyAsSecret.forge(&token, &strange).is_err());
        assert!(Forgery::AlgNone.forge(&Token::new("x"), &strange).is_err());
    }
}
