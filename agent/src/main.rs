//! The in-pod agent.
fn main() {}
