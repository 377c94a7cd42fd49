//! Requirements, controls, the tag vocabulary, suites, the embedded features and their lint.

mod codes;
mod feature;
mod finding;
mod lint;
mod load;
mod plan;
mod requirement;
mod select;
mod source;
mod suite;
mod tags;
mod waivers;
mod wording;

pub use codes::Code;
pub use feature::{Feature, Scenario};
pub use finding::{Finding, render};
pub use lint::{Denials, Match, StepMatcher, lint};
pub use load::{Catalog, CatalogError};
pub use plan::PlanRequest;
pub use requirement::{Control, Requirement, RequirementError, Requirements};
pub use select::SelectError;
pub use source::{ReadError, Source};
pub use suite::{
    Selector, Suite, SuiteEntry, SuiteKind, SuiteMetadata, SuiteSpec, SuiteVersion, suite_schema,
};
pub use tags::{Tag, TagError, all_near, nearest};
pub use waivers::waivers;

#[cfg(test)]
mod tests;
