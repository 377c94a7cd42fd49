//! Pure predictors: a second opinion to what is measured.

mod access;
pub mod network_policy;
mod paths;
mod quantity;
mod quota;

pub use access::{AccessRow, AccessScope, Deviation, ExpectedAccess};
pub use paths::{PathExpectation, Place, expected_path};
pub use quantity::{Quantity, QuantityError};
pub use quota::{Limit, QuotaFamily, compare_limits};
