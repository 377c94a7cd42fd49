//! Plimsoll proves that a multi-tenant Kubernetes platform keeps its promises.
//!
//! Data flows one way: profile + features -> plan -> engine -> events -> journal -> reports. No renderer
//! talks to a cluster; no step formats a report. `engine`, `oracle`, `measure`, `report` and `evidence` do
//! no I/O towards a cluster and are tested without one.

pub mod bdd;
pub mod catalog;
pub mod cli;
pub mod cluster;
pub mod engine;
pub mod evidence;
pub mod exit;
pub mod fuzz;
pub mod measure;
pub mod oracle;
pub mod probe;
pub mod profile;
pub mod report;
pub mod sabotage;
pub mod services;
pub mod session;
pub mod tenant;
