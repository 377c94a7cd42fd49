//! One attempt to do something, and the proof that it worked.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verdict::{Verdict, VerdictKind};

/// A point on the monotonic clock of this process, in microseconds since the clock was first read.
///
/// Controls and denials are put in order by it, so it must not be the wall clock, which may step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, Default,
)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        let epoch = EPOCH.get_or_init(Instant::now);
        Self(u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// So many microseconds after the clock's start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the clock's start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// When something began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, Default)]
pub struct Span {
    /// The moment before the first packet or request.
    pub began: Moment,
    /// The moment after the verdict was known.
    pub ended: Moment,
}

impl Span {
    /// From then until now.
    pub fn since(began: Moment) -> Self {
        Self { began, ended: Moment::now() }
    }

    /// How long it took.
    pub const fn length(self) -> Duration {
        self.ended.since(self.began)
    }

    /// Over before the other began.
    pub fn precedes(self, other: Self) -> bool {
        self.ended <= other.began
    }
}

/// One attempt: who tried what, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Who tried: a pod, a user, a group.
    pub actor: String,
    /// What was tried, without what a control may vary: `bravo/api tcp 8080 by pod address`,
    /// `create pods in tenant-alpha`. A control must have the same target as the denial that it supports.
    pub target: String,
    /// What sets this attempt apart from its control where both have the same actor: `privileged container`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What it came to.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// When, at the latest and at the earliest: the whole matrix, for a cell of one.
    pub span: Span,
    /// How long this attempt itself took, where the span is wider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// What a third party needs in order to check it: request and response, the two ends of a probe.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub evidence: serde_json::Value,
}

impl Attempt {
    /// Makes an attempt and times it.
    pub async fn make<F>(actor: impl Into<String>, target: impl Into<String>, probe: F) -> Self
    where
        F: Future<Output = Verdict>,
    {
        let began = Moment::now();
        let verdict = probe.await;
        Self {
            actor: actor.into(),
            target: target.into(),
            variant: None,
            verdict,
            span: Span::since(began),
            took_us: None,
            evidence: serde_json::Value::Null,
        }
    }

    /// Says what sets this attempt apart from its control.
    #[must_use]
    pub fn variant(mut self, variant: impl Into<String>) -> Self {
        self.variant = Some(variant.into());
        self
    }

    /// Attaches what a third party needs in order to check it.
    #[must_use]
    pub fn evidence(mut self, evidence: serde_json::Value) -> Self {
        self.evidence = evidence;
        self
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.actor, self.target)?;
        if let Some(variant) = &self.variant {
            write!(f, " ({variant})")?;
        }
        Ok(())
    }
}

/// An attempt that worked. There is no other way to one than an attempt with the verdict OPEN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Open(Attempt);

/// An attempt that was to be open was not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected OPEN from {attempt}, saw {}", attempt.verdict)]
pub struct NotOpen {
    /// The attempt.
    pub attempt: Box<Attempt>,
}

impl NotOpen {
    /// The attempt tells nothing about the platform: the step is inconclusive rather than failed.
    pub fn is_unclear(&self) -> bool {
        matches!(
            self.attempt.verdict.kind(),
            VerdictKind::ProbeError | VerdictKind::RateLimited | VerdictKind::Unauthenticated
        )
    }
}

impl Open {
    /// The attempt that worked.
    pub fn attempt(&self) -> &Attempt {
        &self.0
    }
}

impl TryFrom<Attempt> for Open {
    type Error = NotOpen;

    fn try_from(attempt: Attempt) -> Result<Self, Self::Error> {
        if attempt.verdict == Verdict::Open {
            Ok(Self(attempt))
        } else {
            Err(NotOpen { attempt: Box::new(attempt) })
        }
    }
}
