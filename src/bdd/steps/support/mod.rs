//! What several domains of steps share.

pub mod agents;
pub mod api;
mod books;
pub mod consumption;
pub mod denials;
pub mod logins;
pub mod paths;
pub mod pods;
pub mod pointers;
pub mod policies;
pub mod reaches;
pub mod room;
pub mod takeover;
pub mod tenants;
pub mod verbs;
pub mod volumes;
pub mod ways;
pub mod ways_up;
