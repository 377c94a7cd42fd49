//! Verdicts, two-ended probes, controls, the all-pairs matrix.
