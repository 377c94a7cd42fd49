//! Pure predictors: a second opinion to what is measured.

mod access;
mod admin_paths;
#[cfg(test)]
mod admin_paths_tests;
mod anonymous;
pub mod network_policy;
mod paths;
mod quantity;
mod quota;
mod rbac;

pub use access::{AccessRow, AccessScope, Deviation, ExpectedAccess};
pub use admin_paths::{AdminPath, admin_paths, undeclared};
pub use anonymous::{AnonymousBinding, anonymous_bindings};
pub use paths::{PathExpectation, Place, expected_path};
pub use quantity::{Quantity, QuantityError};
pub use quota::{Limit, QuotaFamily, compare_limits};
pub use rbac::{Collects, Rbac, RbacBinding, RbacRole, RbacRule, Subject};
