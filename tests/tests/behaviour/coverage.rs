//! Whether every operation of the shop was asked for at least once.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use banyan_tests::programs;
use banyan_tests::stage::Stage;
use serde_json::Value;

/// Names the operations that no trial asked for; says whether there are none.
pub(super) fn check(stages: impl Iterator<Item = Arc<Stage>>) -> bool {
    let mut asked = BTreeSet::new();
    for stage in stages {
        asked.extend(stage.asked.lock().unwrap_or_else(PoisonError::into_inner).clone());
    }
    let missing: Vec<String> = operations()
        .into_iter()
        .filter(|operation| !is_asked(operation, &asked))
        .collect();
    if !missing.is_empty() {
        tell(&missing);
    }
    missing.is_empty()
}

/// `GET /api/products/{sku}` and all others that the monolith says it has.
fn operations() -> Vec<String> {
    let output = std::process::Command::new(programs::path("monolith"))
        .arg("openapi")
        .output();
    let document: Value = output
        .ok()
        .and_then(|output| serde_json::from_slice(&output.stdout).ok())
        .unwrap_or_default();
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().cloned().unwrap_or_default();
        methods
            .into_iter()
            .map(move |(method, _)| format!("{} {path}", method.to_uppercase()))
    });
    let operations: Vec<String> = operations.collect();
    if operations.is_empty() {
        vec!["the OpenAPI document, which cannot be had".to_owned()]
    } else {
        operations
    }
}

fn is_asked(operation: &str, asked: &BTreeSet<(String, String)>) -> bool {
    let (method, template) = operation.split_once(' ').unwrap_or(("", operation));
    let template: Vec<&str> = template.split('/').collect();
    asked.iter().any(|(asked, path)| {
        let path: Vec<&str> = path.split('/').collect();
        let same = |(template, part): (&&str, &&str)| template == part || template.starts_with('{');
        asked == method && path.len() == template.len() && template.iter().zip(&path).all(same)
    })
}

#[expect(clippy::print_stderr, reason = "the result of the suite")]
fn tell(missing: &[String]) {
    eprintln!("\nno trial asks for:\n  {}", missing.join("\n  "));
}
