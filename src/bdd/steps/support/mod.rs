//! What several domains of steps share.

pub mod agents;
pub mod api;
pub mod consumption;
pub mod denials;
pub mod logins;
pub mod paths;
pub mod pods;
pub mod policies;
pub mod tenants;
pub mod verbs;
