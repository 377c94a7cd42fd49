//! Tokens: kept out of sight, taken apart, put together.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A bearer token. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// A token in its three parts, the first two read.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) header: Value,
    pub(super) claims: Value,
    pub(super) signature: Vec<u8>,
    /// Header and claims as they were written, for what is left as it was: JSON can be written in many ways.
    written: [String; 2],
}

impl Token {
    /// From the token's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the header of a request.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads what a program wrote: an ExecCredential, or the token itself.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let token = if text.starts_with('{') {
            let credential: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let token = credential.pointer("/status/token").and_then(Value::as_str);
            token.ok_or("the ExecCredential has no `status.token`")?.to_owned()
        } else {
            text.to_owned()
        };
        let token = Self(token);
        token.parts()?;
        Ok(token)
    }

    /// A claim that is one text.
    pub fn claim(&self, name: &str) -> Option<String> {
        Some(self.parts().ok()?.claims.get(name)?.as_str()?.to_owned())
    }

    /// A claim that is a list of texts, sorted; one text is a list of one, and none an empty one.
    pub fn claim_list(&self, name: &str) -> Vec<String> {
        let Ok(parts) = self.parts() else { return Vec::new() };
        let mut list: Vec<String> = match parts.claims.get(name) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => {
                many.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        list.sort();
        list
    }

    /// The id of the key that signed it.
    pub fn key_id(&self) -> Option<String> {
        Some(self.parts().ok()?.header["kid"].as_str()?.to_owned())
    }

    pub(super) fn parts(&self) -> Result<Parts, String> {
        let mut parts = self.0.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("a signed JWT has three parts".to_owned());
        };
        let bytes = |name: &str, text: &str| {
            URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("its {name} is not base64url"))
        };
        let json = |name: &str, text: &str| {
            serde_json::from_slice(&bytes(name, text)?).map_err(|_| format!("its {name} is not JSON"))
        };
        Ok(Parts {
            header: json("header", header)?,
            claims: json("claims", claims)?,
            signature: bytes("signature", signature)?,
            written: [header.to_owned(), claims.to_owned()],
        })
    }
}

impl Parts {
    /// A token in the making.
    #[cfg(test)]
    pub(super) const fn new(header: Value, claims: Value) -> Self {
        Self { header, claims, signature: Vec::new(), written: [String::new(), String::new()] }
    }

    /// What is signed.
    pub(super) fn message(&self) -> String {
        let [header, claims] = &self.written;
        format!("{}.{}", part(header, &self.header), part(claims, &self.claims))
    }

    /// With a signature that is made of what is signed.
    pub(super) fn signed(mut self, sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<Token> {
        self.signature = sign(self.message().as_bytes())?;
        Some(self.token())
    }

    pub(super) fn token(&self) -> Token {
        Token(format!("{}.{}", self.message(), URL_SAFE_NO_PAD.encode(&self.signature)))
    }
}

/// A part as it was written, or anew if it says something else now.
fn part(written: &str, value: &Value) -> String {
    let said =
        URL_SAFE_NO_PAD.decode(written).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    if said.as_ref() == Some(value) { written.to_owned() } else { URL_SAFE_NO_PAD.encode(value.to_string()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_read_from_either_form_and_never_shown() {
        let token = Parts::new(json!({"alg": "ES256"}), json!({"sub": "a"})).token();
        let credential = json!({"kind": "ExecCredential", "status": {"token": token.expose()}});
        assert_eq!(Token::read(&credential.to_string()).unwrap(), token);
        assert_eq!(Token::read(&format!("{}\n", token.expose())).unwrap(), token);
        assert_eq!(format!("{token:?}"), "Token");
        for wrong in ["", "a.b", "a.b.c", "{}", "{"] {
            assert!(Token::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_changed_is_written_as_it_was() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = Token(format!("{}.{}.AA", encode(r#"{ "alg" : "RS256" }"#), encode(r#"{"sub": "a"}"#)));
        let mut parts = token.parts().unwrap();
        assert_eq!(parts.token(), token);
        parts.claims["sub"] = "b".into();
        let changed = parts.token();
        assert_eq!(changed.expose().split('.').next(), token.expose().split('.').next());
        assert_eq!(changed.parts().unwrap().claims, json!({"sub": "b"}));
    }
}
