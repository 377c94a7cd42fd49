use super::super::sample;
use super::*;

fn page(model: &Model) -> String {
    String::from_utf8(render(model).unwrap()).unwrap()
}

/// Without style and script, which would only repeat the files that they come from.
fn body(model: &Model) -> String {
    let page = page(model);
    let body = &page[page.find("<body>").unwrap()..];
    body.replace(SCRIPT, "")
}

#[test]
fn every_status_is_there() {
    insta::assert_snapshot!(body(&sample::model()));
}

#[test]
fn text_of_others_is_only_text() {
    let page = page(&sample::model());
    assert!(!page.contains("<script>document"), "a title became a script");
    assert!(!page.contains("<img"), "a line became an element");
    assert!(page.contains("&#60;img src=x onerror=alert(1)&#62;"));
}

#[test]
fn it_loads_nothing() {
    let page = page(&sample::model());
    for loader in ["src=", "@import", "url(", "<link rel=\"stylesheet", "fetch(", "XMLHttpRequest", "<iframe"]
    {
        let escaped = "src=x onerror";
        assert!(!page.replace(escaped, "").contains(loader), "{loader}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn every_link_has_its_target() {
    let page = page(&sample::model());
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(page.contains(&format!("id=\"{link}\"")), "#{link}");
    }
}

#[test]
fn what_is_missing_or_wrong_is_said_at_the_top() {
    let mut journal = sample::journal(&sample::events());
    journal.records.pop();
    let model = Model::from_records(&journal.records, &sample::catalog());
    let killed = body(&model);
    assert!(killed.contains("<h1>no verdict</h1>") && killed.contains("The run was killed before its end."));
    let events: Vec<_> = sample::events()
        .into_iter()
        .filter(|(_, event)| {
            !matches!(event, crate::engine::Event::ScenarioFinished { outcome: Outcome::Failed, .. })
        })
        .collect();
    let model = Model::from_journal(&sample::journal(&events), &sample::catalog());
    let body = body(&model);
    assert!(body.contains("This report is not to be relied on"), "{body}");
    assert!(body.contains("1 planned scenario has no outcome in the journal"));
}

#[test]
fn an_empty_run_has_a_page() {
    let page = page(&Model::from_records(&[], &[]));
    assert!(page.contains("No requirement was selected.") && page.contains("None was planned."));
}
