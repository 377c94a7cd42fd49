//! The report model and one small file a renderer.

mod agreement;
mod build;
mod format;
mod github;
mod grade;
mod grade_html;
mod grade_markdown;
mod grade_text;
mod grid;
mod html;
mod html_evidence;
mod json;
mod junit;
mod live;
mod markdown;
mod model;
mod output;
mod palette;
mod repeat;
#[cfg(test)]
mod sample;
mod tenants;
mod terminal;
mod words;

pub use agreement::Agreement;
pub use format::{Format, RenderError, render};
pub use grade::{
    FalseAlarm, GRADE_SCHEMA, GivenGrade, Grade, GradeError, Graded, Kill, KillRate, SabotageVerdict, Sound,
};
pub use grade_text::{render as render_grade, survivor as render_survivor};
pub use live::{LiveOptions, LiveReporter};
pub use model::{
    Accounting, Capability, Cluster, JournalFacts, Leftover, Model, Node, REPORT_SCHEMA, Requirement,
    RequirementInfo, RunEvidence, RunFacts, RunState, Scenario, Step, Tenant, Waived,
};
pub use output::{WriteError, write_all, write_atomically};
pub use repeat::{FUZZED, cleanup, replay};
#[cfg(test)]
pub(crate) use sample::{SetClock, model as sample_model};
pub use tenants::{CellState, TenantCell, TenantMatrix, WordCount};
pub use terminal::render as render_terminal;
pub(crate) use words::shown;
