//! The whole model as JSON, and as one JSON object a line.

use serde::Serialize;

use super::format::RenderError;
use super::model::Model;

/// One indented object, by the schema in `reports/schemas/report.schema.json`.
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
        /// Set where nothing in the journal is to be relied on: why.
        #[serde(skip_serializing_if = "Option::is_none")]
        unsound: Option<&'static str>,
        #[serde(flatten)]
        scenario: &'a super::model::Scenario,
    }
    let mut bytes = Vec::new();
    for scenario in &model.scenarios {
        serde_json::to_writer(
            &mut bytes,
            &Line { run: &model.run.id, profile: &model.run.profile, unsound: model.unsound(), scenario },
        )?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::sample;
    use super::*;

    fn schema(text: &str) -> jsonschema::Validator {
        jsonschema::validator_for(&serde_json::from_str::<Value>(text).unwrap()).unwrap()
    }

    fn errors(schema: &jsonschema::Validator, value: &Value) -> Vec<String> {
        schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn the_report_holds_to_its_schema_and_comes_back_as_it_was() {
        let schema = schema(include_str!("../../reports/schemas/report.schema.json"));
        for model in [sample::model(), Model::from_records(&[], &[])] {
            let bytes = render(&model).unwrap();
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(errors(&schema, &value), Vec::<String>::new());
            assert_eq!(serde_json::from_slice::<Model>(&bytes).unwrap(), model);
        }
        let mut wrong: Value = serde_json::to_value(sample::model()).unwrap();
        wrong["scenarios"][0]["outcome"] = "fine".into();
        assert_ne!(errors(&schema, &wrong), Vec::<String>::new(), "the schema refuses nothing");
    }

    #[test]
    fn every_record_holds_to_the_journals_schema() {
        let schema = schema(include_str!("../../reports/schemas/journal.schema.json"));
        for record in sample::journal(&sample::events()).records {
            assert_eq!(errors(&schema, &serde_json::to_value(record).unwrap()), Vec::<String>::new());
        }
    }

    #[test]
    fn every_scenario_has_its_line() {
        let model = sample::model();
        let lines = String::from_utf8(render_lines(&model).unwrap()).unwrap();
        let ids: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].take()).collect();
        assert_eq!(ids, model.scenarios.iter().map(|s| Value::from(s.id.as_str())).collect::<Vec<_>>());
    }

    #[test]
    fn the_whole_report() {
        insta::assert_snapshot!(String::from_utf8(render(&sample::model()).unwrap()).unwrap());
    }
}
