//! Cases made at random, or by others, put on a real cluster and compared with the oracle path by path; what disagrees is
//! made as small as it can be.

pub mod case;
mod classic;
mod file;
mod ground;
mod marker;
mod measure;
mod progress;
mod record;
pub mod recorded;
mod run;
mod shrink;
mod smaller;
mod strategy;

#[cfg(test)]
mod tests;

pub use classic::classic;
pub use file::{FilePod, FileWorld, Origin, Reproduction};
pub use ground::{Equipment, Moved, World, remove_namespaces};
pub use marker::{Marker, Watchtower};
pub use measure::{Deviation, Measured, PathKey, Patience, agrees, measure};
pub use progress::{Entered, Looked, Progress};
pub use record::{Recorder, plan};
pub use recorded::Recorded;
pub use run::{Disagreement, Made, Order, Report, Source, Tally, Trouble, clean_up, generate, run};
pub use shrink::{Bounds, Judge, Shrunk, shrink};
pub use smaller::smaller;
