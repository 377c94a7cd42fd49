//! The programs that the lab runs: pinned, embedded, built once.

mod build;
mod catalog;

pub(crate) use build::build;
pub(crate) use catalog::{ALL, Component, IMAGE_ARCHIVE, PAUSE_IMAGE, find};
