//! From a case that disagrees to the smallest one that still does, by trying on the cluster.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::strategy::ValueTree;

use super::case::Case;
use super::measure::Deviation;
use super::smaller::smaller;

/// How much may be spent on making a case smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most tries on the cluster.
    pub tries: usize,
    /// The longest that may go by.
    pub time: Duration,
}

/// Whether a case disagrees, as seen on the cluster.
pub trait Judge {
    /// Why it could not be told.
    type Trouble;
    /// The paths that disagree; none if all agree.
    fn judge(&mut self, case: &Case) -> impl Future<Output = Result<Vec<Deviation>, Self::Trouble>>;
}

/// The smallest case found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The case.
    pub case: Case,
    /// What disagreed in it when it was tried.
    pub deviations: Vec<Deviation>,
    /// How often something was tried.
    pub tries: usize,
    /// Whether nothing smaller disagrees, rather than the bounds having been reached.
    pub complete: bool,
}

/// One search.
struct Search<'a, J> {
    judge: &'a mut J,
    bounds: Bounds,
    began: Instant,
    tries: usize,
    /// What was tried already, in the order-free words of JSON: two ways may lead to one case.
    known: HashMap<String, bool>,
    best: (Case, Vec<Deviation>),
}

impl<J: Judge> Search<'_, J> {
    fn is_over(&self) -> bool {
        self.tries >= self.bounds.tries || self.began.elapsed() >= self.bounds.time
    }

    /// Tries a case; the smallest that disagrees so far is kept.
    async fn disagrees(&mut self, case: &Case) -> Result<bool, J::Trouble> {
        let words = serde_json::to_string(&case.stages).unwrap_or_default();
        if let Some(known) = self.known.get(&words) {
            return Ok(*known);
        }
        self.tries += 1;
        let deviations = self.judge.judge(case).await?;
        let disagrees = !deviations.is_empty();
        self.known.insert(words, disagrees);
        if disagrees {
            self.best = (case.clone(), deviations);
        }
        Ok(disagrees)
    }
}

/// Makes a case smaller: first the way that it was generated, then by leaving out whatever can be left out.
///
/// # Errors
/// Whatever keeps the judge from judging.
pub async fn shrink<J: Judge>(
    tree: Option<&mut dyn ValueTree<Value = Case>>,
    start: (Case, Vec<Deviation>),
    bounds: Bounds,
    judge: &mut J,
) -> Result<Shrunk, J::Trouble> {
    let mut search =
        Search { judge, bounds, began: Instant::now(), tries: 0, known: HashMap::new(), best: start };
    if let Some(tree) = tree {
        // Half of the bounds at most: what it leaves, the second part may still take.
        let mut going = tree.simplify();
        while going && search.tries < bounds.tries / 2 && search.began.elapsed() < bounds.time / 2 {
            let case = tree.current();
            going = if search.disagrees(&case).await? { tree.simplify() } else { tree.complicate() };
        }
    }
    let mut complete = false;
    'smaller: while !search.is_over() {
        for case in smaller(&search.best.0) {
            if search.is_over() {
                break 'smaller;
            }
            if search.disagrees(&case).await? {
                continue 'smaller;
            }
        }
        complete = true;
        break;
    }
    let (case, deviations) = search.best;
    Ok(Shrunk { case, deviations, tries: search.tries, complete })
}
