//! Which module may call which. A seam that nobody drew is the first crack between two services that could have been: so
//! each edge is listed here, and any other is a failure.
//!
//! What is looked for is `crate::<module>` in the sources of a module, comments left out. That a module reaches no deeper
//! into another than its port, the compiler sees to: everything but `mod.rs` is private.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The modules, each with those it may call.
const EDGES: [(&str, &[&str]); 9] = [
    ("accounts", &["notifications"]),
    ("carts", &["catalog"]),
    ("catalog", &[]),
    // Not a module with tables: it hands imported books to those that keep them.
    ("import", &["accounts", "catalog", "orders"]),
    ("inventory", &["catalog"]),
    ("notifications", &[]),
    (
        "orders",
        &[
            "accounts",
            "carts",
            "catalog",
            "inventory",
            "notifications",
            "payments",
        ],
    ),
    // Payments tell orders through a trait that payments declare: the dependency points the other way.
    ("payments", &[]),
    (
        "reports",
        &["catalog", "inventory", "notifications", "orders", "payments"],
    ),
];

/// What all modules share: words and rules without state, and settings.
const SHARED: [&str; 4] = ["config", "flags", "money", "sku"];

/// What tests may use besides: the migrations of the whole shop.
const IN_TESTS: [&str; 1] = ["app"];

#[test]
fn modules_call_only_along_the_listed_edges() {
    let found = edges().unwrap();
    let strangers: Vec<_> = found.iter().filter(|edge| !edge.is_allowed()).collect();
    assert!(strangers.is_empty(), "edges that nobody listed: {strangers:#?}");
}

#[test]
fn the_edges_are_looked_for_where_they_are() {
    let found: BTreeSet<_> = edges()
        .unwrap()
        .into_iter()
        .map(|edge| (edge.from, edge.to))
        .collect();
    let known = ("inventory".to_owned(), "catalog".to_owned());
    assert!(found.contains(&known), "the search finds nothing: {found:?}");
}

#[test]
fn no_two_modules_call_each_other() {
    for (from, targets) in EDGES {
        for to in targets {
            let back = EDGES
                .iter()
                .any(|(name, targets)| name == to && targets.contains(&from));
            assert!(!back, "{from} and {to} call each other");
        }
    }
}

/// A use of one part of the crate in a module.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    /// For the report.
    #[expect(dead_code, reason = "read by Debug")]
    place: String,
    in_test: bool,
}

impl Edge {
    fn is_allowed(&self) -> bool {
        let listed = EDGES
            .iter()
            .any(|(name, targets)| *name == self.from && targets.contains(&self.to.as_str()));
        self.from == self.to
            || listed
            || SHARED.contains(&self.to.as_str())
            || (self.in_test && IN_TESTS.contains(&self.to.as_str()))
    }
}

fn edges() -> io::Result<Vec<Edge>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for (module, _) in EDGES {
        for file in files(&sources.join(module))? {
            found.extend(edges_of(module, &file)?);
        }
    }
    Ok(found)
}

fn edges_of(module: &str, file: &Path) -> io::Result<Vec<Edge>> {
    let text = std::fs::read_to_string(file)?;
    let mut in_test = file.file_name().is_some_and(|name| name == "tests.rs");
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        in_test |= line.starts_with("#[cfg(test)]");
        let code = if line.starts_with("//") { "" } else { line };
        for (at, prefix) in code.match_indices("crate::") {
            // `use crate::{a, b}` would hide edges: its `to` is empty and so never allowed.
            let to = code[at + prefix.len()..].split(|c: char| !c.is_alphanumeric() && c != '_');
            found.push(Edge {
                from: module.to_owned(),
                to: to.take(1).collect(),
                place: format!("{}:{number}: {code}", file.display()),
                in_test,
            });
        }
    }
    Ok(found)
}

/// The Rust files below a folder; none if the module is not there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}
