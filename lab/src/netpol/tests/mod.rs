//! Tests of the dataplane: each rule of the standard by name, the compiler against a naive reading of
//! the standard on generated clusters, the text by snapshots and by nft itself.

mod cluster_policy;
mod convert;
mod defect;
mod fixtures;
mod interpret;
mod nft;
mod packets;
mod plugin;
mod property;
mod semantics;
mod snapshots;
mod standard;
mod state;
