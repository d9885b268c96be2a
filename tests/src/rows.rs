//! Both sides' rows as their databases have them, behind everybody's back: no code of the product is asked what they are.
//!
//! For the trials of the hand-over, and for the proof at the end of the demo of one.

use std::collections::HashSet;

use chassis::db::{Db, PoolSettings};
use diesel::prelude::*;
use diesel::sql_types::Text;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// What the two models must agree on, a line for each row, in each side's own SQL.
const QUESTIONS: [(&str, &str); 4] = [
    (
        "SELECT id || '|' || slug || '|' || name AS line FROM categories ORDER BY id",
        "SELECT id || '|' || slug || '|' || name AS line FROM categories ORDER BY id",
    ),
    (
        "SELECT id || '|' || sku || '|' || name || '|' || description || '|' || category_id || '|' || price_amount || '|' || price_currency \
         || '|' || status || '|' || version || '|' || created_at || '|' || updated_at || '|' || coalesce(CAST(deleted_at AS TEXT), '') \
         AS line FROM products ORDER BY id",
        "SELECT p.id || '|' || sku || '|' || name || '|' || description || '|' || category_id || '|' || h.amount || '|' || h.currency \
         || '|' || status || '|' || version || '|' || created_at || '|' || updated_at || '|' || coalesce(CAST(deleted_at AS TEXT), '') \
         AS line FROM products p JOIN price_history h ON h.product_id = p.id AND h.seq = p.price_seq ORDER BY p.id",
    ),
    (
        "SELECT id || '|' || product_id || '|' || amount || '|' || currency || '|' || effective_from AS line FROM price_history ORDER BY id",
        "SELECT id || '|' || product_id || '|' || amount || '|' || currency || '|' || effective_from AS line FROM price_history ORDER BY id",
    ),
    (
        "SELECT scope || '|' || key || '|' || coalesce(body, '') AS line FROM catalog_keys ORDER BY scope, key",
        "SELECT scope || '|' || key || '|' || coalesce(body, '') AS line FROM catalog_keys ORDER BY scope, key",
    ),
];

/// Where the two sides differ, in words; and how many rows were compared. Each side is named by its database's URL.
pub fn compare(monolith: &str, service: &str) -> anyhow::Result<(usize, Vec<String>)> {
    let open = |url| Db::open(url, &PoolSettings::default());
    let (monolith, service) = (open(monolith)?, open(service)?);
    let (mut rows, mut wrong) = (0, Vec::new());
    for (ours, theirs) in QUESTIONS {
        let (left, right) = (lines(&monolith, ours)?, lines(&service, theirs)?);
        rows += left.len();
        if left == right {
            continue;
        }
        let only = |of: &[String], other: &[String]| -> Vec<String> {
            let other: HashSet<&String> = other.iter().collect();
            of.iter()
                .filter(|line| !other.contains(line))
                .take(3)
                .cloned()
                .collect()
        };
        wrong.push(format!(
            "{} and {} rows; only the monolith: {:?}; only the service: {:?}",
            left.len(),
            right.len(),
            only(&left, &right),
            only(&right, &left)
        ));
    }
    Ok((rows, wrong))
}

/// The answer of one database to a question of one column, `line`.
pub fn ask(url: &str, sql: &str) -> anyhow::Result<Vec<String>> {
    lines(&Db::open(url, &PoolSettings::default())?, sql)
}

fn lines(db: &Db, sql: &str) -> anyhow::Result<Vec<String>> {
    let mut conn = db.connect()?;
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut *conn)?;
    Ok(lines.into_iter().map(|line| line.line).collect())
}
