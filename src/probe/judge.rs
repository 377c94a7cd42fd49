//! From what the two ends of a probe saw to its verdict.

use plimsoll_agent::protocol::{Outcome, Seen};

use super::matrix::OtherEnd;
use super::verdict::{Forbidder, Verdict};

/// What the client alone can tell.
pub fn of_client(seen: &Seen) -> Verdict {
    match seen {
        Seen::Echo { .. } | Seen::Accepted | Seen::Resolved { .. } => Verdict::Open,
        Seen::Misrouted { echo } => Verdict::Misrouted { by: echo.who.name() },
        Seen::Stranger { said } => Verdict::Misrouted { by: format!("a stranger who said {said:?}") },
        Seen::Http { status: 401, .. } => Verdict::Unauthenticated,
        Seen::Http { status: 403, server, said } => Verdict::Forbidden {
            by: match server {
                Some(name) => Forbidder::Proxy { name: name.clone() },
                None => Forbidder::Unknown { message: said.clone() },
            },
        },
        Seen::Http { status: 429, .. } => Verdict::RateLimited,
        Seen::Http { status, server, said } => {
            let server = server.as_deref().unwrap_or("an unnamed server");
            Verdict::probe_error(format!("HTTP {status} from {server}: {said}"))
        }
        Seen::Silence => Verdict::Dropped,
        Seen::Refused { .. } => Verdict::Refused,
        Seen::Rejected { icmp_type, icmp_code, by } => {
            let by = by.map(|by| format!(" from {by}")).unwrap_or_default();
            Verdict::Rejected { reason: Some(format!("ICMP type {icmp_type} code {icmp_code}{by}")) }
        }
        Seen::Unresolved { rcode } => Verdict::DnsFailed { rcode: rcode.clone() },
        Seen::Trouble { why } => Verdict::probe_error(why),
    }
}

/// Whether the client's word needs the other end's: it heard no agent, yet its packets may have arrived.
pub const fn needs_other_end(outcome: &Outcome) -> bool {
    matches!(outcome.seen, Seen::Silence | Seen::Rejected { .. } | Seen::Refused { .. })
}

/// Both ends together.
pub fn of_both(seen: &Seen, server: &OtherEnd) -> Verdict {
    match server {
        OtherEnd::Arrived { .. } | OtherEnd::HalfOpen { .. } => match of_client(seen) {
            Verdict::Dropped | Verdict::Rejected { .. } | Verdict::Refused => Verdict::Asymmetric,
            other => other,
        },
        OtherEnd::NotAsked | OtherEnd::Nothing => of_client(seen),
    }
}
