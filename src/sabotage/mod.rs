//! Defects put into an expendable platform on purpose, to see whether the suite notices: the suite's own grade.
//!
//! A sabotage is data (`scenarios/sabotage/*.yaml`). It edits the blueprint by which tenants are onboarded (a copy, so
//! that nothing has to be put back), objects of the cluster and the configuration of a lab (whose originals are recorded
//! on the cluster itself before the change, so that the next start restores them whoever died), or several of these.
//! What is broken is proven to be in effect before a scenario runs, and what is mended is proven to be mended.

mod condition;
mod data;
mod edit;
mod error;
mod grade;
mod hold;
mod lab_edit;
mod lane;
mod ledger;
mod platform;
mod run;
mod state;
mod witness;

pub use condition::{Access, Condition};
pub use data::{Sabotage, embedded, folder, schema};
pub use edit::{Edit, Of};
pub use error::SabotageError;
pub use lab_edit::{Change, LabEdit, LabFile};
pub use ledger::{RECORD_NAME, RECORD_NAMESPACE};
pub use run::{Order, Progress, Tell, run};
pub use state::{Broken, Found, look, put_back};
