//! The closed set of verdicts.
//!
//! Every probe, whether it dialled a port or asked the Kubernetes API, ends in exactly one [`Verdict`].
//! A step names the verdicts that it accepts as [`Accepted`]; anything else is never "denied".

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one attempt to do something came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// It worked: the right answer came from the right one.
    Open,
    /// Nothing came back before the deadline, and nothing arrived at the other end.
    Dropped,
    /// Something on the way said no (ICMP unreachable or administratively prohibited).
    Rejected {
        /// The operating system's word for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A reset: either nobody listens there or a filter answers with a reset.
    Refused,
    /// The client heard nothing, yet its nonce arrived at the server: the way there is open.
    Asymmetric,
    /// Somebody answered, but not the one that was meant.
    Misrouted {
        /// Who answered instead.
        by: String,
    },
    /// The name did not resolve.
    DnsFailed {
        /// The resolver's response code (`NXDOMAIN`, `SERVFAIL`), or `TIMEOUT`.
        rcode: String,
    },
    /// The TLS handshake was refused.
    TlsFailed {
        /// The alert, or what the handshake ended in.
        reason: String,
    },
    /// The caller was not recognised (HTTP 401).
    Unauthenticated,
    /// The caller was recognised and refused.
    Forbidden {
        /// Who refused.
        by: Forbidder,
    },
    /// The caller was told to come back later (HTTP 429).
    RateLimited,
    /// The request was permitted to this caller, and refused for its content.
    AdmissionDenied {
        /// What refused it.
        by: Admitter,
    },
    /// A quota is used up.
    QuotaExceeded {
        /// The name of the `ResourceQuota`.
        quota: String,
    },
    /// The attempt could not be made or could not be judged: says nothing about the platform.
    ProbeError {
        /// What went wrong.
        reason: String,
    },
}

/// Who refused a caller that was recognised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Forbidder {
    /// The API server's authorizer; on nearly every cluster that is RBAC.
    Authorizer {
        /// The authorizer's own reason, where it gave one (RBAC gives none).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// RBAC's guard against granting rights that the caller does not hold (`escalate`, `bind`).
    RbacEscalation,
    /// A proxy on the way (mesh sidecar, ingress), named by what it says of itself.
    Proxy {
        /// The proxy's name.
        name: String,
    },
    /// A controller that was to carry out what the API server had admitted, and has not: it has shown that it had
    /// got that far.
    Controller {
        /// What it is called.
        name: String,
        /// What it said, if anything.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A refusal whose author could not be told.
    Unknown {
        /// The message as received.
        message: String,
    },
}

/// What refused a request for its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Admitter {
    /// Pod Security admission.
    PodSecurity {
        /// Level and version, as in `restricted:latest`.
        level: String,
    },
    /// A `ValidatingAdmissionPolicy`.
    ValidatingPolicy {
        /// The policy.
        policy: String,
        /// Its binding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        binding: Option<String>,
    },
    /// An admission webhook.
    Webhook {
        /// The webhook's name.
        name: String,
    },
    /// A `LimitRange`.
    LimitRange,
    /// A `ResourceQuota` that wants resources to be named (nothing is used up).
    Quota {
        /// The name of the `ResourceQuota`.
        quota: String,
    },
    /// Another admission plugin of the API server.
    Plugin {
        /// The plugin's name.
        name: String,
    },
    /// A refusal whose author could not be told.
    Unknown {
        /// The message as received.
        message: String,
    },
}

/// A verdict without its particulars: the word that a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // the words are those of `Verdict`
pub enum VerdictKind {
    Open,
    Dropped,
    Rejected,
    Refused,
    Asymmetric,
    Misrouted,
    DnsFailed,
    TlsFailed,
    Unauthenticated,
    Forbidden,
    RateLimited,
    AdmissionDenied,
    QuotaExceeded,
    ProbeError,
}

