//! What a token says.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::AUDIENCE;
use super::socket::TokenOrder;
use crate::error::{LabError, Result};

/// A token that had ended before it began was good for this long before it did.
const PAST: i64 = 600;

/// The claims of an order, with the names that Microsoft's identity platform gives them.
pub(super) fn of(order: &TokenOrder, now: i64) -> Value {
    let begins = now.saturating_add(order.not_before);
    let ends = begins.saturating_add(order.lifetime);
    // Whoever asks for a token that is over gets one that was good once.
    let begins = if ends <= begins { ends.saturating_sub(PAST) } else { begins };
    let methods: &[&str] = if order.mfa { &["pwd", "mfa"] } else { &["pwd"] };
    json!({
        "iss": order.directory.issuer(),
        "sub": order.user,
        "aud": order.audience.as_deref().unwrap_or(AUDIENCE),
        "preferred_username": order.user,
        "groups": order.groups,
        "amr": methods,
        "iat": begins.min(now),
        "nbf": begins,
        "exp": ends,
        "jti": order.id,
    })
}

/// Seconds since 1970.
pub(super) fn now() -> Result<i64> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .ok_or_else(|| LabError::component("issuer", "the clock is before 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer::Directory;

    fn order(lifetime: i64, not_before: i64) -> TokenOrder {
        TokenOrder {
            directory: Directory::Platform,
            user: "alice".into(),
            groups: vec!["a".into()],
            mfa: false,
            audience: None,
            lifetime,
            not_before,
            id: "1".into(),
        }
    }

    #[test]
    fn times_are_those_that_were_asked_for() {
        let times = |order: &TokenOrder| {
            let claims = of(order, 10_000);
            ["iat", "nbf", "exp"].map(|name| claims[name].as_i64().unwrap())
        };
        assert_eq!(times(&order(600, 0)), [10_000, 10_000, 10_600]);
        assert_eq!(times(&order(600, 3600)), [10_000, 13_600, 14_200]);
        assert_eq!(times(&order(-60, 0)), [9_340, 9_340, 9_940]);
        assert_eq!(of(&order(1, 0), 0)["amr"], json!(["pwd"]));
        assert_eq!(of(&TokenOrder { mfa: true, ..order(1, 0) }, 0)["amr"], json!(["pwd", "mfa"]));
    }
}
