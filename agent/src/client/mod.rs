//! The client: runs plans of probes, watches for changes, and reports over one held stream.

mod drive;
mod files;
mod hold;
mod lines;
mod names;
mod plan;
mod sample;
mod socket;
mod watch;

pub use drive::drive;