impl VerdictKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Open,
        Self::Dropped,
        Self::Rejected,
        Self::Refused,
        Self::Asymmetric,
        Self::Misrouted,
        Self::DnsFailed,
        Self::TlsFailed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::RateLimited,
        Self::AdmissionDenied,
        Self::QuotaExceeded,
        Self::ProbeError,
    ];

    /// The word, as it stands in features and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Dropped => "DROPPED",
            Self::Rejected => "REJECTED",
            Self::Refused => "REFUSED",
            Self::Asymmetric => "ASYMMETRIC",
            Self::Misrouted => "MISROUTED",
            Self::DnsFailed => "DNS_FAILED",
            Self::TlsFailed => "TLS_FAILED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::RateLimited => "RATE_LIMITED",
            Self::AdmissionDenied => "ADMISSION_DENIED",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::ProbeError => "PROBE_ERROR",
        }
    }

    /// One character for compact tables: `.` is open, letters are refusals, `!` and `?` want a look.
    pub const fn symbol(self) -> char {
        match self {
            Self::Open => '.',
            Self::Dropped => 'D',
            Self::Rejected => 'J',
            Self::Refused => 'R',
            Self::Asymmetric => '!',
            Self::Misrouted => 'M',
            Self::DnsFailed => 'N',
            Self::TlsFailed => 'T',
            Self::Unauthenticated => 'U',
            Self::Forbidden => 'F',
            Self::RateLimited => 'L',
            Self::AdmissionDenied => 'A',
            Self::QuotaExceeded => 'Q',
            Self::ProbeError => '?',
        }
    }

    /// The verdict that a symbol stands for.
    pub fn from_symbol(symbol: char) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.symbol() == symbol)
    }

    /// Something got through, so a promised denial is broken whatever the controls say.
    pub const fn is_breach(self) -> bool {
        matches!(self, Self::Open | Self::Asymmetric | Self::Misrouted)
    }

    /// The attempt tells nothing about the promise, unless the step asks for just this.
    pub const fn is_unclear(self) -> bool {
        matches!(self, Self::ProbeError | Self::DnsFailed | Self::RateLimited | Self::Unauthenticated)
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no verdict; the verdicts are {}", list(VerdictKind::ALL))]
pub struct UnknownVerdict {
    /// The word as written.
    pub word: String,
}

impl FromStr for VerdictKind {
    type Err = UnknownVerdict;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or_else(|| UnknownVerdict { word: word.to_owned() })
    }
}

impl Verdict {
    /// The verdict without its particulars.
    pub const fn kind(&self) -> VerdictKind {
        match self {
            Self::Open => VerdictKind::Open,
            Self::Dropped => VerdictKind::Dropped,
            Self::Rejected { .. } => VerdictKind::Rejected,
            Self::Refused => VerdictKind::Refused,
            Self::Asymmetric => VerdictKind::Asymmetric,
            Self::Misrouted { .. } => VerdictKind::Misrouted,
            Self::DnsFailed { .. } => VerdictKind::DnsFailed,
            Self::TlsFailed { .. } => VerdictKind::TlsFailed,
            Self::Unauthenticated => VerdictKind::Unauthenticated,
            Self::Forbidden { .. } => VerdictKind::Forbidden,
            Self::RateLimited => VerdictKind::RateLimited,
            Self::AdmissionDenied { .. } => VerdictKind::AdmissionDenied,
            Self::QuotaExceeded { .. } => VerdictKind::QuotaExceeded,
            Self::ProbeError { .. } => VerdictKind::ProbeError,
        }
    }

    /// Shorthand for a probe that told nothing.
    pub fn probe_error(reason: impl fmt::Display) -> Self {
        Self::ProbeError { reason: reason.to_string() }
    }

    /// The particulars, where there are any: who refused, or why.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Rejected { reason } => reason.clone(),
            Self::Misrouted { by } => Some(format!("answered by {by}")),
            Self::DnsFailed { rcode } => Some(rcode.clone()),
            Self::TlsFailed { reason } | Self::ProbeError { reason } => Some(reason.clone()),
            Self::Forbidden { by } => Some(format!("by {by}")),
            Self::AdmissionDenied { by } => Some(format!("by {by}")),
            Self::QuotaExceeded { quota } => Some(format!("quota {quota}")),
            Self::Open
            | Self::Dropped
            | Self::Refused
            | Self::Asymmetric
            | Self::Unauthenticated
            | Self::RateLimited => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail() {
            Some(detail) => write!(f, "{} ({detail})", self.kind()),
            None => write!(f, "{}", self.kind()),
        }
    }
}

impl fmt::Display for Forbidder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorizer { reason: None } => f.write_str("the authorizer"),
            Self::Authorizer { reason: Some(reason) } => write!(f, "the authorizer: {reason}"),
            Self::RbacEscalation => f.write_str("RBAC's escalation guard"),
            Self::Proxy { name } => write!(f, "proxy {name}"),
            Self::Controller { name, reason: None } => write!(f, "controller {name}"),
            Self::Controller { name, reason: Some(reason) } => write!(f, "controller {name}: {reason}"),
            Self::Unknown { message } => write!(f, "an unknown party: {message}"),
        }
    }
}

impl fmt::Display for Admitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodSecurity { level } => write!(f, "PodSecurity {level}"),
            Self::ValidatingPolicy { policy, binding: Some(binding) } => {
                write!(f, "ValidatingAdmissionPolicy {policy}, binding {binding}")
            }
            Self::ValidatingPolicy { policy, binding: None } => {
                write!(f, "ValidatingAdmissionPolicy {policy}")
            }
            Self::Webhook { name } => write!(f, "webhook {name}"),
            Self::LimitRange => f.write_str("LimitRange"),
            Self::Quota { quota } => write!(f, "ResourceQuota {quota}"),
            Self::Plugin { name } => write!(f, "admission plugin {name}"),
            Self::Unknown { message } => write!(f, "an unknown party: {message}"),
        }
    }
}

/// The verdicts that a step accepts, as in "DROPPED or REJECTED". Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeSet<VerdictKind>", into = "BTreeSet<VerdictKind>")]
pub struct Accepted(BTreeSet<VerdictKind>);

