//! Requirements, controls, the tag vocabulary, suites, the embedded features and their lint.
