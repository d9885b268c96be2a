//! Products in bulk: from imported books, or generated.

use std::collections::{BTreeSet, HashMap};

use chassis::db::Conn;
use chassis::time::now;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::category_id;
use crate::catalog::Imported;
use crate::catalog::model::{Status, search_words};
use crate::catalog::schema::{price_history, products};

/// Adds the products whose SKU was never used, and tells how many that were. A product that is there, or was there and
/// was deleted, stays as the shop has it.
pub(crate) fn add_missing(conn: &mut Conn, imported: &[Imported]) -> QueryResult<usize> {
    let used: BTreeSet<String> = products::table
        .filter(products::sku.eq_any(imported.iter().map(|product| &product.sku)))
        .select(products::sku)
        .load(conn)?
        .into_iter()
        .collect();
    let missing = imported.iter().filter(|product| !used.contains(&product.sku));
    let new: Vec<&Imported> = missing.collect();
    let ids = insert(conn, &new)?;
    record_prices(conn, &new, &ids)?;
    Ok(ids.len())
}

/// Adds the rows, and gives the id of each SKU that was free until the end.
fn insert(conn: &mut Conn, new: &[&Imported]) -> QueryResult<HashMap<String, i64>> {
    let at = now();
    let slugs: BTreeSet<&str> = new.iter().map(|product| product.category.as_str()).collect();
    let categories: HashMap<&str, i64> = slugs
        .into_iter()
        .map(|slug| Ok((slug, category_id(conn, slug)?)))
        .collect::<QueryResult<_>>()?;
    let rows = new.iter().map(|product| {
        (
            products::sku.eq(&product.sku),
            products::name.eq(&product.name),
            products::description.eq(&product.description),
            products::category_id.eq(categories
                .get(product.category.as_str())
                .copied()
                .unwrap_or_default()),
            products::price_amount.eq(product.price.amount),
            products::price_currency.eq(&product.price.currency),
            products::status.eq(Status::of(product.on_sale).as_str()),
            products::search_words.eq(search_words(&product.sku, &product.name, &product.description)),
            products::version.eq(1),
            products::created_at.eq(at),
            products::updated_at.eq(at),
        )
    });
    let insert = || diesel::insert_into(products::table);
    // A statement is a round trip on PostgreSQL and a call on SQLite.
    match conn {
        Conn::Postgres(conn) => Ok(insert()
            .values(rows.collect::<Vec<_>>())
            .on_conflict_do_nothing()
            .returning((products::sku, products::id))
            .get_results(conn)?
            .into_iter()
            .collect()),
        Conn::Sqlite(conn) => rows
            .map(|row| {
                insert()
                    .values(row)
                    .returning((products::sku, products::id))
                    .get_result(conn)
            })
            .collect(),
    }
}

fn record_prices(conn: &mut Conn, new: &[&Imported], ids: &HashMap<String, i64>) -> QueryResult<()> {
    let at = now();
    let mut rows = new.iter().filter_map(|product| {
        Some((
            price_history::product_id.eq(*ids.get(&product.sku)?),
            price_history::amount.eq(product.price.amount),
            price_history::currency.eq(&product.price.currency),
            price_history::effective_from.eq(at),
        ))
    });
    let insert = || diesel::insert_into(price_history::table);
    match conn {
        Conn::Postgres(conn) => insert().values(rows.collect::<Vec<_>>()).execute(conn).map(drop),
        Conn::Sqlite(conn) => rows.try_for_each(|row| insert().values(row).execute(conn).map(drop)),
    }
}
