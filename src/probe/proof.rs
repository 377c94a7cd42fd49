//! Proof by matrix: every claimed pair open, or every claimed pair denied with its controls.
//!
//! ```
//! use plimsoll::probe::{Accepted, DeniedMatrix, MatrixResult};
//!
//! fn apart(before: &MatrixResult, tried: &MatrixResult, after: &MatrixResult) -> Result<(), plimsoll::engine::Reason> {
//!     let proof = DeniedMatrix::prove(before, tried, after, &Accepted::closed())
//!         // Which pairs are claimed to be denied.
//!         .claim(|source, target| source.place.starts_with("alpha/") && target.place.starts_with("bravo/"))
//!         // Which other source may vouch for the same target.
//!         .control(|_denied, control| control.place.starts_with("control/"))
//!         .judge()?;
//!     assert!(!proof.denials().is_empty());
//!     Ok(())
//! }
//! ```

use std::collections::BTreeMap;

use super::attempt::{NotOpen, Open};
use super::denial::{Denial, NotDenied};
use super::matrix::{Entry, MatrixResult, Source, Target};
use super::verdict::{Accepted, Verdict};
use crate::engine::{Reason, ReasonKind};

/// More lines than this help nobody.
const MOST_DETAILS: usize = 20;

/// Proof that every claimed pair of a matrix was denied, each with its controls.
#[derive(Clone, Debug)]
pub struct DeniedMatrix {
    denials: Vec<Denial>,
}

/// A claim in the making; see [`DeniedMatrix::prove`].
#[must_use = "nothing is proven before it is judged"]
pub struct DenialClaim<'a> {
    before: &'a MatrixResult,
    tried: &'a MatrixResult,
    after: &'a MatrixResult,
    accepted: &'a Accepted,
    claim: Box<dyn Fn(&Source, &Target) -> bool + 'a>,
    control: Box<dyn Fn(&Source, &Source) -> bool + 'a>,
}

/// Why a matrix proves nothing, or proves the contrary. Never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unproven {
    /// Pairs that break the promise.
    pub failures: Vec<String>,
    /// Pairs whose control was not open.
    pub uncontrolled: Vec<String>,
    /// Pairs that cannot be judged.
    pub unclear: Vec<String>,
    /// How many pairs were claimed.
    pub claimed: usize,
}

impl DeniedMatrix {
    /// Begins a claim that pairs of `tried` were denied, by the controls in `before` and `after`.
    ///
    /// Without [`DenialClaim::claim`] every pair is claimed; without [`DenialClaim::control`] the same source must have
    /// been open, which is right where the boundary itself was put up or taken down in between.
    pub fn prove<'a>(
        before: &'a MatrixResult,
        tried: &'a MatrixResult,
        after: &'a MatrixResult,
        accepted: &'a Accepted,
    ) -> DenialClaim<'a> {
        DenialClaim {
            before,
            tried,
            after,
            accepted,
            claim: Box::new(|_, _| true),
            control: Box::new(|denied, control| denied == control),
        }
    }

    /// The denials, by source, then by target. Never empty.
    pub fn denials(&self) -> &[Denial] {
        &self.denials
    }
}

impl<'a> DenialClaim<'a> {
    /// Which pairs are claimed.
    pub fn claim(mut self, claim: impl Fn(&Source, &Target) -> bool + 'a) -> Self {
        self.claim = Box::new(claim);
        self
    }

    /// Which other source may vouch for the same target: `control(denied, other)`.
    pub fn control(mut self, control: impl Fn(&Source, &Source) -> bool + 'a) -> Self {
        self.control = Box::new(control);
        self
    }

