//! The contract: the OpenAPI documents in `docs/api/` are what the programs say of themselves, and the catalog's operations
//! are the same on both sides.
//!
//! After a change that is meant: `BANYAN_REWRITE=1 cargo test -p banyan-tests --test openapi`, and read the difference.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test a panic is the report"
)]

use std::path::PathBuf;
use std::process::Command;

use banyan_tests::programs;
use serde_json::Value;

#[test]
fn the_committed_documents_are_what_the_programs_say() {
    for program in ["monolith", "catalog"] {
        let said = document(program);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/api/{program}.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(&said).unwrap());
        if std::env::var_os("BANYAN_REWRITE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "docs/api/{program}.json is not what `{program} openapi` says: rewrite it with BANYAN_REWRITE=1"
        );
    }
}

#[test]
fn the_catalog_is_the_same_contract_on_both_sides() {
    let (monolith, catalog) = (document("monolith"), document("catalog"));
    let operations = |document: &Value| -> Vec<(String, Value)> {
        let paths = document["paths"].as_object().unwrap();
        let ours = |path: &str| path.starts_with("/api/products") || path.starts_with("/api/categories");
        paths
            .iter()
            .filter(|(path, _)| ours(path))
            .map(|(path, item)| (path.clone(), resolved(item, document, 0)))
            .collect()
    };
    let (ours, theirs) = (operations(&monolith), operations(&catalog));
    assert_eq!(ours.len(), 4, "the monolith has lost catalog paths");
    for ((path, ours), (their_path, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(path, their_path);
        assert!(
            ours == theirs,
            "{path} differs:\nmonolith: {ours:#}\ncatalog: {theirs:#}"
        );
    }
    assert_eq!(ours.len(), theirs.len());
}

fn document(program: &str) -> Value {
    assert!(programs::build().status().unwrap().success());
    let output = Command::new(programs::path(program))
        .arg("openapi")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The value with every `$ref` replaced by what it points at, so that names of types do not matter.
fn resolved(value: &Value, document: &Value, depth: usize) -> Value {
    assert!(depth < 50, "a schema that contains itself");
    match value {
        Value::Object(fields) => match fields.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let target = document.pointer(reference.trim_start_matches('#'));
                resolved(
                    target.unwrap_or_else(|| panic!("{reference} points at nothing")),
                    document,
                    depth + 1,
                )
            }
            None => fields
                .iter()
                .map(|(name, field)| (name.clone(), resolved(field, document, depth + 1)))
                .collect(),
        },
        Value::Array(items) => items
            .iter()
            .map(|item| resolved(item, document, depth + 1))
            .collect(),
        other => other.clone(),
    }
}
