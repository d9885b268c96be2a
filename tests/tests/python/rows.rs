//! Both sides' rows as their databases have them, and what clients were told, compared behind everybody's back.

use std::time::Duration;

use anyhow::ensure;
use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::clients::Known;
use crate::world::{End, World};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// What the two models must agree on, a line for each row. The shop keeps times as the protocol writes them; the service keeps its own
/// form, of which `AT(column)` makes that one.
const QUESTIONS: [(&str, &str); 4] = [
    (
        "SELECT id || '|' || slug || '|' || name AS line FROM categories ORDER BY id",
        "SELECT id || '|' || slug || '|' || name AS line FROM categories ORDER BY id",
    ),
    (
        "SELECT id || '|' || sku || '|' || name || '|' || description || '|' || category_id || '|' || price_amount || '|' || price_currency \
         || '|' || status || '|' || version || '|' || created_at || '|' || updated_at || '|' || coalesce(deleted_at, '') AS line \
         FROM products ORDER BY id",
        "SELECT p.id || '|' || sku || '|' || name || '|' || description || '|' || category_id || '|' || h.amount || '|' || h.currency \
         || '|' || status || '|' || version || '|' || AT(created_at) || '|' || AT(updated_at) || '|' || coalesce(AT(deleted_at), '') \
         AS line FROM products p JOIN price_history h ON h.product_id = p.id AND h.seq = p.price_seq ORDER BY p.id",
    ),
    (
        "SELECT id || '|' || product_id || '|' || amount || '|' || currency || '|' || effective_from AS line FROM price_history ORDER BY id",
        "SELECT id || '|' || product_id || '|' || amount || '|' || currency || '|' || AT(effective_from) AS line \
         FROM price_history ORDER BY id",
    ),
    (
        "SELECT scope || '|' || key || '|' || body_hash || '|' || location || '|' || etag || '|' || body || '|' || created_at AS line \
         FROM catalog_keys ORDER BY scope, key",
        "SELECT scope || '|' || key || '|' || body_hash || '|' || location || '|' || etag || '|' || body || '|' || AT(created_at) AS line \
         FROM catalog_keys ORDER BY scope, key",
    ),
];

/// Waits until both databases have the same rows, then holds them to what clients were told: nothing more, nothing less.
pub(super) fn agree(world: &World, known: &Known) -> anyhow::Result<()> {
    let rows = world.until(
        "both databases have the same rows",
        Duration::from_secs(15),
        || {
            let mut rows = 0;
            for (ours, theirs) in QUESTIONS {
                let (shop, service) = (
                    lines(world, End::Shop, ours)?,
                    lines(world, End::Service, &in_canonical_time(theirs))?,
                );
                ensure!(shop == service, "the shop: {shop:#?}\nthe service: {service:#?}");
                rows += shop.len();
            }
            Ok(Some(rows))
        },
    )?;
    ensure!(rows > 0, "no rows were compared");
    let there = "SELECT sku || '|' || version || '|' || price_amount || '|' || (deleted_at IS NOT NULL) AS line FROM products ORDER BY sku";
    let found = lines(world, End::Shop, there)?;
    ensure!(found.len() == known.len(), "{found:#?} for {known:#?}");
    for (line, (sku, told)) in found.iter().zip(known) {
        let is_right = match told {
            Some((version, price)) => *line == format!("{sku}|{version}|{price}|0"),
            None => line.starts_with(&format!("{sku}|")) && line.ends_with("|1"),
        };
        ensure!(is_right, "{sku}: told {told:?}, found {line}");
    }
    Ok(())
}

/// `AT(x)` becomes what makes `2026-11-25 06:17:51.00012`, with as many digits as there are, the protocol's form of it.
fn in_canonical_time(sql: &str) -> String {
    let mut done = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("AT(") {
        let (column, end) = after.split_once(')').unwrap_or((after, ""));
        done += before;
        done += &format!(
            "(substr({column}, 1, 10) || 'T' || substr({column}, 12, 8) || '.' || substr(substr({column}, 21) || '000000', 1, 6) || 'Z')"
        );
        rest = end;
    }
    done + rest
}

fn lines(world: &World, end: End, sql: &str) -> anyhow::Result<Vec<String>> {
    let db = world.database(end)?;
    let mut conn = db.connect()?;
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut *conn)?;
    Ok(lines.into_iter().map(|line| line.line).collect())
}
