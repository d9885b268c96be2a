//! Products with their price history, for the export.

use std::collections::HashMap;

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use super::{Columns, Row};
use crate::catalog::model::Product;
use crate::catalog::schema::{categories, price_history, products};
use crate::money::Money;

/// A price and when it began.
pub(crate) struct PricePoint {
    pub(crate) price: Money,
    pub(crate) from: NaiveDateTime,
}

/// Products, deleted ones too, in the order of their SKUs, each with all its prices, oldest first.
pub(crate) fn page(
    conn: &mut Conn,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<(Product, Vec<PricePoint>)>> {
    conn.transaction(|conn| {
        let rows: Vec<(i64, Row)> = products::table
            .inner_join(categories::table)
            .filter(products::sku.gt(after.unwrap_or("")))
            .select((products::id, Columns::default()))
            .order(products::sku.asc())
            .limit(limit)
            .load(conn)?;
        let ids: Vec<i64> = rows.iter().map(|(id, _)| *id).collect();
        let mut prices = prices(conn, &ids)?;
        let with_prices = |(id, row)| (Product::from(row), prices.remove(&id).unwrap_or_default());
        Ok(rows.into_iter().map(with_prices).collect())
    })
}

fn prices(conn: &mut Conn, products: &[i64]) -> QueryResult<HashMap<i64, Vec<PricePoint>>> {
    let mut found: HashMap<i64, Vec<PricePoint>> = HashMap::new();
    let rows: Vec<(i64, i64, String, NaiveDateTime)> = price_history::table
        .filter(price_history::product_id.eq_any(products))
        .select((
            price_history::product_id,
            price_history::amount,
            price_history::currency,
            price_history::effective_from,
        ))
        .order((price_history::effective_from.asc(), price_history::id.asc()))
        .load(conn)?;
    for (product, amount, currency, from) in rows {
        found.entry(product).or_default().push(PricePoint {
            price: Money::new(amount, currency),
            from,
        });
    }
    Ok(found)
}
