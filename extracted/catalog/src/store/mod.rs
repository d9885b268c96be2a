//! The SQL of the catalog, and nothing else.
//!
//! A product row says which entry of its price history is in force (`price_seq`); the price stands there and nowhere
//! else. Reading is here, writing in `write`, the bulk load in `bulk`, the full-text index in `search`.

pub(crate) mod bulk;
pub(crate) mod keys;
pub(crate) mod search;
#[cfg(test)]
mod tests;
mod write;

use chassis::db::Conn;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::QueryResult;

use crate::Error;
use crate::model::{Category, Details, Filter, Product, Status, is_sku};
use crate::money::Money;
use crate::schema::{categories, price_history, products};

pub(crate) use write::{create, delete, replace, set_price};

#[derive(Queryable)]
struct Row {
    sku: String,
    version: i64,
    name: String,
    description: String,
    category: String,
    amount: i64,
    currency: String,
    status: String,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

impl From<Row> for Product {
    fn from(row: Row) -> Self {
        let details = Details {
            name: row.name,
            description: row.description,
            category: row.category,
            price: Money {
                amount: row.amount,
                currency: row.currency,
            },
            status: Status::of_word(&row.status),
        };
        Self {
            sku: row.sku,
            version: row.version,
            details,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// The products that are not deleted, each with its category and the price in force, as [`Row`]s.
#[diesel::dsl::auto_type]
fn shelf() -> _ {
    let price_in_force = price_history::product_id
        .eq(products::id)
        .and(price_history::seq.eq(products::price_seq));
    products::table
        .inner_join(categories::table)
        .inner_join(price_history::table.on(price_in_force))
        .filter(products::deleted_at.is_null())
        .select((
            products::sku,
            products::version,
            products::name,
            products::description,
            categories::slug,
            price_history::amount,
            price_history::currency,
            products::status,
            products::created_at,
            products::updated_at,
        ))
}

/// The product with this SKU.
pub(crate) fn find(conn: &mut Conn, sku: &str) -> Result<Product, Error> {
    let row: Option<Row> = match is_sku(sku) {
        true => shelf().filter(products::sku.eq(sku)).first(conn).optional()?,
        false => None,
    };
    row.map(Product::from)
        .ok_or_else(|| Error::NotFound(sku.to_owned()))
}

/// Up to `limit` products after the SKU `after`, by SKU.
pub(crate) fn list(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<String>,
    limit: usize,
) -> QueryResult<Vec<Product>> {
    let coarse = filter.search.as_ref().filter(|search| search.is_coarse());
    let mut found: Vec<Product> = Vec::new();
    let mut after = after;
    loop {
        let page = candidates(conn, filter, after.as_deref(), limit)?;
        let last_page = page.len() < limit;
        after = page.last().map(|product| product.sku.clone());
        found.extend(
            page.into_iter()
                .filter(|product| coarse.is_none_or(|search| search.matches(product.texts()))),
        );
        if last_page || found.len() >= limit {
            found.truncate(limit);
            return Ok(found);
        }
    }
}

fn candidates(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
) -> QueryResult<Vec<Product>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let search = filter
        .search
        .as_ref()
        .map(|search| search::condition(conn, search));
    let mut query = shelf().order(products::sku.asc()).limit(limit).into_boxed();
    if let Some(after) = after {
        query = query.filter(products::sku.gt(after));
    }
    if let Some(slug) = &filter.category {
        query = query.filter(categories::slug.eq(slug));
    }
    if let Some(status) = filter.status {
        query = query.filter(products::status.eq(status.word()));
    }
    if let Some(skus) = &filter.skus {
        query = query.filter(products::sku.eq_any(skus));
    }
    if let Some(search) = search {
        query = query.filter(search);
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(Product::from).collect())
}

/// Categories that hold products, after the slug `after`, by slug.
pub(crate) fn categories(conn: &mut Conn, after: Option<&str>, limit: i64) -> QueryResult<Vec<Category>> {
    let rows: Vec<(String, String, i64)> = categories::table
        .inner_join(products::table)
        .filter(products::deleted_at.is_null())
        .filter(categories::slug.gt(after.unwrap_or("")))
        .group_by((categories::slug, categories::name))
        .select((
            categories::slug,
            categories::name,
            diesel::dsl::count(products::id),
        ))
        .order(categories::slug.asc())
        .limit(limit)
        .load(conn)?;
    let category = |(slug, name, products)| Category { slug, name, products };
    Ok(rows.into_iter().map(category).collect())
}
