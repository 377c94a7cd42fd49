//! What is told of cases while they are compared.

use std::time::Duration;

use super::case::{Case, Stage};
use super::measure::{Deviation, Measured};
use super::shrink::Shrunk;

/// What is going on.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The worlds stand.
    Standing {
        /// How many pods that took.
        pods: usize,
        /// And how long.
        took: Duration,
    },
    /// A case begins.
    Begins {
        /// Its number, from 0.
        number: usize,
    },
    /// A stage of it is put on the cluster.
    Enters(Box<Entered>),
    /// It was looked at, as far as it got.
    Looked(Box<Looked>),
    /// It could not be tried.
    Stuck {
        /// Its number, from 0.
        number: usize,
        /// Why.
        why: String,
    },
    /// A case is done with, whatever came of it.
    Compared {
        /// How many have been by now.
        done: usize,
        /// Of how many.
        all: usize,
    },
    /// Something smaller disagrees, too.
    Smaller {
        /// How many policies it has.
        policies: usize,
        /// And rules in the largest of them.
        rules: usize,
    },
    /// A case that disagrees is as small as it gets.
    Understood {
        /// Its number, from 0.
        number: usize,
        /// What is left of it.
        shrunk: Box<Shrunk>,
    },
}

/// A stage of a case that is put on the cluster.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The number of the case, from 0.
    pub number: usize,
    /// Which stage of the case, from 0; none for what was there from the case before, from which it starts.
    pub at: Option<usize>,
    /// Of how many.
    pub of: usize,
    /// The stage.
    pub stage: Stage,
}

/// A case that was looked at.
#[derive(Clone, Debug)]
pub struct Looked {
    /// Its number, from 0.
    pub number: usize,
    /// The case.
    pub case: Case,
    /// What the world was in before.
    pub before: Stage,
    /// What was measured, stage by stage, up to the first that disagrees.
    pub stages: Vec<Measured>,
}

impl Looked {
    /// What disagrees.
    pub fn deviations(&self) -> &[Deviation] {
        self.stages.last().map_or(&[], |stage| &stage.deviations)
    }

    /// The case as it was found to disagree, with what was there before it as its first stage: it may need that.
    pub fn found(&self) -> Shrunk {
        let (mut case, mut deviations) = (self.case.clone(), self.deviations().to_vec());
        if self.before != Stage::default() {
            case.stages.insert(0, self.before.clone());
            for deviation in &mut deviations {
                deviation.stage += 1;
            }
        }
        Shrunk { case, deviations, tries: 0, complete: false }
    }
}
