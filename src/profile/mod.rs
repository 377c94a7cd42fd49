//! The Platform profile: types, loading with source spans, capabilities, named deadlines.