    /// Judges each claimed pair by [`Denial::prove`].
    ///
    /// # Errors
    /// A pair is not denied, or nothing was claimed.
    pub fn judge(self) -> Result<DeniedMatrix, Unproven> {
        let before = by_target(self.before);
        let after = by_target(self.after);
        let mut denials = Vec::new();
        let mut unproven = Unproven::default();
        for entry in self.tried.select(|source, target| (self.claim)(source, target)) {
            unproven.claimed += 1;
            let [first, last] = [&before, &after].map(|controls| self.controls(controls, &entry));
            match pick(&first, &last) {
                Some((first, last)) => {
                    match Denial::prove(first.attempt(), entry.attempt(), last.attempt(), self.accepted) {
                        Ok(denial) => denials.push(denial),
                        Err(no) => unproven.note(no),
                    }
                }
                // Something that got through needs no control to be a breach.
                None if entry.cell.verdict.kind().is_breach() => unproven.note(NotDenied::Breach {
                    attempt: Box::new(entry.attempt()),
                    accepted: self.accepted.clone(),
                }),
                None => {
                    unproven.uncontrolled.push(format!("no control tried what {} tried", entry.attempt()));
                }
            }
        }
        if unproven.claimed == 0 {
            unproven.unclear.push("no pair was tried of those that are to be denied".to_owned());
        }
        if unproven.is_empty() { Ok(DeniedMatrix { denials }) } else { Err(unproven) }
    }

    fn controls<'b>(
        &self,
        controls: &BTreeMap<String, Vec<Entry<'b>>>,
        denied: &Entry<'_>,
    ) -> Vec<Entry<'b>> {
        let candidates = controls.get(&denied.target.label()).map(Vec::as_slice).unwrap_or_default();
        candidates.iter().filter(|it| (self.control)(denied.source, it.source)).copied().collect()
    }
}

fn by_target(result: &MatrixResult) -> BTreeMap<String, Vec<Entry<'_>>> {
    let mut entries: BTreeMap<String, Vec<Entry<'_>>> = BTreeMap::new();
    for entry in result.iter() {
        entries.entry(entry.target.label()).or_default().push(entry);
    }
    entries
}

/// The best control of each phase: one that was open, of the same source in both where there is one.
fn pick<'b>(before: &[Entry<'b>], after: &[Entry<'b>]) -> Option<(Entry<'b>, Entry<'b>)> {
    let open = |it: &&Entry<'b>| it.cell.verdict == Verdict::Open;
    let both = before.iter().filter(open).find_map(|first| {
        after.iter().filter(open).find(|last| last.source == first.source).map(|last| (*first, *last))
    });
    let best = |entries: &[Entry<'b>]| entries.iter().find(open).or_else(|| entries.first()).copied();
    both.or_else(|| Some((best(before)?, best(after)?)))
}

/// Proof that every claimed pair of a matrix was open.
#[derive(Clone, Debug)]
pub struct OpenMatrix {
    open: Vec<Open>,
}

impl OpenMatrix {
    /// Judges the pairs of which `claim` holds.
    ///
    /// # Errors
    /// A pair was not open, or nothing was claimed.
    pub fn prove(result: &MatrixResult, claim: impl Fn(&Source, &Target) -> bool) -> Result<Self, Unproven> {
        let mut unproven = Unproven::default();
        let mut open = Vec::new();
        for entry in result.select(|source, target| claim(source, target)) {
            unproven.claimed += 1;
            match Open::try_from(entry.attempt()) {
                Ok(attempt) => open.push(attempt),
                Err(no) => unproven.note_not_open(&no),
            }
        }
        if unproven.claimed == 0 {
            unproven.unclear.push("no pair was tried of those that are to be open".to_owned());
        }
        if unproven.is_empty() { Ok(Self { open }) } else { Err(unproven) }
    }

    /// The open pairs, by source, then by target. Never empty.
    pub fn open(&self) -> &[Open] {
        &self.open
    }
}

impl Unproven {
    fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.uncontrolled.is_empty() && self.unclear.is_empty()
    }

    fn note(&mut self, no: NotDenied) {
        let line = no.to_string();
        match no.reason_kind() {
            ReasonKind::Requirement => self.failures.push(line),
            ReasonKind::NoControl => self.uncontrolled.push(line),
            _ => self.unclear.push(line),
        }
    }

    fn note_not_open(&mut self, no: &NotOpen) {
        let list = if no.is_unclear() { &mut self.unclear } else { &mut self.failures };
        list.push(no.to_string());
    }

    /// A broken promise outweighs a missing control, and that a probe that could not be judged.
    fn worst(&self) -> (ReasonKind, &[String]) {
        if !self.failures.is_empty() {
            (ReasonKind::Requirement, &self.failures)
        } else if !self.uncontrolled.is_empty() {
            (ReasonKind::NoControl, &self.uncontrolled)
        } else {
            (ReasonKind::Trouble, &self.unclear)
        }
    }
}

