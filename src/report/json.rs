//! The whole model as JSON, and as one JSON object a line.

use serde::Serialize;

use super::format::RenderError;
use super::model::Model;

/// One indented object, by the schema in `reports/report.schema.json`.
pub(super) fn render(model: &Model) -> Result<Vec<u8>, RenderError> {
    let mut bytes = serde_json::to_vec_pretty(model)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One line a scenario, each with the run that it belongs to: for log pipelines and line-wise tools.
pub(super) fn render_lines(model: &Model) -> Result<Vec<u8>, RenderError> {
    #[derive(Serialize)]
    struct Line<'a> {
        run: &'a str,
        profile: &'a str,
        #[serde(flatten)]
        scenario: &'a super::model::Scenario,
    }
    let mut bytes = Vec::new();
    for scenario in &model.scenarios {
        serde_json::to_writer(
            &mut bytes,
            &Line { run: &model.run.id, profile: &model.run.profile, scenario },
        )?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
