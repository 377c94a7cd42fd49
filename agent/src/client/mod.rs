//! The client: runs plans of probes, watches for changes, and reports over one held stream.

mod drive;
mod files;
mod hold;
mod lines;
mod load;
mod names;
mod plan;
mod pulse;
mod sample;
mod socket;
mod watch;

pub use drive::drive;