impl std::fmt::Display for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (_, lines) = self.worst();
        let first = lines.first().map(String::as_str).unwrap_or_default();
        match lines.len() {
            0 | 1 => f.write_str(first),
            many => write!(f, "{first}; {} more of {} alike", many - 1, self.claimed),
        }
    }
}

impl std::error::Error for Unproven {}

impl From<Unproven> for Reason {
    fn from(unproven: Unproven) -> Self {
        let (kind, lines) = unproven.worst();
        let mut reason = Self::new(kind, unproven.to_string());
        if lines.len() > 1 {
            reason.details = lines.iter().take(MOST_DETAILS).cloned().collect();
            if lines.len() > MOST_DETAILS {
                reason.details.push(format!("and {} more", lines.len() - MOST_DETAILS));
            }
        }
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::attempt::{Moment, Span};
    use crate::probe::matrix::{AddressKind, Cell, MatrixPlan, OtherEnd};
    use plimsoll_agent::protocol::Transport;
    use proptest::prelude::*;

    fn source(place: &str) -> Source {
        Source { agent: format!("ns/{place}"), place: place.into() }
    }

    fn target(place: &str) -> Target {
        Target {
            place: place.into(),
            by: AddressKind::PodAddress,
            transport: Transport::Tcp,
            host: "10.0.0.1".into(),
            port: 8080,
            expect: Vec::new(),
            question: None,
        }
    }

    /// A matrix over two tenants' and the control's sources towards two targets of bravo.
    fn result(began: u64, verdict: impl Fn(&Source, &Target) -> Verdict) -> MatrixResult {
        let plan = MatrixPlan::all_pairs(
            vec![source("alpha/web"), source("alpha/api"), source("control/client")],
            vec![target("bravo/web"), target("bravo/api")],
        );
        let mut cells = BTreeMap::new();
        for (row, source) in plan.sources.iter().enumerate() {
            for (column, target) in plan.targets.iter().enumerate() {
                let verdict = verdict(source, target);
                cells.insert((row, column), Cell { verdict, client: None, server: OtherEnd::NotAsked });
            }
        }
        let span = Span { began: Moment::from_micros(began), ended: Moment::from_micros(began + 10) };
        MatrixResult::new(plan, cells, span)
    }

    fn promised(source: &Source, _: &Target) -> Verdict {
        if source.place.starts_with("control/") { Verdict::Open } else { Verdict::Dropped }
    }

    fn judge(
        before: &MatrixResult,
        tried: &MatrixResult,
        after: &MatrixResult,
    ) -> Result<DeniedMatrix, Unproven> {
        DeniedMatrix::prove(before, tried, after, &Accepted::closed())
            .claim(|source, _| source.place.starts_with("alpha/"))
            .control(|_, control| control.place.starts_with("control/"))
            .judge()
    }

    #[test]
    fn each_denial_has_the_control_of_its_own_target() {
        let proof = judge(&result(0, promised), &result(10, promised), &result(20, promised)).unwrap();
        assert_eq!(proof.denials().len(), 4);
        for denial in proof.denials() {
            assert_eq!(denial.before().attempt().target, denial.attempt().target);
            assert_eq!(denial.after().attempt().actor, "control/client");
        }
    }

    #[test]
    fn one_open_path_fails_the_matrix_by_name() {
        let leak = |source: &Source, target: &Target| {
            if source.place == "alpha/api" && target.place == "bravo/web" {
                Verdict::Asymmetric
            } else {
                promised(source, target)
            }
        };
        let no = judge(&result(0, promised), &result(10, leak), &result(20, promised)).unwrap_err();
        let reason = Reason::from(no);
        assert_eq!(reason.kind, ReasonKind::Requirement);
        insta::assert_snapshot!(reason.message, @"expected DROPPED or REJECTED from alpha/api -> bravo/web:8080/TCP by pod address, saw ASYMMETRIC");
    }

    #[test]
    fn a_dead_listener_is_no_denial() {
        let dead = |source: &Source, target: &Target| {
            if target.place == "bravo/api" { Verdict::Dropped } else { promised(source, target) }
        };
        let no = judge(&result(0, promised), &result(10, promised), &result(20, dead)).unwrap_err();
        let reason = Reason::from(no);
        assert_eq!(reason.kind, ReasonKind::NoControl);
        insta::assert_snapshot!(reason.message, @"DROPPED from alpha/web -> bravo/api:8080/TCP by pod address proves nothing: the control after it (control/client -> bravo/api:8080/TCP by pod address) was DROPPED; 1 more of 4 alike");
        insta::assert_snapshot!(reason.details.join("\n"), @r#"
DROPPED from alpha/web -> bravo/api:8080/TCP by pod address proves nothing: the control after it (control/client -> bravo/api:8080/TCP by pod address) was DROPPED
DROPPED from alpha/api -> bravo/api:8080/TCP by pod address proves nothing: the control after it (control/client -> bravo/api:8080/TCP by pod address) was DROPPED
"#);
    }

    #[test]
    fn nothing_claimed_is_nothing_proven() {
        let all = result(0, promised);
        let no = DeniedMatrix::prove(&all, &all, &all, &Accepted::closed())
            .claim(|_, _| false)
            .judge()
            .unwrap_err();
        assert_eq!(Reason::from(no).kind, ReasonKind::Trouble);
        let no = OpenMatrix::prove(&all, |_, _| false).unwrap_err();
        assert_eq!(Reason::from(no).kind, ReasonKind::Trouble);
    }

    #[test]
    fn open_means_all_of_them() {
        let all = result(0, promised);
        let open = OpenMatrix::prove(&all, |source, _| source.place.starts_with("control/")).unwrap();
        assert_eq!(open.open().len(), 2);
        let no = OpenMatrix::prove(&all, |_, _| true).unwrap_err();
        insta::assert_snapshot!(Reason::from(no).message, @"expected OPEN from alpha/web -> bravo/web:8080/TCP by pod address, saw DROPPED; 3 more of 6 alike");
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop::sample::select(vec![
            Verdict::Open,
            Verdict::Dropped,
            Verdict::Refused,
            Verdict::Asymmetric,
            Verdict::probe_error("x"),
        ])
    }

    proptest! {
        /// Whatever is measured: the proof exists only if every claimed pair was accepted and its control open both times.
        #[test]
        fn a_proof_has_no_hole(cells in prop::collection::vec(any_verdict(), 18)) {
            let at = |phase: usize| {
                let cells = &cells;
                move |source: &Source, target: &Target| {
                    let row = ["alpha/web", "alpha/api", "control/client"].iter().position(|it| *it == source.place);
                    let column = usize::from(target.place == "bravo/api");
                    cells[phase * 6 + row.unwrap() * 2 + column].clone()
                }
            };
            let (before, tried, after) = (result(0, at(0)), result(10, at(1)), result(20, at(2)));
            let controlled = (0..2).all(|column| cells[4 + column] == Verdict::Open && cells[16 + column] == Verdict::Open);
            let denied = cells[6..10].iter().all(|it| *it == Verdict::Dropped);
            prop_assert_eq!(judge(&before, &tried, &after).is_ok(), controlled && denied);
        }
    }
}
