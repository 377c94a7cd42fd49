//! Requirements, controls, the tag vocabulary, suites, the embedded features and their lint.

mod requirement;

pub use requirement::{Control, Requirement, RequirementError, Requirements};
