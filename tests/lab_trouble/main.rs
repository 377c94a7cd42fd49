//! What happens when something goes wrong, on the real thing: killed, interrupted, cut off, out of space.
//!
//! `plimsoll lab up --name test && PLIMSOLL_TEST_LAB=test cargo test --features lab-tests --test lab_trouble`

// A test that cannot go on ends there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fuzz;
mod program;
mod record;
mod runs;
mod sabotage;