/// Why a list of verdicts could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptedError {
    /// No verdict at all would accept nothing.
    #[error("no verdict is named")]
    Empty,
    /// One of the words is no verdict.
    #[error(transparent)]
    Unknown(#[from] UnknownVerdict),
}

impl Accepted {
    /// Exactly this one.
    pub fn only(kind: VerdictKind) -> Self {
        Self(BTreeSet::from([kind]))
    }

    /// What closes a network path at the packet level: DROPPED or REJECTED.
    pub fn closed() -> Self {
        Self(BTreeSet::from([VerdictKind::Dropped, VerdictKind::Rejected]))
    }

    /// Whether this verdict is among them.
    pub fn contains(&self, kind: VerdictKind) -> bool {
        self.0.contains(&kind)
    }

    /// The verdicts, in the order of the documentation.
    pub fn iter(&self) -> impl Iterator<Item = VerdictKind> + '_ {
        self.0.iter().copied()
    }
}

impl TryFrom<BTreeSet<VerdictKind>> for Accepted {
    type Error = AcceptedError;

    fn try_from(kinds: BTreeSet<VerdictKind>) -> Result<Self, Self::Error> {
        if kinds.is_empty() { Err(AcceptedError::Empty) } else { Ok(Self(kinds)) }
    }
}

impl From<Accepted> for BTreeSet<VerdictKind> {
    fn from(accepted: Accepted) -> Self {
        accepted.0
    }
}

impl FromStr for Accepted {
    type Err = AcceptedError;

    /// Reads "DROPPED", "DROPPED or REJECTED", "DROPPED, REJECTED or REFUSED".
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kinds = text
            .split(|c: char| c.is_whitespace() || c == ',')
            .filter(|word| !word.is_empty() && *word != "or")
            .map(VerdictKind::from_str)
            .collect::<Result<BTreeSet<_>, _>>()?;
        Self::try_from(kinds)
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.iter().map(VerdictKind::word).collect();
        match words.split_last() {
            Some((last, [])) => f.write_str(last),
            Some((last, rest)) => write!(f, "{} or {last}", rest.join(", ")),
            None => Ok(()),
        }
    }
}

fn list(kinds: impl IntoIterator<Item = VerdictKind>) -> String {
    kinds.into_iter().map(VerdictKind::word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_those_of_the_wire() {
        for kind in VerdictKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
            assert_eq!(kind.word().parse::<VerdictKind>().unwrap(), kind);
            assert_eq!(VerdictKind::from_symbol(kind.symbol()), Some(kind));
        }
    }

    #[test]
    fn a_verdict_names_who_refused() {
        let verdict = Verdict::AdmissionDenied {
            by: Admitter::ValidatingPolicy { policy: "guard-rails".into(), binding: Some("tenants".into()) },
        };
        insta::assert_snapshot!(verdict, @"ADMISSION_DENIED (by ValidatingAdmissionPolicy guard-rails, binding tenants)");
        insta::assert_snapshot!(
            serde_json::to_string(&verdict).unwrap(),
            @r#"{"verdict":"ADMISSION_DENIED","by":{"kind":"validating-policy","policy":"guard-rails","binding":"tenants"}}"#
        );
        insta::assert_snapshot!(Verdict::Forbidden { by: Forbidder::Authorizer { reason: None } }, @"FORBIDDEN (by the authorizer)");
        insta::assert_snapshot!(serde_json::to_string(&Verdict::Open).unwrap(), @r#"{"verdict":"OPEN"}"#);
    }

    #[test]
    fn a_list_of_verdicts_reads_as_it_is_written() {
        let accepted: Accepted = "DROPPED, REJECTED or REFUSED".parse().unwrap();
        assert_eq!(accepted.to_string(), "DROPPED, REJECTED or REFUSED");
        assert_eq!("DROPPED or REJECTED".parse::<Accepted>().unwrap(), Accepted::closed());
        assert_eq!(" or ".parse::<Accepted>(), Err(AcceptedError::Empty));
        insta::assert_snapshot!(
            "DENIED".parse::<Accepted>().unwrap_err(),
            @"`DENIED` is no verdict; the verdicts are OPEN, DROPPED, REJECTED, REFUSED, ASYMMETRIC, MISROUTED, DNS_FAILED, TLS_FAILED, UNAUTHENTICATED, FORBIDDEN, RATE_LIMITED, ADMISSION_DENIED, QUOTA_EXCEEDED, PROBE_ERROR"
        );
        assert!(serde_json::from_str::<Accepted>("[]").is_err());
    }

    proptest! {
        #[test]
        fn accepted_survives_text_and_json(kinds in prop::collection::btree_set(prop::sample::select(VerdictKind::ALL.to_vec()), 1..8)) {
            let accepted = Accepted::try_from(kinds).unwrap();
            prop_assert_eq!(&accepted.to_string().parse::<Accepted>().unwrap(), &accepted);
            let json = serde_json::to_string(&accepted).unwrap();
            prop_assert_eq!(serde_json::from_str::<Accepted>(&json).unwrap(), accepted);
        }
    }
}
