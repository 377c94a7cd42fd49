//! The in-pod agent.
