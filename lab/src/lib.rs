//! The lab.

pub mod netpol;
