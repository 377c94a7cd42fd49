//! Attempts and denials in the terms of the engine: evidence to show, reasons to end a scenario with.

use serde_json::Value;

use super::attempt::{Attempt, NotOpen, Open};
use super::denial::{Denial, NotDenied};
use super::verdict::{Accepted, VerdictKind};
use crate::engine::{ControlPhase, Evidence, EvidenceBody, Reason, ReasonKind};

impl Attempt {
    /// This attempt as a piece of evidence.
    pub fn to_evidence(&self, accepted: &Accepted, control: Option<ControlPhase>) -> Evidence {
        let what = match control {
            None => "attempt",
            Some(ControlPhase::Before) => "control before",
            Some(ControlPhase::After) => "control after",
        };
        let detail = match (self.verdict.detail(), &self.evidence) {
            (None, evidence) => evidence.clone(),
            (Some(text), Value::Null) => Value::String(text),
            (Some(text), evidence) => serde_json::json!({ "verdict": text, "seen": evidence }),
        };
        let to = match &self.variant {
            Some(variant) => format!("{} ({variant})", self.target),
            None => self.target.clone(),
        };
        Evidence {
            title: format!("{what}: {self}: {}", self.verdict.kind()),
            body: EvidenceBody::Attempt {
                from: self.actor.clone(),
                to,
                accepted: accepted.iter().map(|kind| kind.word().to_owned()).collect(),
                verdict: self.verdict.kind().word().to_owned(),
                took_us: self
                    .took_us
                    .unwrap_or_else(|| u64::try_from(self.span.length().as_micros()).unwrap_or(u64::MAX)),
                control,
                detail,
            },
        }
    }
}

impl Open {
    /// This attempt as a piece of evidence.
    pub fn to_evidence(&self) -> Evidence {
        self.attempt().to_evidence(&Accepted::only(VerdictKind::Open), None)
    }
}

impl Denial {
    /// The control before, the attempt, the control after.
    pub fn to_evidence(&self, accepted: &Accepted) -> [Evidence; 3] {
        let open = Accepted::only(VerdictKind::Open);
        [
            self.before().attempt().to_evidence(&open, Some(ControlPhase::Before)),
            self.attempt().to_evidence(accepted, None),
            self.after().attempt().to_evidence(&open, Some(ControlPhase::After)),
        ]
    }
}

impl NotDenied {
    /// The family of trouble that this is.
    pub const fn reason_kind(&self) -> ReasonKind {
        match self {
            Self::Breach { .. } | Self::Unexpected { .. } => ReasonKind::Requirement,
            Self::NoControl { .. } => ReasonKind::NoControl,
            Self::Unclear { .. } | Self::Unrelated { .. } => ReasonKind::Trouble,
        }
    }
}

impl From<NotDenied> for Reason {
    fn from(no: NotDenied) -> Self {
        Self::new(no.reason_kind(), no.to_string())
    }
}

impl From<NotOpen> for Reason {
    fn from(no: NotOpen) -> Self {
        let kind = if no.is_unclear() { ReasonKind::Trouble } else { ReasonKind::Requirement };
        Self::new(kind, no.to_string())
    }
}
