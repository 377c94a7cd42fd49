//! The issuer's public keys, and the forms in which programs keep them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// A key set, as RFC 7517 has it.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<PublicKey>);

/// One public key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    jwk: Value,
}

impl KeySet {
    /// Reads a key set.
    pub fn read(text: &str) -> Result<Self, String> {
        let set: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let keys = set["keys"].as_array().ok_or("it has no `keys`")?;
        if keys.is_empty() {
            return Err("it has no key".to_owned());
        }
        Ok(Self(keys.iter().map(|jwk| PublicKey { jwk: jwk.clone() }).collect()))
    }

    /// The key of that id.
    pub fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.id() == Some(kid))
    }

    /// The ids of the keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(PublicKey::id)
    }
}

impl PublicKey {
    /// Its id.
    pub fn id(&self) -> Option<&str> {
        self.jwk["kid"].as_str()
    }

    /// The forms in which a program may hold the key, and so take it for a secret: each with its name.
    pub fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut forms = vec![("the key as JWK", self.jwk.to_string().into_bytes())];
        if let Some(der) = self.der() {
            let pem = pem(&der);
            forms.push(("the key as PEM without its last line break", pem.trim_end().as_bytes().to_vec()));
            forms.push(("the key as PEM", pem.into_bytes()));
            forms.push(("the key as DER", der));
        }
        forms.reverse();
        forms
    }

    /// The SubjectPublicKeyInfo of RFC 5280.
    fn der(&self) -> Option<Vec<u8>> {
        let number = |name: &str| URL_SAFE_NO_PAD.decode(self.jwk.get(name)?.as_str()?).ok();
        let (algorithm, key) = match self.jwk["kty"].as_str()? {
            "RSA" => {
                let key = sequence(&[integer(&number("n")?), integer(&number("e")?)]);
                (sequence(&[object_id(&RSA), vec![0x05, 0x00]]), key)
            }
            "EC" => {
                let curve = match self.jwk["crv"].as_str()? {
                    "P-256" => &P256[..],
                    "P-384" => &P384[..],
                    "P-521" => &P521[..],
                    _ => return None,
                };
                let point = [vec![4], number("x")?, number("y")?].concat();
                (sequence(&[object_id(&EC), object_id(curve)]), point)
            }
            _ => return None,
        };
        // A bit string begins with the number of bits that are not used.
        Some(sequence(&[algorithm, element(0x03, &[vec![0], key].concat())]))
    }
}

const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: [u8; 5] = [0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: [u8; 5] = [0x2b, 0x81, 0x04, 0x00, 0x23];

/// One element of DER: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    if let Some(short) = u8::try_from(length).ok().filter(|short| *short < 0x80) {
        out.push(short);
    } else {
        let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        out.push(0x80 | bytes.len() as u8);
        out.extend(bytes);
    }
    out.extend(content);
    out
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

fn object_id(id: &[u8]) -> Vec<u8> {
    element(0x06, id)
}

/// A number that is not negative: its first bit is not set.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if bytes.first().is_none_or(|first| *first >= 0x80) {
        bytes.insert(0, 0);
    }
    element(0x02, &bytes)
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_have_the_pem_that_openssl_writes() {
        // The example keys of RFC 7517, appendix A.1, converted by `openssl pkey -pubin`.
        let ec = json!({"kty": "EC", "crv": "P-256", "kid": "1",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
        let set = KeySet::read(&json!({"keys": [ec]}).to_string()).unwrap();
        let forms = set.find("1").unwrap().forms();
        let text = |name: &str| {
            let (_, bytes) = forms.iter().find(|(known, _)| *known == name).unwrap();
            String::from_utf8(bytes.clone()).unwrap()
        };
        insta::assert_snapshot!(text("the key as PEM"), @r"
        -----BEGIN PUBLIC KEY-----
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A
        iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==
        -----END PUBLIC KEY-----
");
        assert_eq!(forms.len(), 4);
    }

    #[test]
    fn an_rsa_key_is_written_as_der_has_it() {
        let key = PublicKey { jwk: json!({"kty": "RSA", "n": "gQ", "e": "AQAB"}) };
        // 0x81 needs a leading zero.
        let expected = "301d300d06092a864886f70d0101010500030c003009020200810203010001";
        assert_eq!(hex::encode(key.der().unwrap()), expected);
        assert_eq!(element(4, &[0; 200])[..3], [4, 0x81, 200]);
    }

    #[test]
    fn an_empty_set_is_none() {
        for wrong in ["", "{}", r#"{"keys": []}"#] {
            assert!(KeySet::read(wrong).is_err(), "{wrong}");
        }
    }
}
